"""One websocket connection: the protocol is Strawberry's handler, the rules are ours."""

import asyncio
from contextlib import aclosing, suppress
from datetime import timedelta
from typing import Any, cast

from graphql import ExecutionResult, GraphQLError, OperationType
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    ConnectionInitMessage,
    Message,
    PongMessage,
    SubscribeMessage,
)

from cancellation.deadlines import deadline
from cancellation.tasks import cancel_and_wait, is_cancellation_requested, release_traceback
from core.access.session import Session
from core.pubsub import HubClosed
from core.telemetry import logger, new_request_id
from resolvers.context import Dependencies, RequestContext
from transport.authentication import authenticate
from transport.documents import DocumentInvalid
from transport.documents import Operation as Prepared
from transport.errors import RATE_LIMITED, Malformed, Refused, formatted
from transport.executor import Executor, Request, shown
from transport.requests import from_parameters
from transport.websocket.fanout import FanOut, Viewer, watches_a_state
from transport.websocket.frames import text_frame
from transport.websocket.monitoring import ConnectionMonitor
from transport.websocket.sockets import Sockets
from transport.websocket.wire import Wire

INVALID_MESSAGE = 4400
UNAUTHORIZED = 4401
TRY_AGAIN = 1013
INIT_TIMEOUT = 4408
ALREADY_EXISTS = 4409
TOO_MANY = 4429
PING = text_frame(b'{"type":"ping"}')

log = logger(__name__)


class Connection(BaseGraphQLTransportWSHandler[Any, None]):
    """A client on `graphql-transport-ws`, authenticated by its connection_init."""

    def __init__(
        self,
        executor: Executor,
        fanout: FanOut,
        sockets: Sockets,
        wire: Wire,
        *,
        dependencies: Dependencies,
        client_address: str,
    ) -> None:
        super().__init__(
            view=cast("Any", None),  # connection_init is answered here
            websocket=cast("Any", wire),
            context=None,
            root_value=None,
            schema=cast("Any", None),  # operations run in the executor
            connection_init_wait_timeout=timedelta(seconds=sockets.limits.init_timeout_seconds),
        )
        self.dependencies = dependencies
        self.executor = executor
        self.fanout = fanout
        self.sockets = sockets
        self.wire = wire
        self.client_address = client_address
        self.limits = sockets.limits
        self.session: Session | None = None
        self.monitor: ConnectionMonitor | None = None
        self.ending: set[asyncio.Task[Any]] = set()

    async def close(self, code: int, reason: str) -> None:
        """Close the connection, telling the client why."""
        await self.wire.close(code, reason)

    async def ping(self) -> None:
        """Ask the client for a pong."""
        if self.wire.write is not None and self.wire.write(PING):
            return
        with suppress(WebSocketDisconnected):
            await self.send_message({"type": "ping"})

    async def handle_message(self, message: Message) -> None:
        """Take a message of the client; one that is not of the protocol closes the connection."""
        problem = objection(message)
        if problem is not None:
            await self.close(INVALID_MESSAGE, problem)
            return
        await super().handle_message(message)

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Authenticate, take a place, acknowledge; then watch over the connection."""
        if self.connection_timed_out:
            return
        if self.connection_init_received:
            await self.close(TOO_MANY, "Too many initialisation requests")
            return
        self.connection_init_received = True
        if self.connection_init_timeout_task:
            self.connection_init_timeout_task.cancel()
        session = await self.admitted(cast("dict[str, object]", message.get("payload") or {}))
        if session is None:
            return
        self.session = session
        await self.send_message({"type": "connection_ack"})
        self.connection_acknowledged = True

    async def admitted(self, payload: dict[str, object]) -> Session | None:
        """The authenticated caller with a place among the sockets, or None after closing the connection."""
        header = payload.get("authorization") or payload.get("Authorization")
        if not isinstance(header, str) or not header:
            await self.close(UNAUTHORIZED, "connectionParams need {authorization: 'Bearer <access token>'}")
            return None
        try:
            async with deadline(self.limits.init_timeout_seconds):
                session, refused = await authenticate(self.dependencies.identity, header)
        except TimeoutError:
            await self.close(INIT_TIMEOUT, "Connection initialisation timeout")
            return None
        except Exception:
            # Not 1011, on which clients give up.
            log.exception("a socket's caller could not be looked up")
            await self.close(TRY_AGAIN, "Something went wrong on our side. Try again")
            return None
        if session is None:
            # Not 4403, on which clients come back again and again with the same token, and tell nobody.
            await self.close(UNAUTHORIZED, str(refused))
            return None
        full = self.sockets.seat(session.actor)
        if full is not None:
            await self.close(TOO_MANY, full)
            return None
        token = header.partition(" ")[2].strip()
        self.monitor = ConnectionMonitor(self.dependencies, self.limits, session, token=token, connection=self)
        return session

    async def handle_pong(self, message: PongMessage) -> None:  # noqa: ARG002 - Strawberry's signature
        """The client is alive."""
        if self.monitor is not None:
            self.monitor.missed = 0

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Begin an operation."""
        if not self.connection_acknowledged:
            await self.close(UNAUTHORIZED, "Send connection_init, and wait for its connection_ack")
            return
        identifier = message["id"]
        if identifier in self.operations:
            await self.close(ALREADY_EXISTS, f"Subscriber for {identifier} already exists")
            return
        try:
            self.demand_room()
            request = from_parameters(cast("dict[str, object]", message["payload"]))
        except Malformed as malformed:
            await self.close(INVALID_MESSAGE, malformed.message)
            return
        except Refused as refused:
            errors = [refused.formatted(new_request_id())]
            await self.send_message(cast("Message", {"id": identifier, "type": "error", "payload": errors}))
            return
        self.begin(identifier, request)

    def demand_room(self) -> None:
        """Raise `Refused` when the socket runs as many operations as it may."""
        if len(self.operations) >= self.limits.per_socket:
            raise Refused(
                f"A socket may run {self.limits.per_socket} operations at once; this one does.", code=RATE_LIMITED
            )

    def begin(self, identifier: str, request: Request) -> None:
        """Run a request under an id that is free."""
        operation = Running(self, identifier, request)
        operation.task = asyncio.create_task(self.run_operation(operation))
        operation.task.add_done_callback(self._task_done)
        self.operations[identifier] = operation

    async def run_operation(self, operation: Operation[Any, None]) -> None:
        """The task of one operation: answers until it completes, fails or is cancelled."""
        context = RequestContext(
            dependencies=self.dependencies,
            actor=self.session.actor if self.session else None,
            session=self.session,
            request_id=new_request_id(),
            client_address=self.client_address,
            budgets=self.executor.budgets,
            connection=self.monitor,
        )
        running = cast("Running", operation)
        running.context, request = context, running.request
        self.sockets.operations += 1
        try:
            await self.answer(operation, request, context)
        except (WebSocketDisconnected, HubClosed):
            return  # nobody listens any more, or the server goes away and the socket with it
        except asyncio.CancelledError:
            if is_cancellation_requested():
                raise
            await self.mask(operation, RuntimeError("an operation was cancelled though nobody asked"), context)
        except Exception as error:  # noqa: BLE001 - masked, and logged with its request id
            await self.mask(operation, error, context)
        finally:
            self.sockets.operations -= 1

    async def answer(self, operation: Operation[Any, None], request: Request, context: RequestContext) -> None:
        """Send what an operation gives."""
        try:
            prepared = cast("Running", operation).prepared = self.executor.prepare(request, context)
            points = self.executor.charge(prepared, request, context)
        except DocumentInvalid as invalid:
            await self.fail(operation, [formatted(error, context.request_id) for error in invalid.errors])
            return
        except Refused as refused:
            await self.fail(operation, [refused.formatted(context.request_id)])
            return
        if prepared.kind is not OperationType.SUBSCRIPTION:
            answer = await self.executor.execute(prepared, request, context, points)
            if not answer.executed:
                await self.fail(operation, answer.body["errors"])
                return
            await self.forward(operation, answer.body)
        elif self.fanout.serves(prepared, context):
            viewer = Viewer(self.wire, operation.id)
            group = self.fanout.join(prepared, request, context, viewer)
            try:
                errors = await group.follow(viewer)
            finally:
                self.fanout.leave(group, viewer)
            if errors is not None:
                await self.fail(operation, errors)
                return
        else:
            source = await self.executor.subscribe(prepared, request, context)
            if isinstance(source, ExecutionResult):
                await self.fail(operation, shown(source, context).get("errors", []))
                return
            async with aclosing(cast("Any", source)) as results:
                async for result in results:
                    await self.forward(operation, shown(result, context))
        await operation.send_operation_message({"id": operation.id, "type": "complete"})

    async def forward(self, operation: Operation[Any, None], payload: dict[str, Any]) -> None:
        """Send one result."""
        await operation.send_operation_message(
            cast("Message", {"id": operation.id, "type": "next", "payload": payload})
        )

    async def fail(self, operation: Operation[Any, None], errors: list[dict[str, Any]]) -> None:
        """End an operation with errors."""
        await operation.send_operation_message(
            cast("Message", {"id": operation.id, "type": "error", "payload": errors})
        )

    async def take_over(self, session: Session) -> None:
        """Go on with other rights of the same caller: subscriptions that these do not allow end with FORBIDDEN.

        Another has the new rights from its next event on. A state is executed anew, as its viewers share it by their
        rights; its snapshot comes again.
        """
        before, self.session = self.session, session
        if before is None or before.actor.rights == session.actor.rights:
            return
        for operation in list(self.operations.values()):
            running = cast("Running", operation)
            if running.prepared is None or running.context is None:
                continue  # it begins with the new rights
            if running.prepared.kind is not OperationType.SUBSCRIPTION:
                continue
            permission = self.executor.permission(running.prepared)
            shared = watches_a_state(self.executor.schema, running.prepared)
            if not shared and (permission is None or session.actor.may(permission)):
                running.context.go_on_as(session)
                continue
            await self.cleanup_operation(running.id)
            self.begin(running.id, running.request)

    async def mask(self, operation: Operation[Any, None], error: Exception, context: RequestContext) -> None:
        """End an operation that failed on our side; the client gets the request id, the log the rest."""
        masked = formatted(GraphQLError(str(error), original_error=error), context.request_id)
        with suppress(WebSocketDisconnected):
            await self.fail(operation, [masked])

    async def cleanup_operation(self, operation_id: str) -> None:
        """Cancel an operation; its id is free at once."""
        operation = self.operations.pop(operation_id, None)
        if operation is not None and operation.task is not None:
            self.ending.add(operation.task)
            operation.task.add_done_callback(self.ending.discard)
            operation.task.add_done_callback(release_traceback)
            operation.task.cancel()

    def press(self) -> None:
        """Cancel again what was cancelled and runs on: see `cancel_and_wait`."""
        for task in self.ending:
            task.cancel()

    async def shutdown(self) -> None:
        """Release everything that the connection held."""
        if self.monitor is not None:
            await self.monitor.end()
            self.sockets.leave(self.monitor.session.actor)
            self.monitor = None
        running = [operation.task for operation in self.operations.values() if operation.task is not None]
        await cancel_and_wait([*running, *self.ending])
        await super().shutdown()


class Running(Operation[Any, None]):
    """An operation with its request."""

    __slots__ = ("context", "prepared", "request")

    def __init__(self, connection: Connection, identifier: str, request: Request) -> None:
        super().__init__(connection, identifier, request.query, request.variables, request.operation_name)
        self.request = request
        self.prepared: Prepared | None = None
        self.context: RequestContext | None = None


def objection(message: object) -> str | None:
    """What a message lacks to be one of the protocol's; its type and the request in it are judged elsewhere."""
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return "A message must be an object with a type"
    kind, identifier, payload = message["type"], message.get("id"), message.get("payload")
    if kind in {"subscribe", "complete"} and (not isinstance(identifier, str) or not identifier):
        return f"A {kind} message needs an id: a string that is not empty"
    if kind == "subscribe" and not isinstance(payload, dict):
        return "A subscribe message needs a payload: an object with the query"
    if kind != "complete" and payload is not None and not isinstance(payload, dict):
        return f"The payload of a {kind} message must be an object"
    return None
