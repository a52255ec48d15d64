"""Fan-out: subscribers to the same state with the same permissions share one execution and one encoding per event.

Subscribers with the same operation, variables and permissions form a group. Each event is read, executed and encoded
once for the group; each subscriber then costs one write of a prepared frame. A subscriber whose connection can't take
the frame at once is served by its own task, which waits as it does for any other message and then sends the newest
state; it may skip states in between.
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
from resolvers.fields import is_state_field
from transport.documents import PreparedOperation
from transport.errors import format_error
from transport.executor import Executor, result_body
from transport.http.endpoint import json_default
from transport.requests import GraphQLRequest
from transport.websocket.adapter import WebSocketAdapter
from transport.websocket.frames import text_frame

WRITES_PER_BATCH = 256
"""Frames written before the event loop runs other tasks."""

Errors = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOutStatistics:
    """Groups and subscribers at present; since the start, frames written at once and messages that had to wait."""

    groups: int
    subscribers: int
    written: int
    waited: int


class FanOut:
    """The groups of subscribers of this process."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.groups: dict[Hashable, SubscriberGroup] = {}
        self.ending_tasks: set[asyncio.Task[None]] = set()
        self.written = 0
        self.waited = 0

    def can_share(self, operation: PreparedOperation, context: RequestContext) -> bool:
        """Whether subscribers may share the operation: a state subscription of an authenticated caller."""
        return context.actor is not None and is_state_subscription(self.executor.schema, operation)

    def join(
        self, operation: PreparedOperation, request: GraphQLRequest, context: RequestContext, subscriber: "Subscriber"
    ) -> "SubscriberGroup":
        """Add a subscriber to the group of its operation, variables and permissions; the caller must `leave` it."""
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
            # The group's actor has the subscribers' permissions but is no person: results contain no personal data.
            shared = RequestContext(
                dependencies=context.dependencies,
                actor=shared_actor(actor),
                request_id=new_request_id(),
                budgets=context.budgets,
            )
            group = self.groups[key] = SubscriberGroup(self, key, operation, request, shared)
        group.subscribers.add(subscriber)
        return group

    def leave(self, group: "SubscriberGroup", subscriber: "Subscriber") -> None:
        """Remove a subscriber; a group without subscribers ends."""
        group.subscribers.discard(subscriber)
        if not group.subscribers and not group.task.done():
            self.remove(group)
            task = asyncio.create_task(cancel_and_wait([group.task]), name="fanout-ending")
            self.ending_tasks.add(task)
            task.add_done_callback(self.ending_tasks.discard)

    def remove(self, group: "SubscriberGroup") -> None:
        """Let no more subscribers join a group."""
        if self.groups.get(group.key) is group:
            del self.groups[group.key]

    async def aclose(self) -> None:
        """End every group."""
        await cancel_and_wait([group.task for group in self.groups.values()])
        await asyncio.gather(*self.ending_tasks)

    def statistics(self) -> FanOutStatistics:
        """The current numbers."""
        return FanOutStatistics(
            groups=len(self.groups),
            subscribers=sum(len(group.subscribers) for group in self.groups.values()),
            written=self.written,
            waited=self.waited,
        )


class Subscriber:
    """One subscription of a client. Its task waits for `idle` while it has been sent the newest version.

    `write` sends a prepared frame at once; it returns False when the frame must wait or the connection closes.
    """

    __slots__ = ("adapter", "head", "idle", "sent_version", "write")

    def __init__(self, adapter: WebSocketAdapter, identifier: str) -> None:
        self.adapter = adapter
        self.write = adapter.write_frame or _cannot_write
        self.head = b'{"id":' + orjson.dumps(identifier) + b',"type":"next","payload":'
        self.sent_version = 0
        self.idle: asyncio.Future[None] | None = None

    def notify(self) -> None:
        """Let the subscriber's task check for a new version."""
        if self.idle is not None and not self.idle.done():
            self.idle.set_result(None)


def _cannot_write(_: bytes) -> bool:
    """Used where the server does not offer to write frames."""
    return False


class SubscriberGroup:
    """The subscribers to one operation with the same variables and permissions, and the task that executes it."""

    def __init__(
        self,
        fanout: FanOut,
        key: Hashable,
        operation: PreparedOperation,
        request: GraphQLRequest,
        context: RequestContext,
    ) -> None:
        self.fanout = fanout
        self.key = key
        self.operation = operation
        self.request = request
        self.context = context
        self.subscribers: set[Subscriber] = set()
        self.version = 0
        self.payload = b""
        self.ended = False
        self.errors: Errors | None = None
        self.hub_closed = True
        self.task = asyncio.create_task(self._run(), name="fanout-group")

    async def serve(self, subscriber: Subscriber) -> Errors | None:
        """Serve a subscriber until the stream ends; returns its errors, or None when it is complete.

        Raises `HubClosed` at shutdown, and `WebSocketDisconnected` when the client has disconnected or is too slow.
        """
        while True:
            if subscriber.sent_version < self.version:
                version = self.version
                self.fanout.waited += 1
                await subscriber.adapter.send_text((subscriber.head + self.payload + b"}").decode())
                subscriber.sent_version = version
            elif self.ended:
                if self.hub_closed:
                    raise HubClosed
                return self.errors
            else:
                subscriber.idle = asyncio.get_running_loop().create_future()
                await subscriber.idle

    async def _run(self) -> None:
        """Execute, encode and broadcast each event; then record how the stream ended."""
        try:
            self.errors = await restart_when_cancelled("fanout-group", self._events)
            self.hub_closed = False
        except HubClosed:
            return
        except Exception as error:  # noqa: BLE001 - masked, and logged with its request id
            self.errors = [format_error(GraphQLError(str(error), original_error=error), self.context.request_id)]
            self.hub_closed = False
        finally:
            self.ended = True
            self.fanout.remove(self)
            for subscriber in self.subscribers:
                subscriber.notify()

    async def _events(self) -> Errors | None:
        """Broadcast events until the stream completes; returns the errors that prevented it from starting."""
        source = await self.fanout.executor.subscribe(self.operation, self.request, self.context)
        if isinstance(source, ExecutionResult):
            return cast("Errors", result_body(source, self.context).get("errors", []))
        async with aclosing(cast("Any", source)) as results:
            async for result in results:
                self.payload = orjson.dumps(result_body(result, self.context), default=json_default)
                self.version += 1
                await self._broadcast()
        return None

    async def _broadcast(self) -> None:
        """Write the newest payload to every subscriber that is idle."""
        version = self.version
        frames: dict[bytes, bytes] = {}
        for number, subscriber in enumerate(list(self.subscribers), 1):
            idle = subscriber.idle
            # A cancelled task's future is done from the moment of `cancel()`: no frame follows a client's complete.
            if idle is not None and subscriber.sent_version != version and not idle.done():
                head = subscriber.head
                frame = frames.get(head)
                if frame is None:
                    frame = frames[head] = text_frame(head + self.payload + b"}")
                if subscriber.write(frame):
                    subscriber.sent_version = version
                    self.fanout.written += 1
                else:
                    idle.set_result(None)
            if not number % WRITES_PER_BATCH:
                await asyncio.sleep(0)


def is_state_subscription(schema: GraphQLSchema, operation: PreparedOperation) -> bool:
    """Whether an operation is a subscription to a single root field, not in a fragment, declared as a state."""
    root = schema.subscription_type
    if operation.kind is not OperationType.SUBSCRIPTION or root is None:
        return False
    for node in operation.document.definitions:
        if isinstance(node, OperationDefinitionNode) and (node.name.value if node.name else None) == operation.name:
            match list(node.selection_set.selections):
                case [FieldNode() as field]:
                    return field.name.value in root.fields and is_state_field(root.fields[field.name.value])
    return False
