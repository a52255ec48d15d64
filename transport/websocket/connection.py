"""One WebSocket connection: Strawberry's handler of the protocol, with our authentication, limits and errors."""

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
from transport.documents import DocumentInvalid, PreparedOperation
from transport.errors import RATE_LIMITED, MalformedRequest, RequestRefused, format_error
from transport.executor import Executor, result_body
from transport.requests import GraphQLRequest, from_parameters
from transport.websocket.adapter import WebSocketAdapter
from transport.websocket.fanout import FanOut, Subscriber, is_state_subscription
from transport.websocket.frames import text_frame
from transport.websocket.monitoring import ConnectionMonitor
from transport.websocket.open_connections import OpenConnections

INVALID_MESSAGE = 4400
UNAUTHORIZED = 4401
TRY_AGAIN = 1013
INIT_TIMEOUT = 4408
ALREADY_EXISTS = 4409
TOO_MANY_REQUESTS = 4429
PING = text_frame(b'{"type":"ping"}')

log = logger(__name__)


class Connection(BaseGraphQLTransportWSHandler[Any, None]):
    """A client on `graphql-transport-ws`, authenticated by its connection_init."""

    def __init__(
        self,
        executor: Executor,
        fanout: FanOut,
        connections: OpenConnections,
        adapter: WebSocketAdapter,
        *,
        dependencies: Dependencies,
        client_address: str,
    ) -> None:
        super().__init__(
            view=cast("Any", None),  # connection_init is answered here
            websocket=cast("Any", adapter),
            context=None,
            root_value=None,
            schema=cast("Any", None),  # operations run in the executor
            connection_init_wait_timeout=timedelta(seconds=connections.limits.init_timeout_seconds),
        )
        self.dependencies = dependencies
        self.executor = executor
        self.fanout = fanout
        self.connections = connections
        self.adapter = adapter
        self.client_address = client_address
        self.limits = connections.limits
        self.session: Session | None = None
        self.monitor: ConnectionMonitor | None = None
        self.cancelled_tasks: set[asyncio.Task[Any]] = set()

    async def close(self, code: int, reason: str) -> None:
        """Close the connection with a code and a reason for the client."""
        await self.adapter.close(code, reason)

    async def ping(self) -> None:
        """Send a ping; the client must reply with a pong."""
        if self.adapter.write_frame is not None and self.adapter.write_frame(PING):
            return
        with suppress(WebSocketDisconnected):
            await self.send_message({"type": "ping"})

    async def handle_message(self, message: Message) -> None:
        """Handle a message of the client; one that breaks the protocol closes the connection."""
        error = _protocol_error(message)
        if error is not None:
            await self.close(INVALID_MESSAGE, error)
            return
        await super().handle_message(message)

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Authenticate the caller, apply the limits, acknowledge, and start monitoring the connection."""
        if self.connection_timed_out:
            return
        if self.connection_init_received:
            await self.close(TOO_MANY_REQUESTS, "Too many initialisation requests")
            return
        self.connection_init_received = True
        if self.connection_init_timeout_task:
            self.connection_init_timeout_task.cancel()
        session = await self._admit(cast("dict[str, object]", message.get("payload") or {}))
        if session is None:
            return
        self.session = session
        await self.send_message({"type": "connection_ack"})
        self.connection_acknowledged = True

    async def _admit(self, payload: dict[str, object]) -> Session | None:
        """The session of the authenticated caller, whose connection is counted; None after closing the connection."""
        header = payload.get("authorization") or payload.get("Authorization")
        if not isinstance(header, str) or not header:
            await self.close(UNAUTHORIZED, "connectionParams need {authorization: 'Bearer <access token>'}")
            return None
        try:
            async with deadline(self.limits.init_timeout_seconds):
                session, error = await authenticate(self.dependencies.identity, header)
        except TimeoutError:
            await self.close(INIT_TIMEOUT, "Connection initialisation timeout")
            return None
        except Exception:
            # Not 1011, because clients do not reconnect after it.
            log.exception("a WebSocket's caller could not be authenticated")
            await self.close(TRY_AGAIN, "Internal error; try again")
            return None
        if session is None:
            # Not 4403: clients would reconnect with the same token repeatedly, and report no error to their caller.
            await self.close(UNAUTHORIZED, str(error))
            return None
        reason = self.connections.admit(session.actor)
        if reason is not None:
            await self.close(TOO_MANY_REQUESTS, reason)
            return None
        token = header.partition(" ")[2].strip()
        self.monitor = ConnectionMonitor(self.dependencies, self.limits, session, token=token, connection=self)
        return session

    async def handle_pong(self, message: PongMessage) -> None:  # noqa: ARG002 - Strawberry's signature
        """Reset the count of missed pongs."""
        if self.monitor is not None:
            self.monitor.missed_pongs = 0

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Start an operation."""
        if not self.connection_acknowledged:
            await self.close(UNAUTHORIZED, "Send connection_init, and wait for its connection_ack")
            return
        identifier = message["id"]
        if identifier in self.operations:
            await self.close(ALREADY_EXISTS, f"Subscriber for {identifier} already exists")
            return
        try:
            self._require_free_slot()
            request = from_parameters(cast("dict[str, object]", message["payload"]))
        except MalformedRequest as malformed:
            await self.close(INVALID_MESSAGE, malformed.message)
            return
        except RequestRefused as refusal:
            errors = [refusal.to_dict(new_request_id())]
            await self.send_message(cast("Message", {"id": identifier, "type": "error", "payload": errors}))
            return
        self._start(identifier, request)

    def _require_free_slot(self) -> None:
        """Raise `RequestRefused` when the connection runs the maximum number of operations."""
        if len(self.operations) >= self.limits.per_socket:
            raise RequestRefused(
                f"A connection may run {self.limits.per_socket} operations at once; this one already does.",
                code=RATE_LIMITED,
            )

    def _start(self, identifier: str, request: GraphQLRequest) -> None:
        """Run a request under an id that is not in use."""
        operation = RunningOperation(self, identifier, request)
        operation.task = asyncio.create_task(self.run_operation(operation))
        operation.task.add_done_callback(self._task_done)
        self.operations[identifier] = operation

    async def run_operation(self, operation: Operation[Any, None]) -> None:
        """The task of one operation, until it completes, fails or is cancelled."""
        context = RequestContext(
            dependencies=self.dependencies,
            actor=self.session.actor if self.session else None,
            session=self.session,
            request_id=new_request_id(),
            client_address=self.client_address,
            budgets=self.executor.budgets,
            connection=self.monitor,
        )
        running = cast("RunningOperation", operation)
        running.context, request = context, running.request
        self.connections.operations += 1
        try:
            await self._respond(operation, request, context)
        except (WebSocketDisconnected, HubClosed):
            return  # the client has disconnected, or the server is shutting down and closes the connection
        except asyncio.CancelledError:
            if is_cancellation_requested():
                raise
            await self._send_masked_error(operation, RuntimeError("an operation was cancelled unexpectedly"), context)
        except Exception as error:  # noqa: BLE001 - masked, and logged with its request id
            await self._send_masked_error(operation, error, context)
        finally:
            self.connections.operations -= 1

    async def _respond(
        self, operation: Operation[Any, None], request: GraphQLRequest, context: RequestContext
    ) -> None:
        """Run an operation and send its results."""
        try:
            prepared = cast("RunningOperation", operation).prepared = self.executor.prepare(request, context)
            points = self.executor.charge(prepared, request, context)
        except DocumentInvalid as invalid:
            await self._send_error(operation, [format_error(error, context.request_id) for error in invalid.errors])
            return
        except RequestRefused as refusal:
            await self._send_error(operation, [refusal.to_dict(context.request_id)])
            return
        if prepared.kind is not OperationType.SUBSCRIPTION:
            response = await self.executor.execute(prepared, request, context, points)
            if not response.executed:
                await self._send_error(operation, response.body["errors"])
                return
            await self._send_next(operation, response.body)
        elif self.fanout.can_share(prepared, context):
            subscriber = Subscriber(self.adapter, operation.id)
            group = self.fanout.join(prepared, request, context, subscriber)
            try:
                errors = await group.serve(subscriber)
            finally:
                self.fanout.leave(group, subscriber)
            if errors is not None:
                await self._send_error(operation, errors)
                return
        else:
            source = await self.executor.subscribe(prepared, request, context)
            if isinstance(source, ExecutionResult):
                await self._send_error(operation, result_body(source, context).get("errors", []))
                return
            async with aclosing(cast("Any", source)) as results:
                async for result in results:
                    await self._send_next(operation, result_body(result, context))
        await operation.send_operation_message({"id": operation.id, "type": "complete"})

    async def _send_next(self, operation: Operation[Any, None], payload: dict[str, Any]) -> None:
        """Send one result."""
        await operation.send_operation_message(
            cast("Message", {"id": operation.id, "type": "next", "payload": payload})
        )

    async def _send_error(self, operation: Operation[Any, None], errors: list[dict[str, Any]]) -> None:
        """End an operation with errors."""
        await operation.send_operation_message(
            cast("Message", {"id": operation.id, "type": "error", "payload": errors})
        )

    async def apply_session(self, session: Session) -> None:
        """Replace the session by one of the same caller with other permissions.

        Subscriptions that the new permissions do not allow end with FORBIDDEN; the others use the new permissions
        from the next event. A state subscription is restarted and sends a snapshot again, because only subscribers
        with the same permissions share an execution.
        """
        before, self.session = self.session, session
        if before is None or before.actor.rights == session.actor.rights:
            return
        for operation in list(self.operations.values()):
            running = cast("RunningOperation", operation)
            if running.prepared is None or running.context is None:
                continue  # not started, so it will run with the new permissions, or failed
            if running.prepared.kind is not OperationType.SUBSCRIPTION:
                continue
            permission = self.executor.required_permission(running.prepared)
            shared = is_state_subscription(self.executor.schema, running.prepared)
            if not shared and (permission is None or session.actor.may(permission)):
                running.context.apply_session(session)
                continue
            await self.cleanup_operation(running.id)
            self._start(running.id, running.request)

    async def _send_masked_error(
        self, operation: Operation[Any, None], error: Exception, context: RequestContext
    ) -> None:
        """End an operation after an internal error: the client gets the request id, the log the details."""
        masked = format_error(GraphQLError(str(error), original_error=error), context.request_id)
        with suppress(WebSocketDisconnected):
            await self._send_error(operation, [masked])

    async def cleanup_operation(self, operation_id: str) -> None:
        """Cancel an operation; its id can be reused immediately."""
        operation = self.operations.pop(operation_id, None)
        if operation is not None and operation.task is not None:
            self.cancelled_tasks.add(operation.task)
            operation.task.add_done_callback(self.cancelled_tasks.discard)
            operation.task.add_done_callback(release_traceback)
            operation.task.cancel()

    def recancel(self) -> None:
        """Cancel again the tasks that still run, because a library can lose a cancellation: see `cancel_and_wait`."""
        for task in self.cancelled_tasks:
            task.cancel()

    async def shutdown(self) -> None:
        """Stop the monitor and all operations, and stop counting the connection."""
        if self.monitor is not None:
            await self.monitor.stop()
            self.connections.release(self.monitor.session.actor)
            self.monitor = None
        running = [operation.task for operation in self.operations.values() if operation.task is not None]
        await cancel_and_wait([*running, *self.cancelled_tasks])
        await super().shutdown()


class RunningOperation(Operation[Any, None]):
    """A running operation with its request."""

    __slots__ = ("context", "prepared", "request")

    def __init__(self, connection: Connection, identifier: str, request: GraphQLRequest) -> None:
        super().__init__(connection, identifier, request.query, request.variables, request.operation_name)
        self.request = request
        self.prepared: PreparedOperation | None = None
        self.context: RequestContext | None = None


def _protocol_error(message: object) -> str | None:
    """Why a message is invalid, or None. An unknown type and the request itself are checked elsewhere."""
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
