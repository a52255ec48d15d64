"""Nothing remains of connections that have ended."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from functools import partial

import aiohttp
import pytest
from graphql.execution import Executor
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import Operation
from structlog.testing import capture_logs
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from websockets.server import ServerProtocol

from core.pubsub import HubStatistics
from resolvers.context import RequestContext
from runtime import Runtime
from tests.graphql.sockets import PROTOCOL, Socket, connected, settles
from tests.graphql.test_sockets import empty, member
from tests.serving import Served
from tests.waiting import WAIT_SECONDS
from transport.requests import GraphQLRequest
from transport.websocket.adapter import WebSocketAdapter
from transport.websocket.connection import Connection
from transport.websocket.fanout import Subscriber, SubscriberGroup
from transport.websocket.frames import FrameProtocol
from transport.websocket.monitoring import ConnectionMonitor

NOTHING = HubStatistics(topics=0, watchers=0, shared=0, tasks=0, channels=0, pending=0)


async def test_many_sockets_dropped_at_once_leave_nothing_behind(
    probe_server: Served, runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    """300 subscribed clients drop without closing: no connection, task, subscriber or log line remains."""
    sockets = []
    before = len(asyncio.all_tasks())
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for _ in range(15):
            _, token = await member(runtime)
            for _ in range(20):
                socket = Socket(await session.ws_connect(probe_server.websocket_url, protocols=[PROTOCOL]))
                await socket.ready(token)
                await socket.subscribe("subscription { watched }")
                sockets.append(socket)
        for socket in sockets:
            await socket.next()
        for socket in sockets:
            response = socket.raw._response
            assert response.connection is not None
            assert response.connection.transport is not None
            response.connection.transport.abort()
    await settles(lambda: empty(probe_server))
    await settles(lambda: runtime.hub.statistics() == NOTHING)
    await settles(lambda: len(asyncio.all_tasks()) <= before + 2)
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err


ENDED = (
    FrameProtocol,
    HttpToolsProtocol,
    ServerProtocol,
    Connection,
    WebSocketAdapter,
    ConnectionMonitor,
    Operation,
    SubscriberGroup,
    Subscriber,
    RequestContext,
    GraphQLRequest,
    Executor,
)


def remaining_objects() -> set[int]:
    """The objects of connections and of their operations that exist."""
    return {id(each) for each in gc.get_objects() if isinstance(each, ENDED)}


async def is_silent(socket: Socket) -> None:
    """Sends nothing more."""


async def asks(socket: Socket, query: str) -> None:
    """Receives the result of a query, or the first of many."""
    await socket.subscribe(query)
    assert (await socket.next())["type"] == "next"


async def completes(socket: Socket, query: str) -> None:
    """Completes its operation and starts another one."""
    await asks(socket, query)
    await socket.send({"type": "complete", "id": "1"})
    await socket.subscribe("{ __typename }", "2")
    while (await socket.next())["id"] != "2":
        pass


async def sends_invalid(socket: Socket, text: str) -> None:
    """Is closed because it sends an invalid message."""
    await socket.raw.send_str(text)
    await socket.closed()


CLIENTS: dict[str, Callable[[Socket], Awaitable[None]]] = {
    "silent": is_silent,
    "query": partial(asks, query="{ viewer { role } }"),
    "state": partial(asks, query="subscription { board }"),
    "state that ends": partial(asks, query="subscription { ending }"),
    "log": partial(asks, query="subscription { count(to: 100, pause: 1) }"),
    "log that fails": partial(asks, query="subscription { fails }"),
    "stream of the hub": partial(asks, query="subscription { watched }"),
    "state, completed": partial(completes, query="subscription { board }"),
    "log, completed": partial(completes, query="subscription { count(to: 100, pause: 1) }"),
    "no JSON": partial(sends_invalid, text="no JSON"),
    "too much": partial(sends_invalid, text='"' + "x" * 70_000 + '"'),
}


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
@pytest.mark.parametrize("politely", [True, False])
async def test_an_ended_socket_leaves_nothing_to_the_garbage_collector(
    probe_server: Served, runtime: Runtime, client: Callable[[Socket], Awaitable[None]], *, politely: bool
) -> None:
    """However it was used and however it ends, all its objects are freed by reference counting."""
    _, token = await member(runtime)

    async def visit() -> None:
        async with connected(probe_server) as socket:
            await socket.ready(token)
            await client(socket)
            connection = socket.raw._response.connection
            if not politely and connection is not None and connection.transport is not None:
                connection.transport.abort()

    await visit()
    await settles(lambda: empty(probe_server))
    gc.collect()
    gc.disable()
    try:
        before = remaining_objects()
        with capture_logs():  # printing an error may refer to the variables of its frames, which keeps them
            for _ in range(2):
                await visit()
            await settles(lambda: empty(probe_server))
        await settles(lambda: not remaining_objects() - before, within=WAIT_SECONDS)
    finally:
        gc.enable()
