"""One event for a crowd: who watches the same state with the same rights shares its execution and its encoding.

A group is read, executed and encoded once for each event; what is left for each viewer is one write of a prepared
frame. A viewer whose connection can't take the frame at once is brought up to date by its own task, which waits as
for any other message; it gets the newest state then, and may skip what came in between.
"""

import asyncio
from collections.abc import Hashable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

import orjson
from graphql import ExecutionResult, FieldNode, GraphQLError, GraphQLSchema, OperationDefinitionNode, OperationType

from cancellation.tasks import cancel_and_wait, restart_when_cancelled
from core.access.actor import shared_actor
from core.pubsub import HubClosed
from core.telemetry import new_request_id
from resolvers.context import RequestContext
from resolvers.fields import is_state
from transport.documents import Operation
from transport.errors import formatted
from transport.executor import Executor, Request, shown
from transport.http.endpoint import plain
from transport.websocket.frames import text_frame
from transport.websocket.wire import Wire

AT_ONCE = 256
"""Viewers written to before other tasks, and the network, have their turn."""

Errors = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOutStatistics:
    """Groups and viewers at present; frames written at once, and messages that had to wait, since the start."""

    groups: int
    viewers: int
    written: int
    waited: int


class FanOut:
    """The groups of this process."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.groups: dict[Hashable, Group] = {}
        self.ending: set[asyncio.Task[None]] = set()
        self.written = 0
        self.waited = 0

    def serves(self, operation: Operation, context: RequestContext) -> bool:
        """Whether an operation's viewers may share: a subscription to one state, by somebody we know."""
        return context.actor is not None and watches_a_state(self.executor.schema, operation)

    def join(self, operation: Operation, request: Request, context: RequestContext, viewer: "Viewer") -> "Group":
        """Put a viewer into the group of its operation, variables and rights; it must `leave` it again."""
        actor = context.caller
        key = (
            request.query,
            request.operation_name,
            orjson.dumps(request.variables, option=orjson.OPT_SORT_KEYS),
            actor.organization_id,
            actor.rights,
        )
        group = self.groups.get(key)
        if group is None:
            # The group's own, with the rights of its viewers and no person: what is one person's stays out of it.
            own = RequestContext(
                dependencies=context.dependencies,
                actor=shared_actor(actor),
                request_id=new_request_id(),
                budgets=context.budgets,
            )
            group = self.groups[key] = Group(self, key, operation, request, own)
        group.viewers.add(viewer)
        return group

    def leave(self, group: "Group", viewer: "Viewer") -> None:
        """Take a viewer out; without any the group ends."""
        group.viewers.discard(viewer)
        if not group.viewers and not group.task.done():
            self.forget(group)
            task = asyncio.create_task(cancel_and_wait([group.task]), name="fanout-ending")
            self.ending.add(task)
            task.add_done_callback(self.ending.discard)

    def forget(self, group: "Group") -> None:
        """Let no more viewers join a group."""
        if self.groups.get(group.key) is group:
            del self.groups[group.key]

    async def aclose(self) -> None:
        """End every group."""
        await cancel_and_wait([group.task for group in self.groups.values()])
        await asyncio.gather(*self.ending)

    def statistics(self) -> FanOutStatistics:
        """What there is at this moment."""
        return FanOutStatistics(
            groups=len(self.groups),
            viewers=sum(len(group.viewers) for group in self.groups.values()),
            written=self.written,
            waited=self.waited,
        )


class Viewer:
    """One subscriber. `idle` is what its task waits for, while the viewer has all there is.

    `push` writes a prepared frame at once; it says no when the frame has to wait, or the connection closes.
    """

    __slots__ = ("head", "idle", "push", "seen", "wire")

    def __init__(self, wire: Wire, identifier: str) -> None:
        self.wire = wire
        self.push = wire.write or cannot_push
        self.head = b'{"id":' + orjson.dumps(identifier) + b',"type":"next","payload":'
        self.seen = 0
        self.idle: asyncio.Future[None] | None = None

    def stir(self) -> None:
        """Let the viewer's task look for what is new."""
        if self.idle is not None and not self.idle.done():
            self.idle.set_result(None)


def cannot_push(_: bytes) -> bool:
    """Stands in where the server does not let us write frames."""
    return False


class Group:
    """Viewers of one operation with the same variables and rights, and the task that serves them."""

    def __init__(
        self, fanout: FanOut, key: Hashable, operation: Operation, request: Request, context: RequestContext
    ) -> None:
        self.fanout = fanout
        self.key = key
        self.operation = operation
        self.request = request
        self.context = context
        self.viewers: set[Viewer] = set()
        self.version = 0
        self.payload = b""
        self.ended = False
        self.errors: Errors | None = None
        self.closed = True
        self.task = asyncio.create_task(self.run(), name="fanout-group")

    async def follow(self, viewer: Viewer) -> Errors | None:
        """Keep a viewer up to date until the stream ends: with errors, or None when it is complete.

        Raises `HubClosed` at shutdown, and `WebSocketDisconnected` when the viewer is gone or too slow.
        """
        while True:
            if viewer.seen < self.version:
                version = self.version
                self.fanout.waited += 1
                await viewer.wire.send_text((viewer.head + self.payload + b"}").decode())
                viewer.seen = version
            elif self.ended:
                if self.closed:
                    raise HubClosed
                return self.errors
            else:
                viewer.idle = asyncio.get_running_loop().create_future()
                await viewer.idle

    async def run(self) -> None:
        """Execute and encode each event, and write it to everyone; then say how it ended."""
        try:
            self.errors = await restart_when_cancelled("fanout-group", self.events)
            self.closed = False
        except HubClosed:
            return
        except Exception as error:  # noqa: BLE001 - masked, and logged with its request id
            self.errors = [formatted(GraphQLError(str(error), original_error=error), self.context.request_id)]
            self.closed = False
        finally:
            self.ended = True
            self.fanout.forget(self)
            for viewer in self.viewers:
                viewer.stir()

    async def events(self) -> Errors | None:
        """Serve until the stream completes; the errors that kept it from beginning."""
        source = await self.fanout.executor.subscribe(self.operation, self.request, self.context)
        if isinstance(source, ExecutionResult):
            return cast("Errors", shown(source, self.context).get("errors", []))
        async with aclosing(cast("Any", source)) as results:
            async for result in results:
                self.payload = orjson.dumps(shown(result, self.context), default=plain)
                self.version += 1
                await self.spread()
        return None

    async def spread(self) -> None:
        """Write the newest payload to every viewer that waits for it."""
        version = self.version
        frames: dict[bytes, bytes] = {}
        for place, viewer in enumerate(list(self.viewers), 1):
            idle = viewer.idle
            # A cancelled viewer's future is done from the moment of `cancel()`: nothing follows a client's complete.
            if idle is not None and viewer.seen != version and not idle.done():
                head = viewer.head
                frame = frames.get(head)
                if frame is None:
                    frame = frames[head] = text_frame(head + self.payload + b"}")
                if viewer.push(frame):
                    viewer.seen = version
                    self.fanout.written += 1
                else:
                    idle.set_result(None)
            if not place % AT_ONCE:
                await asyncio.sleep(0)


def watches_a_state(schema: GraphQLSchema, operation: Operation) -> bool:
    """Whether an operation is a subscription to one root field, written as such, that is a state."""
    root = schema.subscription_type
    if operation.kind is not OperationType.SUBSCRIPTION or root is None:
        return False
    for node in operation.document.definitions:
        if isinstance(node, OperationDefinitionNode) and (node.name.value if node.name else None) == operation.name:
            match list(node.selection_set.selections):
                case [FieldNode() as field]:
                    return field.name.value in root.fields and is_state(root.fields[field.name.value])
    return False
