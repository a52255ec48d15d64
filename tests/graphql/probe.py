"""The API's schema with fields that misbehave on purpose, for tests of the endpoint."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import strawberry
from sqlalchemy import select

import resolvers
from core.access.permissions import Permission
from core.errors import InvalidInput, NotFound
from core.pubsub import campaign_topic, state_stream
from models.audit import AuditEvent
from models.conversations import Conversation
from resolvers.context import Info
from resolvers.fields import Public, Requires, query, subscription
from runtime import Runtime
from schema.fields import COST, COUNTING_COST
from schema.scalars import JSON
from settings import Settings

EXECUTIONS = itertools.count()


@strawberry.type
class Leaf:
    number: int
    text: str = "leaf"


@strawberry.type
class LeafConnection:
    nodes: list[Leaf]
    total_count: int = strawberry.field(metadata={COST: COUNTING_COST})


@strawberry.type
class Query(resolvers.Query):
    @query(Public())
    async def bug(self) -> str:
        """A field that fails with an error whose message is a secret."""
        raise RuntimeError("SELECT secret FROM vault")

    @query(Public())
    async def missing(self) -> str | None:
        """A field that raises NOT_FOUND as a service does."""
        raise NotFound("No such thing.", field=("id",))

    @query(Public())
    async def invalid(self) -> str | None:
        """A field that refuses its input."""
        raise InvalidInput("No good.", field=("filter", "status"), suggestion="Try another.")

    @query(Public())
    async def leaves(self, first: int | None = None) -> LeafConnection:
        """A page of objects; returns at most three."""
        return LeafConnection(nodes=[Leaf(number=n) for n in range(min(first or 25, 3))], total_count=3)

    @query(Public())
    async def too_large(self) -> int | None:
        """A field that returns a number out of range for Int."""
        return 2**40

    @query(Public())
    async def not_serializable(self) -> JSON | None:
        """A field that returns a number which the JSON encoder can't serialize."""
        return JSON(2**70)

    @query(Public())
    async def me(self, info: Info) -> str:
        """The client's address."""
        return info.context.client_address

    @query(Public())
    async def slow(self, seconds: float) -> bool:
        """A field that waits before it returns."""
        await asyncio.sleep(seconds)
        return True


@strawberry.type
class Subscription:
    @subscription(Requires(Permission.ORGANIZATION_READ))
    async def count(self, to: int, pause: float = 0.0) -> AsyncIterator[int]:
        """The numbers below `to`."""
        for number in range(to):
            yield number
            await asyncio.sleep(pause)

    @subscription(Requires(Permission.AUDIT_READ))
    async def secrets(self) -> AsyncIterator[int]:
        """A stream for owners and admins."""
        yield 1

    @subscription(Requires(Permission.ORGANIZATION_READ))
    async def fails(self) -> AsyncIterator[int]:
        """A stream that fails after its first number."""
        yield 1
        raise RuntimeError("SELECT secret FROM vault")

    @subscription(Requires(Permission.ORGANIZATION_READ))
    async def floods(self, size: int) -> AsyncIterator[str]:
        """Large messages without end."""
        while True:
            yield "x" * size
            await asyncio.sleep(0)

    @subscription(Requires(Permission.ORGANIZATION_READ))
    async def watched(self, info: Info) -> AsyncIterator[int]:
        """A state stream on the hub that never ends."""
        actor = info.context.caller

        async def read() -> int:
            return 1

        topic = campaign_topic(actor.organization_id, actor.require_user_id())
        async for value in state_stream(info.context.dependencies.hub, topic, read, is_final=lambda _: False):
            yield value

    @subscription(Requires(Permission.ORGANIZATION_READ), state=True)
    async def board(self, to: int = 1, pause: float = 0.0, size: int = 0) -> AsyncIterator[str]:
        """A state: the number of this execution, a number below `to`, and padding; waits after the last one."""
        execution = next(EXECUTIONS)
        for number in range(to):
            yield f"{execution} {number} {'x' * size}"
            await asyncio.sleep(pause)
        await asyncio.Event().wait()

    @subscription(Requires(Permission.ORGANIZATION_READ), state=True)
    async def ending(self, pause: float = 0.1, *, fails: bool = False) -> AsyncIterator[int | None]:
        """A state that ends or fails after its first value."""
        yield 1
        await asyncio.sleep(pause)
        if fails:
            raise RuntimeError("SELECT secret FROM vault")

    @subscription(Requires(Permission.AUDIT_READ))
    async def audit(self) -> AsyncIterator[int]:
        """An event stream for owners and admins that waits after its first value."""
        yield 1
        await asyncio.Event().wait()

    @subscription(Requires(Permission.AUDIT_READ), state=True)
    async def vault(self) -> AsyncIterator[int]:
        """A state for owners and admins that waits after its first value."""
        yield 1
        await asyncio.Event().wait()

    @subscription(Requires(Permission.CONVERSATION_READ), state=True)
    async def talks(self, info: Info) -> AsyncIterator[int]:
        """A state that reads rows of users: the number of conversations that it sees."""
        yield len(await info.context.reads.rows(select(Conversation.id)))
        await asyncio.Event().wait()

    @subscription(Requires(Permission.ORGANIZATION_READ))
    async def sight(self, info: Info, pause: float) -> AsyncIterator[list[int]]:
        """An event stream: whether the caller may read the audit log, and how many audit events its reads see."""
        reads = info.context.reads
        while True:
            rows = await reads.rows(select(AuditEvent.id))
            yield [int(info.context.caller.may(Permission.AUDIT_READ)), len(rows)]
            await asyncio.sleep(pause)

    @subscription(Requires(Permission.AUDIT_READ), state=True)
    async def ledger(self) -> AsyncIterator[int]:
        """A state for owners and admins."""
        yield 1


# With the product's own configuration: Strawberry keeps the way to read a field at the field, which schemas share.
probe_schema = resolvers.schema_of(Query, resolvers.Mutation, Subscription)


def with_settings(runtime: Runtime, **groups: Mapping[str, object]) -> Runtime:
    """The same runtime under other settings, e.g. `graphql={"max_depth": 3}`."""
    document = runtime.settings.model_dump()
    for group, values in groups.items():
        document[group] = {**document[group], **values}
    return replace(runtime, settings=Settings.model_validate({**document, "_env_file": None}))
