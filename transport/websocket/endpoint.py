"""The ASGI application behind `/graphql` for websockets: the sub-protocol `graphql-transport-ws` alone."""

from starlette.types import Receive, Scope, Send

from core.telemetry import logger
from resolvers.context import Dependencies
from transport.executor import Executor
from transport.http.endpoint import client_address
from transport.websocket.adapter import WebSocketAdapter
from transport.websocket.connection import TRY_AGAIN, Connection
from transport.websocket.fanout import FanOut
from transport.websocket.frames import frame_writer
from transport.websocket.sockets import GOING_AWAY, Sockets

PROTOCOL = "graphql-transport-ws"
NOT_ACCEPTABLE = 4406

log = logger(__name__)


class WebSocketEndpoint:
    """Accepts websockets and serves each until it closes."""

    def __init__(self, dependencies: Dependencies, executor: Executor, fanout: FanOut, sockets: Sockets) -> None:
        self.dependencies = dependencies
        self.executor = executor
        self.fanout = fanout
        self.sockets = sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one websocket until it closes; the client may disconnect at any moment."""
        offered = PROTOCOL in scope.get("subprotocols", [])
        timeout = self.sockets.limits.send_timeout_seconds
        adapter = WebSocketAdapter(receive, send, send_timeout=timeout, write_frame=frame_writer(scope))
        await receive()
        try:
            await send({"type": "websocket.accept", "subprotocol": PROTOCOL if offered else None})
        except OSError:
            return
        if not offered:
            await adapter.close(NOT_ACCEPTABLE, f"Only the sub-protocol {PROTOCOL} is served")
            return
        if self.sockets.closing:
            await adapter.close(GOING_AWAY, "The server is shutting down")
            return
        if self.sockets.too_many_unauthenticated:
            # Not 4429, on which clients do not reconnect: this client did not cause the limit to be reached.
            await adapter.close(TRY_AGAIN, "Too many unauthenticated sockets; try again")
            return
        connection = Connection(
            self.executor,
            self.fanout,
            self.sockets,
            adapter,
            dependencies=self.dependencies,
            client_address=client_address(scope),
        )
        self.sockets.open.add(connection)
        try:
            await connection.handle()
        finally:
            self.sockets.open.discard(connection)
