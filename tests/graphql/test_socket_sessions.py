"""A connection ends with its caller's token or session."""

import asyncio

import aiohttp
import asyncpg
import pytest
from sqlalchemy import func, update
from structlog.testing import capture_logs

from core.access.permissions import Role
from core.pubsub import PREFIX, session_topic
from models.accounts import User, UserSession
from runtime import Runtime, running
from services.accounts.sessions import open_session
from tests import factories
from tests.conftest import Servers, copy_template, settings_for
from tests.graphql.sockets import Socket, connected, settles
from tests.graphql.test_sockets import empty, expiring, member, strict
from tests.serving import Served, served
from tests.waiting import WAIT_SECONDS


async def test_the_socket_ends_with_its_token(probe_server: Served, runtime: Runtime) -> None:
    """When the access token expires the connection closes with 4403."""
    async with expiring(runtime, probe_server) as socket:
        assert await socket.closed() == (4403, "The access token has expired")


async def answer_pings(socket: Socket) -> tuple[int | None, str]:
    """Reply to every ping until the server closes; returns how it closed."""
    while True:
        message = await socket.raw.receive(WAIT_SECONDS)
        if message.type is not aiohttp.WSMsgType.TEXT:
            return socket.raw.close_code, str(message.extra or "")
        await socket.send({"type": "pong"})


async def test_a_session_that_ended_or_changed_closes_its_sockets(runtime: Runtime) -> None:
    """Logging out elsewhere, a new role, a disabled person: each closes with 4403 at the next recheck."""
    changes = {
        "session has ended": update(UserSession).values(ended_at=func.now()),
        "permissions have changed": update(User).values(role=Role.VIEWER),
        "session has ended; log": update(User).values(disabled_at=func.now()),
    }
    for expected, change in changes.items():
        actor, token = await member(runtime)
        async with strict(runtime, recheck_seconds=0.15) as server, connected(server) as socket:
            await socket.ready(token)
            async with runtime.work.begin(actor) as uow:
                await uow.execute(change)
            code, reason = await answer_pings(socket)
        assert code == 4403
        assert expected in reason


async def subscribers(runtime: Runtime, topic: str) -> int:
    """How many connections are subscribed to a topic at Redis."""
    ((_, count),) = await runtime.cache.pubsub_numsub(PREFIX + topic)
    return int(count)


@pytest.mark.parametrize("change", ["logged out", "role", "disabled"])
async def test_an_announcement_closes_sockets_before_the_next_recheck(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Any change or end of a session closes all its connections when it is published."""
    monkeypatch.setattr("transport.websocket.monitoring.GAP_SPREAD_SECONDS", 3600.0)  # each topic begins with a gap
    actor, _ = await member(runtime)
    async with runtime.work.begin(actor) as uow:
        session_id = (await open_session(uow, actor.require_user_id(), days=1)).session_id
    token, topic = factories.token(runtime, actor, session_id=session_id), session_topic(actor.require_user_id())
    async with strict(runtime) as server, connected(server) as one, connected(server) as other:
        await one.ready(token)
        await other.ready(token)
        async with asyncio.timeout(WAIT_SECONDS):
            while not await subscribers(runtime, topic):  # noqa: ASYNC110 - Redis has no event for it
                await asyncio.sleep(0.01)
        if change == "logged out":
            await one.subscribe("mutation { logOut(input: {}) { ended } }")
        else:
            values = {"role": Role.VIEWER} if change == "role" else {"disabled_at": func.now()}
            async with runtime.work.begin(actor) as uow:
                await uow.execute(update(User).values(**values))
                uow.publish(topic)
        closings = [await socket.closed() for socket in (one, other)]
    assert [code for code, _ in closings] == [4403, 4403]


async def test_an_outage_during_authentication_asks_to_retry(servers: Servers) -> None:
    """While the database is unavailable a client is closed with 1013, on which it retries; the cause is logged."""
    async with running(settings_for(servers, await copy_template(servers))) as doomed, served(doomed) as server:
        _, token = await member(doomed)
        admin = await asyncpg.connect(servers.postgres.admin_url)
        name = str(doomed.engine.url.database)
        with capture_logs() as logged:
            async with connected(server) as socket:
                await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
                await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
                await socket.init(token)
                assert await socket.closed() == (1013, "Internal error; try again")
        await admin.close()
        assert [line["log_level"] for line in logged if "caller" in line["event"]] == ["error"]
        await settles(lambda: empty(server))
