"""The ASGI application behind `/graphql` for websockets: `graphql-transport-ws` and nothing else."""

from starlette.types import Receive, Scope, Send

from core.telemetry import logger
from resolvers.context import Dependencies
from transport.executor import Executor
from transport.http.endpoint import client_address
from transport.websocket.connection import TRY_AGAIN, Connection
from transport.websocket.fanout import FanOut
from transport.websocket.frames import writer
from transport.websocket.sockets import GOING_AWAY, Sockets
from transport.websocket.wire import Wire

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
        """Serve one websocket; a client that leaves at any moment is nothing unusual."""
        offered = PROTOCOL in scope.get("subprotocols", [])
        timeout = self.sockets.limits.send_timeout_seconds
        wire = Wire(receive, send, send_timeout=timeout, write=writer(scope))
        await receive()
        try:
            await send({"type": "websocket.accept", "subprotocol": PROTOCOL if offered else None})
        except OSError:
            return
        if not offered:
            await wire.close(NOT_ACCEPTABLE, f"Only the sub-protocol {PROTOCOL} is served")
            return
        if self.sockets.closing:
            await wire.close(GOING_AWAY, "The server goes away")
            return
        if self.sockets.crowded:
            # Not 4429, on which clients give up: those who meet it are not the ones who caused it.
            await wire.close(TRY_AGAIN, "Too many sockets wait to be authenticated; try again")
            return
        connection = Connection(
            self.executor,
            self.fanout,
            self.sockets,
            wire,
            dependencies=self.dependencies,
            client_address=client_address(scope),
        )
        self.sockets.open.add(connection)
        try:
            await connection.handle()
        finally:
            self.sockets.open.discard(connection)
