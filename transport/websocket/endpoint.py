"""The ASGI application behind `/graphql` for WebSockets: the sub-protocol `graphql-transport-ws` alone."""

from starlette.types import Receive, Scope, Send

from core.telemetry import logger
from resolvers.context import Dependencies
from transport.executor import Executor
from transport.http.endpoint import client_address
from transport.websocket.adapter import WebSocketAdapter
from transport.websocket.connection import TRY_AGAIN, Connection
from transport.websocket.fanout import FanOut
from transport.websocket.frames import frame_writer
from transport.websocket.open_connections import GOING_AWAY, OpenConnections

PROTOCOL = "graphql-transport-ws"
NOT_ACCEPTABLE = 4406

log = logger(__name__)


class WebSocketEndpoint:
    """Accepts WebSockets and serves each until it closes."""

    def __init__(
        self, dependencies: Dependencies, executor: Executor, fanout: FanOut, connections: OpenConnections
    ) -> None:
        self.dependencies = dependencies
        self.executor = executor
        self.fanout = fanout
        self.connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket until it closes; the client may disconnect at any moment."""
        offered = PROTOCOL in scope.get("subprotocols", [])
        timeout = self.connections.limits.send_timeout_seconds
        adapter = WebSocketAdapter(receive, send, send_timeout=timeout, write_frame=frame_writer(scope))
        await receive()
        try:
            await send({"type": "websocket.accept", "subprotocol": PROTOCOL if offered else None})
        except OSError:
            return
        if not offered:
            await adapter.close(NOT_ACCEPTABLE, f"Only the sub-protocol {PROTOCOL} is served")
            return
        if self.connections.closing:
            await adapter.close(GOING_AWAY, "The server is shutting down")
            return
        if self.connections.too_many_unauthenticated:
            # Not 4429, on which clients do not reconnect: this client did not cause the limit to be reached.
            await adapter.close(TRY_AGAIN, "Too many unauthenticated connections; try again")
            return
        connection = Connection(
            self.executor,
            self.fanout,
            self.connections,
            adapter,
            dependencies=self.dependencies,
            client_address=client_address(scope),
        )
        self.connections.open.add(connection)
        try:
            await connection.handle()
        finally:
            self.connections.open.discard(connection)
