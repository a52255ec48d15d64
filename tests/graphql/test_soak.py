"""Hundreds of clients that come and go leave nothing behind."""

import asyncio

import aiohttp
import pytest

from core.ids import encode_global_id
from core.pubsub import HubStatistics
from services.runtime import Runtime
from tests import factories
from tests.graphql.sockets import PROTOCOL, Socket, settles
from tests.serving import served

ORGANIZATIONS = 50
SOCKETS = 20
NOTHING = HubStatistics(topics=0, viewers=0, shared=0, tasks=0, channels=0, pending=0)
WATCH = "subscription ($id: ID!) { campaignProgress(campaignId: $id) { sequence status audience } }"


async def arrive(session: aiohttp.ClientSession, url: str, token: str, campaign: str) -> Socket:
    """A client that watches a campaign and has seen its first state."""
    socket = Socket(await session.ws_connect(url, protocols=[PROTOCOL]))
    await socket.ready(token)
    await socket.subscribe(WATCH, variables={"id": campaign})
    assert (await socket.next(30))["payload"]["data"]["campaignProgress"]["status"] == "DRAFT"
    return socket


@pytest.mark.slow
async def test_soak_a_thousand_watchers_drop_at_once(
    fresh_runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice 1,000 sockets with a subscription each: dropped without a word, nothing of them remains."""
    async with served(fresh_runtime) as server:
        door = server.application.door
        assert door is not None
        callers = []
        for _ in range(ORGANIZATIONS):
            principal = await factories.organization(fresh_runtime)
            campaign = encode_global_id("Campaign", await factories.campaign(fresh_runtime, principal))
            callers.append((factories.token(fresh_runtime, principal), campaign))
        before = len(asyncio.all_tasks())
        for _ in range(2):
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
                crowd: list[Socket] = []
                for token, campaign in callers:
                    arrivals = (arrive(session, server.websocket_url, token, campaign) for _ in range(SOCKETS))
                    crowd += await asyncio.gather(*arrivals)
                assert door.sockets.statistics().operations == ORGANIZATIONS * SOCKETS
                for socket in crowd:
                    connection = socket.raw._response.connection
                    assert connection is not None
                    assert connection.transport is not None
                    connection.transport.abort()
            await settles(lambda: door.sockets.statistics().open == 0, within=20)
            await settles(lambda: fresh_runtime.hub.statistics() == NOTHING, within=20)
            await settles(lambda: len(asyncio.all_tasks()) <= before, within=20)
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
