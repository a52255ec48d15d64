"""The composition root: builds the ASGI application and the server from settings. Nothing else imports it."""

import asyncio
import gc
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected

from core import metrics, selfcheck, telemetry
from core.configuration import InvalidSettings, variable
from core.supervision import SupervisedTaskEnded
from resolvers import build_schema, compiled
from routes import all_routes
from runtime import Runtime, check_servers, running
from settings import Settings, log_features_off
from transport import PATH, Endpoint, graphql_routes
from transport.websocket.frames import FrameProtocol

EXPOSED_HEADERS = ["x-request-id", "retry-after", "ratelimit", "ratelimit-policy"]
log = telemetry.logger(__name__)
GC_THRESHOLDS = (20_000, 20, 10)
# A process that has lost a supervised task reports it at `/readyz` for this long, for load balancers, then ends.
DRAIN_SECONDS = 3.0


class Application:
    """The ASGI application of a process. It serves requests after its lifespan has opened `source`."""

    def __init__(
        self, settings: Settings, source: AbstractAsyncContextManager[Runtime], schema: strawberry.Schema
    ) -> None:
        self.settings = settings
        self.source = source
        self.schema = schema
        self.endpoint: Endpoint | None = None
        self.lost: tuple[str, ...] = ()
        self.on_loss: Callable[[], object] | None = None
        self.inner: ASGIApp = Starlette(lifespan=lambda _: self.serving())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection; a plain GraphQL request bypasses the middleware and the router."""
        if self.endpoint is not None and is_plain(scope):
            telemetry.request_path.set(PATH)
            await self.endpoint.http(scope, receive, send)
        else:
            if scope["type"] != "lifespan":
                telemetry.begin_request(scope["path"])
            await self.inner(scope, receive, _with_request_id(send) if _needs_request_id(scope) else send)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """The lifespan: open the runtime, check the database, serve, and close everything."""
        async with self.source as runtime:
            await selfcheck.check(runtime.engine)
            self.endpoint = Endpoint.build(runtime, self.schema)
            async with self.endpoint.open():
                registry = metrics.registry(
                    partial(metrics.core_metrics, runtime.hub, runtime.engine),
                    compiled.metrics,
                    self.endpoint.metrics,
                )
                routes = [*graphql_routes(self.endpoint), *all_routes(runtime, registry)]
                self.inner = _with_cors(Starlette(routes=routes), self.settings)
                # The objects that exist now exist as long as the process: the garbage collector can skip them.
                gc.collect()
                gc.freeze()
                # A response is hundreds of objects that are freed together; the default of 700 would scan them.
                gc.set_threshold(*GC_THRESHOLDS)
                with runtime.supervisors.on_unexpected_end(lambda: self.lose(runtime.supervisors.ended[-1])):
                    try:
                        yield
                    except asyncio.CancelledError:
                        # The server does not cancel its lifespan: this is an error, and the runtime closes during
                        # requests.
                        self.lose("lifespan")
                        raise

    def lose(self, name: str) -> None:
        """Record the loss of a task that the process depends on, and notify the server."""
        self.lost = (*self.lost, name)
        if self.on_loss is not None:
            self.on_loss()

    async def close_websockets(self) -> None:
        """Close every WebSocket with 1001 (going away), so that clients reconnect elsewhere."""
        if self.endpoint is not None:
            await self.endpoint.connections.close_all()


def is_plain(scope: Scope) -> bool:
    """Whether a request is a POST to the GraphQL endpoint without an Origin, which needs no CORS headers."""
    if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
        return False
    return not _has_origin(scope)


def _has_origin(scope: Scope) -> bool:
    """Whether a request has an Origin header."""
    return b"origin" in [name for name, _ in scope["headers"]]


def _needs_request_id(scope: Scope) -> bool:
    """Whether the response may lack `X-Request-Id`, which the GraphQL endpoint sets itself."""
    return scope["type"] == "http" and (scope["path"] != PATH or _has_origin(scope))


def _with_request_id(send: Send) -> Send:
    """Wrap `send` to add the request id of the log lines to responses without one."""
    added = (b"x-request-id", telemetry.request_id.get().encode())

    async def send_with_id(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if added[0] not in [name.lower() for name, _ in headers]:
                message = {**message, "headers": [*headers, added]}
        await send(message)

    return send_with_id


def _with_cors(application: Starlette, settings: Settings) -> ASGIApp:
    """Wrap the application in the CORS middleware for the configured origins."""
    if not settings.cors_origins:
        return application
    return CORSMiddleware(
        application,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST"],
        allow_headers=["*"],  # any header: requests carry no cookies, see docs/clients.md
        expose_headers=EXPOSED_HEADERS,
        max_age=3600,
    )


def build(settings: Settings) -> Application:
    """The application for these settings; its lifespan opens and closes its runtime."""
    return Application(settings, running(settings), build_schema())


def build_on(runtime: Runtime, schema: strawberry.Schema | None = None) -> Application:
    """The application on a runtime that the caller opens and closes, with the product's schema or another."""

    @asynccontextmanager
    async def existing() -> AsyncIterator[Runtime]:
        yield runtime

    return Application(runtime.settings, existing(), schema or build_schema())


class WebSocketProtocol(FrameProtocol):
    """Uvicorn's WebSocket protocol, which also closes a connection whose client does not read."""

    async def send(self, message: ASGISendEvent) -> None:
        """Send as uvicorn does, except that a close frame does not wait, and closing has a timeout.

        Raises `ClientDisconnected` if the socket was closed, also meanwhile in another task.
        """
        if message["type"] == "websocket.close":
            self.writable.set()
        await self.writable.wait()
        if self.close_sent:
            raise ClientDisconnected
        await super().send(message)
        if self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)


class Server(uvicorn.Server):
    """Uvicorn's server, which closes WebSockets with a close frame at shutdown."""

    def __init__(self, application: Application) -> None:
        self.application = application
        application.on_loss = self.end_soon
        super().__init__(server_config(application))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, and log the address."""
        await super().startup(sockets)
        if self.started:
            settings = self.application.settings
            graphiql = {"graphiql": settings.local_url + PATH} if settings.graphql.graphiql else {}
            log.info("API listening", url=settings.local_url + PATH, public_url=settings.public_url, **graphiql)

    def end_soon(self) -> None:
        """Shut down after a delay in which load balancers can read the state of `/readyz`."""
        asyncio.get_running_loop().call_later(DRAIN_SECONDS, setattr, self, "should_exit", True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the WebSockets, then stop as uvicorn does."""
        for server in self.servers:
            server.close()
        await self.application.close_websockets()
        await super().shutdown(sockets)


def server_config(application: Application) -> uvicorn.Config:
    """Uvicorn's configuration, with the product's own logging, pings and limits."""
    settings = application.settings
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return uvicorn.Config(
        application,
        host=settings.api.host,
        port=settings.api.port,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.api.trusted_proxies),
        forwarded_allow_ips=settings.api.trusted_proxies,
        ws=WebSocketProtocol,
        ws_max_size=settings.realtime.message_limit_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        timeout_graceful_shutdown=10,
    )


def listen(settings: Settings) -> socket.socket:
    """Bind the listening socket of the API. Raises `InvalidSettings` if the address cannot be used."""
    host, port = settings.api.host, settings.api.port
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise InvalidSettings(
            f"{variable('api', 'host')}, {variable('api', 'port')}: cannot listen on {host} port {port}: "
            f"{error.strerror}. Stop what listens there, or choose another port."
        ) from error
    return listener


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises as `check_servers`, before it listens.

    Raises `SupervisedTaskEnded` at the end if the process has lost a task and must be restarted.
    """
    telemetry.configure(settings.log_level, json=settings.production, secrets=settings.secrets)
    asyncio.run(check_servers(settings))
    log_features_off(settings)
    application = build(settings)
    server = Server(application)
    listener = listen(settings)
    with listener:
        server.run(sockets=[listener])
    if application.lost:
        raise SupervisedTaskEnded(f"The API has ended because it lost {', '.join(application.lost)}.")
