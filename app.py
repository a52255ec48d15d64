"""The composition root: settings become a runtime, and a runtime an ASGI application. Nothing imports this module."""

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
from core.configuration import SettingsInvalid, variable
from core.supervision import SupervisedTaskEnded
from resolvers import build_schema, compiled
from routes import all_routes
from runtime import Runtime, check_servers, running
from settings import Settings, log_features_off
from transport import PATH, Endpoint, graphql_routes
from transport.websocket.frames import FrameProtocol

EXPOSED_HEADERS = ["x-request-id", "retry-after", "ratelimit", "ratelimit-policy"]
log = telemetry.logger(__name__)
COLLECTED_AFTER = (20_000, 20, 10)  # objects, and rounds of the generation before
# A process that has lost a supervised task says so at `/readyz` for this long, for load balancers, before it ends.
DRAIN_SECONDS = 3.0


class Application:
    """The ASGI application of a process. It is complete once the lifespan has opened `source`."""

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
        """Serve a connection; a plain GraphQL request without the middleware and the routes that it does not need."""
        if self.endpoint is not None and is_plain(scope):
            telemetry.request_path.set(PATH)
            await self.endpoint.http(scope, receive, send)
        else:
            if scope["type"] != "lifespan":
                telemetry.begin_request(scope["path"])
            await self.inner(scope, receive, with_request_id(send) if has_no_id(scope) else send)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Open the runtime, check the database, serve; release everything at the end."""
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
                self.inner = with_cors(Starlette(routes=routes), self.settings)
                # What lives now lives as long as the process: the collector need not look at it again.
                gc.collect()
                gc.freeze()
                # An answer is hundreds of objects that are dropped together, which the usual 700 would look through.
                gc.set_threshold(*COLLECTED_AFTER)
                with runtime.supervisors.on_unexpected_end(lambda: self.lose(runtime.supervisors.ended[-1])):
                    try:
                        yield
                    except asyncio.CancelledError:
                        # Nobody asks the server's lifespan to end in this way: the runtime closes under the requests.
                        self.lose("lifespan")
                        raise

    def lose(self, name: str) -> None:
        """Note what the process cannot do without and has lost, and tell the server."""
        self.lost = (*self.lost, name)
        if self.on_loss is not None:
            self.on_loss()

    async def close_sockets(self) -> None:
        """Tell every websocket that the server goes away (1001), so that clients come back elsewhere."""
        if self.endpoint is not None:
            await self.endpoint.sockets.close_all()


def is_plain(scope: Scope) -> bool:
    """Whether a request is a POST to the endpoint, of no web page: those may need the headers of CORS."""
    if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
        return False
    return not of_a_web_page(scope)


def of_a_web_page(scope: Scope) -> bool:
    """Whether a request has the Origin of a web page."""
    return b"origin" in [name for name, _ in scope["headers"]]


def has_no_id(scope: Scope) -> bool:
    """Whether a request may be answered without `X-Request-Id`, which the GraphQL endpoint sets itself."""
    return scope["type"] == "http" and (scope["path"] != PATH or of_a_web_page(scope))


def with_request_id(send: Send) -> Send:
    """Adds the request's id, which is on its log lines, to the headers of an answer that has none."""
    added = (b"x-request-id", telemetry.request_id.get().encode())

    async def send_with_id(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if added[0] not in [name.lower() for name, _ in headers]:
                message = {**message, "headers": [*headers, added]}
        await send(message)

    return send_with_id


def with_cors(application: Starlette, settings: Settings) -> ASGIApp:
    """The application, callable from the configured origins' web pages."""
    if not settings.cors_origins:
        return application
    return CORSMiddleware(
        application,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST"],
        allow_headers=["*"],  # whatever is asked for: no cookie of ours goes with it, see docs/clients.md
        expose_headers=EXPOSED_HEADERS,
        max_age=3600,
    )


def build(settings: Settings) -> Application:
    """The application of these settings; its lifespan opens and closes everything it needs."""
    return Application(settings, running(settings), build_schema())


def build_on(runtime: Runtime, schema: strawberry.Schema | None = None) -> Application:
    """The application on a runtime that somebody else opens and closes, with our schema or another."""

    @asynccontextmanager
    async def existing() -> AsyncIterator[Runtime]:
        yield runtime

    return Application(runtime.settings, existing(), schema or build_schema())


class WebSocketProtocol(FrameProtocol):
    """Uvicorn's, able to close a connection whose peer does not read: it would wait for it without end."""

    async def send(self, message: ASGISendEvent) -> None:
        """Send as uvicorn does, but never wait in order to close, and hang up when the peer does not answer.

        Raises `ClientDisconnected` once the socket has closed: closing wakes those who still wait to send.
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
    """Uvicorn, saying goodbye to websockets before it drops them."""

    def __init__(self, application: Application) -> None:
        self.application = application
        application.on_loss = self.end_soon
        super().__init__(server_config(application))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, and say where we listen."""
        await super().startup(sockets)
        if self.started:
            settings = self.application.settings
            graphiql = {"graphiql": settings.local_url + PATH} if settings.graphql.graphiql else {}
            log.info("API listening", url=settings.local_url + PATH, public_url=settings.public_url, **graphiql)

    def end_soon(self) -> None:
        """End when load balancers have had time to see at `/readyz` that they are to go elsewhere."""
        asyncio.get_running_loop().call_later(DRAIN_SECONDS, setattr, self, "should_exit", True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the websockets, then stop as uvicorn does."""
        for server in self.servers:
            server.close()
        await self.application.close_sockets()
        await super().shutdown(sockets)


def server_config(application: Application) -> uvicorn.Config:
    """How the application is served: our own log, pings, limits."""
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
    """The socket that the API takes connections on. Raises `SettingsInvalid` where it cannot be had."""
    host, port = settings.api.host, settings.api.port
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise SettingsInvalid(
            f"{variable('api', 'host')}, {variable('api', 'port')}: cannot listen on {host} port {port}: "
            f"{error.strerror}. Stop what listens there, or choose another port."
        ) from error
    return listener


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises what `check_servers` finds, before anything listens.

    Raises `SupervisedTaskEnded` when the process has lost a part of itself and has to be started again.
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
        raise SupervisedTaskEnded(f"The API has ended, as it has lost {', '.join(application.lost)}.")
