"""Monitoring of connections: spreading the checks of many, and renewing a token that is about to expire."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import func, update

from core.access.actor import Actor
from core.access.permissions import Permission, Role
from core.access.rights import RIGHTS
from core.access.session import Session
from core.clock import since_boot
from core.database.engine import create_engine
from core.errors import Conflict, ErrorCode, InvalidInput
from models.accounts import UserSession
from runtime import Runtime
from services.accounts.identity import EmbeddedTokens, Identity
from services.accounts.session_cache import SessionCache, VerifiedClaims
from tests import factories
from tests.graphql.probe import with_settings
from tests.graphql.sockets import settles
from tests.waiting import WAIT_SECONDS
from transport.endpoint import build_dependencies
from transport.websocket.monitoring import GAP_SPREAD_SECONDS, ConnectionMonitor

CLIENTS = 40
PING_SECONDS, RECHECK_SECONDS = 1_000.0, 3_600.0


class FakeConnection:
    """A connection that ignores what its monitor does."""

    async def close(self, code: int, reason: str) -> None:
        """No monitor of these tests closes it."""
        raise AssertionError((code, reason))

    async def ping(self) -> None:
        """Nothing replies."""

    def recancel(self) -> None:
        """Nothing was cancelled."""

    async def apply_session(self, session: Session) -> None:
        """Its rights do not change."""


@pytest.fixture
async def clients(runtime: Runtime) -> AsyncIterator[list[ConnectionMonitor]]:
    """The monitors of many connections of one person, opened at the same moment; none has started yet."""
    actor = await factories.organization(runtime)
    token = factories.token(runtime, actor)
    calm = with_settings(runtime, realtime={"ping_seconds": PING_SECONDS, "recheck_seconds": RECHECK_SECONDS})
    used, limits, session = build_dependencies(calm), calm.settings.realtime, factories.session(actor)
    monitors = [
        ConnectionMonitor(used, limits, session, token=token, connection=FakeConnection()) for _ in range(CLIENTS)
    ]
    yield monitors
    for monitor in monitors:
        await monitor.stop()


def spread(moments: list[float]) -> float:
    """Seconds from the first to the last."""
    return max(moments) - min(moments)


async def test_pings_and_rechecks_of_many_sockets_are_spread(clients: list[ConnectionMonitor]) -> None:
    """The first ones are spread over most of the interval, and none is later than it."""
    now = since_boot()
    pings, rechecks = [monitor.ping_at for monitor in clients], [monitor.recheck_at for monitor in clients]
    assert spread(pings) > PING_SECONDS / 3
    assert spread(rechecks) > RECHECK_SECONDS / 3
    assert max(pings) <= now + PING_SECONDS
    assert max(rechecks) <= now + RECHECK_SECONDS


async def test_rechecks_are_spread_after_a_redis_gap(clients: list[ConnectionMonitor]) -> None:
    """Where announcements may have been missed, as at the start, each connection rechecks at another time."""
    before = [monitor.recheck_at for monitor in clients]
    await settles(
        lambda: all(monitor.recheck_at != first for monitor, first in zip(clients, before, strict=True)),
        WAIT_SECONDS,
    )
    rechecks = [monitor.recheck_at for monitor in clients]
    assert spread(rechecks) > GAP_SPREAD_SECONDS / 5
    assert min(rechecks) <= since_boot() + GAP_SPREAD_SECONDS


class DelayedSessionCache(SessionCache):
    """A SessionCache whose reads from the database take as long as the test decides."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime.engine, runtime.cache)
        self.come = asyncio.Event()
        self.go_on = asyncio.Event()

    async def reread_role(self, claimed: VerifiedClaims) -> Role | None:
        """The role that was read before the wait."""
        role = await super().reread_role(claimed)
        self.come.set()
        await self.go_on.wait()
        return role


class RecordingConnection(FakeConnection):
    """A connection that records how it was closed."""

    def __init__(self) -> None:
        self.closed: list[tuple[int, str]] = []

    async def close(self, code: int, reason: str) -> None:
        """Note it."""
        self.closed.append((code, reason))


@asynccontextmanager
async def manual_monitor(
    runtime: Runtime,
) -> AsyncIterator[tuple[ConnectionMonitor, RecordingConnection, DelayedSessionCache, Actor]]:
    """A monitor whose checks the test runs itself, over delayed reads."""
    actor = await factories.organization(runtime)
    sessions, connection = DelayedSessionCache(runtime), RecordingConnection()
    calm = with_settings(runtime, realtime={"init_timeout_seconds": WAIT_SECONDS})
    slow = replace(calm, identity=Identity(EmbeddedTokens(runtime.tokens), sessions))
    monitor = ConnectionMonitor(
        build_dependencies(slow),
        slow.settings.realtime,
        factories.session(actor),
        token=factories.token(runtime, actor),
        connection=connection,
    )
    await monitor.stop()
    yield monitor, connection, sessions, actor
    sessions.go_on.set()


async def test_a_renewal_that_began_in_time_succeeds(runtime: Runtime) -> None:
    """The token expires during the read from the database: the connection waits for it, and continues."""
    async with manual_monitor(runtime) as (monitor, connection, sessions, actor):
        token = factories.token(runtime, actor)
        renewing = asyncio.create_task(monitor.renew(token))
        await sessions.come.wait()
        monitor.expires_at = since_boot()
        checking = asyncio.create_task(monitor.run_due_checks())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not checking.done()
        sessions.go_on.set()
        assert await renewing > runtime.tokens.lifetime_seconds - WAIT_SECONDS
        assert await checking is False
        assert (connection.closed, monitor.token) == ([], token)


async def test_a_refused_renewal_does_not_prolong_the_connection(runtime: Runtime) -> None:
    """The connection waits for it, and closes."""
    async with manual_monitor(runtime) as (monitor, connection, sessions, actor):
        async with runtime.work.begin(actor) as uow:
            await uow.execute(update(UserSession).values(ended_at=func.now()))
        renewing = asyncio.create_task(monitor.renew(factories.token(runtime, actor)))
        await sessions.come.wait()
        monitor.expires_at = since_boot()
        checking = asyncio.create_task(monitor.run_due_checks())
        sessions.go_on.set()
        with pytest.raises(InvalidInput, match="session has ended"):
            await renewing
        assert await checking is True
        assert connection.closed == [(4403, "The access token has expired")]


async def test_a_renewal_that_hangs_times_out(runtime: Runtime) -> None:
    """The wait has the timeout of a connection_init, and a second renewal is refused meanwhile."""
    async with manual_monitor(runtime) as (monitor, connection, sessions, actor):
        token = factories.token(runtime, actor)
        renewing = asyncio.create_task(monitor.renew(token))
        await sessions.come.wait()
        with pytest.raises(Conflict) as excinfo:
            await monitor.renew(token)
        assert excinfo.value.error_code is ErrorCode.CONFLICT
        # The renewal cannot end during this wait, however short or long it takes.
        monitor.limits = monitor.limits.model_copy(update={"init_timeout_seconds": 0.01})
        monitor.expires_at = since_boot()
        assert await monitor.run_due_checks() is True
        assert connection.closed == [(4403, "The access token has expired")]
        sessions.go_on.set()
        await renewing


@pytest.mark.parametrize("renewed", [True, False])
async def test_a_recheck_of_a_replaced_token_closes_nothing(runtime: Runtime, *, renewed: bool) -> None:
    """Its session has ended, which matters only while the connection still uses it."""
    async with manual_monitor(runtime) as (monitor, _, sessions, actor):
        async with runtime.work.begin(actor) as uow:
            await uow.execute(update(UserSession).values(ended_at=func.now()))
        checking = asyncio.create_task(monitor.close_reason())
        await sessions.come.wait()
        if renewed:
            monitor.token = "the next one"
        sessions.go_on.set()
        assert await checking == (None if renewed else "The session has ended; log in again.")


async def test_a_recheck_older_than_a_renewal_closes_nothing(runtime: Runtime) -> None:
    """It read the role before it changed, and the renewal has applied the new one meanwhile."""
    async with manual_monitor(runtime) as (monitor, _, sessions, actor):
        checking = asyncio.create_task(monitor.close_reason())
        await sessions.come.wait()
        monitor.session = replace(monitor.session, actor=replace(actor, rights=RIGHTS[Role.VIEWER]))
        sessions.go_on.set()
        assert await checking is None
        assert await monitor.close_reason() == "Your permissions have changed; connect again"


async def test_other_rights_of_the_same_role_close_the_connection(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller's rights count, not the name of their role."""
    async with manual_monitor(runtime) as (monitor, _, sessions, actor):
        sessions.go_on.set()
        assert await monitor.close_reason() is None
        full = actor.rights
        fewer = replace(full, permissions=full.permissions - {Permission.CONTACT_DELETE})
        monkeypatch.setitem(RIGHTS, Role.OWNER, fewer)
        assert await monitor.close_reason() == "Your permissions have changed; connect again"


async def test_an_outage_closes_no_connection(runtime: Runtime) -> None:
    """A recheck that fails is repeated after the interval, and counts then."""
    nowhere = create_engine("postgresql+asyncpg://nobody@127.0.0.1:9/none", pool_size=1, statement_timeout_seconds=1)
    async with manual_monitor(runtime) as (monitor, connection, sessions, actor):
        sessions.go_on.set()
        async with runtime.work.begin(actor) as uow:
            await uow.execute(update(UserSession).values(ended_at=func.now()))
        monitor.recheck_at, sessions.engine = 0.0, nowhere
        before = since_boot()
        assert await monitor.run_due_checks() is False
        assert before < monitor.recheck_at <= since_boot() + monitor.limits.recheck_seconds
        assert connection.closed == []
        monitor.recheck_at, sessions.engine = 0.0, runtime.engine
        assert await monitor.run_due_checks() is True
        assert connection.closed == [(4403, "The session has ended; log in again.")]
    await nowhere.dispose()


async def test_two_missed_pongs_close_the_connection(runtime: Runtime) -> None:
    """Not one, as docs/clients.md documents; a client that replies stays connected."""
    async with manual_monitor(runtime) as (monitor, connection, _, __):
        monitor.recheck_at = math.inf
        results = []
        for answers in (False, True, False, False):
            monitor.ping_at = 0.0
            results.append(await monitor.run_due_checks())
            if answers:
                monitor.missed_pongs = 0
        assert (results, connection.closed) == ([False] * 4, [])
        monitor.ping_at = 0.0
        assert await monitor.run_due_checks() is True
        assert connection.closed == [(4499, "No pong")]


async def test_a_monitor_sleeps_until_something_is_due(runtime: Runtime) -> None:
    """It runs its checks at the start and when it is notified, and not repeatedly."""
    rechecks = 0

    class Counted(ConnectionMonitor):
        async def run_due_checks(self) -> bool:
            """Count the checks."""
            nonlocal rechecks
            rechecks += 1
            return await super().run_due_checks()

    actor = await factories.organization(runtime)
    calm = with_settings(runtime, realtime={"ping_seconds": PING_SECONDS, "recheck_seconds": RECHECK_SECONDS})
    session, token = factories.session(actor), factories.token(runtime, actor)
    monitor = Counted(
        build_dependencies(calm), calm.settings.realtime, session, token=token, connection=FakeConnection()
    )
    monitor.ping_at = monitor.recheck_at = math.inf
    await settles(lambda: rechecks > 0)
    for _ in range(100):
        await asyncio.sleep(0)
    await monitor.stop()
    assert rechecks <= 4
