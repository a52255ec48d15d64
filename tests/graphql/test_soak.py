"""Hundreds of clients that connect and disconnect leave nothing behind."""

import asyncio

import aiohttp
import pytest

from core.ids import encode_global_id
from core.pubsub import HubStatistics
from runtime import Runtime
from tests import factories
from tests.graphql.sockets import PROTOCOL, Socket, settles
from tests.serving import served
from tests.waiting import until
from transport.websocket.open_connections import ConnectionStatistics

SOCKETS_EACH = 20
NOTHING = HubStatistics(topics=0, watchers=0, shared=0, tasks=0, channels=0, pending=0)
NO_CONNECTIONS = ConnectionStatistics(open=0, authenticated=0, operations=0)
WATCH = "subscription ($id: ID!) { campaignProgress(campaignId: $id) { sequence status audience } }"


async def connect_watcher(session: aiohttp.ClientSession, url: str, token: str, campaign: str) -> Socket:
    """A client that subscribes to a campaign and has received its first state."""
    socket = Socket(await session.ws_connect(url, protocols=[PROTOCOL]))
    await socket.ready(token)
    await socket.subscribe(WATCH, variables={"id": campaign})
    assert (await socket.next())["payload"]["data"]["campaignProgress"]["status"] == "DRAFT"
    return socket


def drop(socket: Socket) -> None:
    """Abort a client's connection."""
    connection = socket.raw._response.connection
    assert connection is not None
    assert connection.transport is not None
    connection.transport.abort()


async def channels(runtime: Runtime) -> set[bytes]:
    """The channels with subscribers at Redis."""
    return set(await runtime.cache.pubsub_channels())


async def has_more_channels(runtime: Runtime, before: set[bytes], more: int) -> bool:
    """Whether so many more channels have subscribers; Redis reports each when it is subscribed."""
    return len(await channels(runtime) - before) == more


async def soak(runtime: Runtime, *, organizations: int, rounds: int) -> None:
    """Open 20 subscribed connections for each organization and abort them together; no state remains."""
    async with served(runtime) as server:
        endpoint = server.application.endpoint
        assert endpoint is not None
        callers = []
        for _ in range(organizations):
            actor = await factories.organization(runtime)
            campaign = encode_global_id("Campaign", await factories.campaign(runtime, actor))
            callers.append((factories.token(runtime, actor), campaign))
        tasks, listened = len(asyncio.all_tasks()), await channels(runtime)
        for _ in range(rounds):
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
                sockets: list[Socket] = []
                for token, campaign in callers:
                    arrivals = (
                        connect_watcher(session, server.websocket_url, token, campaign) for _ in range(SOCKETS_EACH)
                    )
                    sockets += await asyncio.gather(*arrivals)
                assert endpoint.connections.statistics().operations == organizations * SOCKETS_EACH
                # One for each campaign, and one for each person's sessions.
                await until(lambda: has_more_channels(runtime, listened, 2 * organizations))
                for socket in sockets:
                    drop(socket)
            await settles(lambda: endpoint.connections.statistics() == NO_CONNECTIONS)
            await settles(lambda: runtime.hub.statistics() == NOTHING)
            await settles(lambda: len(asyncio.all_tasks()) <= tasks)
            await until(lambda: has_more_channels(runtime, listened, 0))


@pytest.mark.soak
async def test_soak_five_hundred_subscriptions_drop_at_once(
    fresh_runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    """No connection, task, subscriber, channel or log line remains of 500 subscriptions."""
    await soak(fresh_runtime, organizations=25, rounds=1)
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err


@pytest.mark.slow
@pytest.mark.soak
async def test_soak_a_thousand_subscriptions_three_times(
    fresh_runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same for 1,000 subscriptions, three times in a row."""
    await soak(fresh_runtime, organizations=50, rounds=3)
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
