"""Sessions and rate limits without Redis, and how secrets are stored."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import func, select, update

from core.access.actor import user_actor
from core.access.permissions import Role
from core.errors import RateLimited, Unauthenticated
from core.ids import new_id
from core.security import AccessTokens
from core.throttle import Throttle, client_key, digest
from models.accounts import RefreshToken, User, UserSession
from runtime import Runtime
from services.accounts import sessions as account_sessions
from services.accounts.identity import EmbeddedTokens, Identity
from services.accounts.session_cache import SessionCache
from services.accounts.sessions import InvalidRefreshToken
from tests import factories
from tests.statements import statements


@pytest.fixture
async def nowhere() -> AsyncIterator[Redis]:
    """A Redis that does not answer."""
    async with Redis.from_url("redis://127.0.0.1:9", socket_connect_timeout=0.2) as redis:
        yield redis


def identity(runtime: Runtime, tokens: AccessTokens, redis: Redis) -> Identity:
    """An identity with an empty cache."""
    return Identity(EmbeddedTokens(tokens), SessionCache(runtime.engine, redis))


async def test_sessions_are_read_from_redis_first(runtime: Runtime) -> None:
    """A second process runs no statement: it sees a changed row after a minute, or after `invalidate`."""
    actor = await factories.organization(runtime)
    token = factories.token(runtime, actor)
    first, second, third = (identity(runtime, runtime.tokens, runtime.cache) for _ in range(3))
    with statements(runtime) as queries:
        assert (await first.session(token)).actor.rights.role == actor.rights.role
    assert len(queries) == 1
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(UserSession).values(ended_at=func.now()))
    with statements(runtime) as queries:
        assert (await second.session(token)).actor.rights.role == actor.rights.role
    assert queries == []
    await first.invalidate(factories.session_id_of(actor))
    for each in (first, third):
        with pytest.raises(Unauthenticated):
            await each.session(token)


async def test_a_recheck_reads_the_database_and_updates_the_cache(runtime: Runtime) -> None:
    """A recheck sees a new role or a disabled user, and all other processes see it afterwards."""
    actor = await factories.organization(runtime)
    token = factories.token(runtime, actor)
    first, second, third = (identity(runtime, runtime.tokens, runtime.cache) for _ in range(3))
    assert (await first.session(token)).actor.rights.role is Role.OWNER
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(User).values(role=Role.VIEWER))
    assert (await first.recheck(token)).actor.rights.role is Role.VIEWER
    assert (await second.session(token)).actor.rights.role is Role.VIEWER
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(User).values(disabled_at=func.now()))
    for resolve in (first.recheck, third.session):
        with pytest.raises(Unauthenticated):
            await resolve(token)


async def test_a_recheck_does_not_restore_an_ended_session(runtime: Runtime) -> None:
    """A role that was read just before a log-out does not overwrite the mark of the ended session in Redis."""
    actor = await factories.organization(runtime)
    sessions = SessionCache(runtime.engine, runtime.cache)
    await sessions.mark_ended(factories.session_id_of(actor))
    token = factories.token(runtime, actor)
    assert (
        await identity(runtime, runtime.tokens, runtime.cache).recheck(token)
    ).actor.rights.role is actor.rights.role
    with pytest.raises(Unauthenticated):
        await identity(runtime, runtime.tokens, runtime.cache).session(token)


async def test_without_redis_sessions_are_read_from_the_database(runtime: Runtime, nowhere: Redis) -> None:
    """A token of an open session is accepted, one of an ended session is not."""
    actor = await factories.organization(runtime)
    alone = identity(runtime, runtime.tokens, nowhere)
    token = factories.token(runtime, actor)
    for resolve in (alone.session, alone.recheck):
        assert (await resolve(token)).actor.user_id == actor.user_id
    async with runtime.work.begin(actor) as uow:
        assert await account_sessions.end_session(uow, factories.session_id_of(actor), reason="logged_out")
    await alone.invalidate(factories.session_id_of(actor))
    with pytest.raises(Unauthenticated):
        await alone.session(token)


async def test_disabled_users_are_refused(runtime: Runtime) -> None:
    """`disabled_at` makes access tokens and refresh tokens invalid."""
    actor = await factories.organization(runtime)
    async with runtime.work.begin(actor) as uow:
        session = await account_sessions.open_session(uow, actor.require_user_id(), days=1)
        await uow.execute(update(User).values(disabled_at=func.now()))
    with pytest.raises(Unauthenticated):
        await identity(runtime, runtime.tokens, runtime.cache).session(factories.token(runtime, actor))
    with pytest.raises(InvalidRefreshToken):
        async with runtime.work.begin(actor) as uow:
            await account_sessions.rotate(uow, session.session_id, session.refresh_token, days=1)


async def test_the_tokens_of_an_expired_session_are_refused(runtime: Runtime) -> None:
    """Its access token and its refresh token are invalid; the same user's other session is not affected."""
    actor = await factories.organization(runtime)
    async with runtime.work.begin(actor) as uow:
        over = await account_sessions.open_session(uow, actor.require_user_id(), days=1)
        own = UserSession.id == over.session_id
        await uow.execute(update(UserSession).where(own).values(expires_at=func.now() - timedelta(seconds=1)))
    with pytest.raises(Unauthenticated):
        await runtime.identity.session(factories.token(runtime, actor, session_id=over.session_id))
    with pytest.raises(InvalidRefreshToken):
        async with runtime.work.begin(actor) as uow:
            await account_sessions.rotate(uow, over.session_id, over.refresh_token, days=1)
    assert (await runtime.identity.session(factories.token(runtime, actor))).actor.user_id == actor.user_id


async def test_a_refresh_extends_its_own_session_only(runtime: Runtime) -> None:
    """A session expires some days after its log-in or last refresh; a log-in updates `last_login_at`."""
    actor = await factories.organization(runtime)
    colleague = user_actor(actor.organization_id, new_id(), Role.ADMIN)
    await factories.member(runtime, colleague)
    reads = runtime.reads(actor.tenant)
    left = func.round(func.extract("epoch", UserSession.expires_at - func.clock_timestamp()) / 86_400)

    async def days_left() -> list[int]:
        condition = UserSession.id.in_([first.session_id, second.session_id])
        return [int(row[0]) for row in await reads.rows(select(left).where(condition).order_by(UserSession.id))]

    async with runtime.work.begin(actor) as uow:
        first = await account_sessions.open_session(uow, actor.require_user_id(), days=3)
    async with runtime.work.begin(actor) as uow:
        second = await account_sessions.open_session(uow, actor.require_user_id(), days=3)
    assert await days_left() == [3, 3]
    async with runtime.work.begin(actor) as uow:
        assert await account_sessions.rotate(uow, first.session_id, first.refresh_token, days=30) is not None
    assert await days_left() == [30, 3]
    logged_in = await reads.rows(select(User.id).where(User.last_login_at.is_not(None)))
    assert logged_in == [(actor.user_id,)]


async def test_a_session_belongs_to_one_user(runtime: Runtime) -> None:
    """A token that names the session of another user of the organization is refused."""
    actor = await factories.organization(runtime)
    colleague = user_actor(actor.organization_id, new_id(), Role.VIEWER)
    await factories.member(runtime, colleague)
    with pytest.raises(Unauthenticated):
        await runtime.identity.session(factories.token(runtime, colleague, session_id=factories.session_id_of(actor)))


async def test_tokens_of_another_key_are_refused(runtime: Runtime) -> None:
    """A token signed with another key is refused."""
    from core.security import new_signing_key

    actor = await factories.organization(runtime)
    foreign = AccessTokens(new_signing_key(), audience=runtime.tokens.audience, lifetime_seconds=60)
    token = factories.token(replace(runtime, tokens=foreign), actor)
    with pytest.raises(Unauthenticated):
        await runtime.identity.session(token)


def throttle(redis: Redis, *, limit: int) -> Throttle:
    """A throttle with a unique name."""
    return Throttle(redis, new_id().hex, limit=limit, seconds=300, message="Too many.")


async def test_without_redis_each_process_counts_for_itself(nowhere: Redis) -> None:
    """Its limit applies; counts that were reset or taken back do not."""
    alone = throttle(nowhere, limit=2)
    for _ in range(2):
        await alone.count("a")
    with pytest.raises(RateLimited):
        await alone.count("a")
    await alone.count("b")
    await alone.reset("a")
    await alone.count("a")
    for _ in range(5):
        await alone.count("a")
        await alone.undo_count("a")


async def test_without_redis_a_window_ends_as_well(nowhere: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window starts with the first count and is as long as with Redis; the next count starts a new one."""
    alone, real = throttle(nowhere, limit=1), time.monotonic  # the event loop uses the real clock
    await alone.count("a")
    for later in (299, 301 + 299):
        monkeypatch.setattr("core.throttle.time", SimpleNamespace(monotonic=lambda later=later: real() + later))
        with pytest.raises(RateLimited) as excinfo:
            await alone.count("a")
        assert 1 <= excinfo.value.retry_after <= 2
        monkeypatch.setattr("core.throttle.time", SimpleNamespace(monotonic=lambda later=later: real() + later + 2))
        await alone.count("a")


async def test_all_processes_count_together(runtime: Runtime) -> None:
    """Of concurrent calls in two processes as many pass as the limit allows; each refusal has a `retry_after`."""
    first = throttle(runtime.cache, limit=10)
    second = throttle(runtime.cache, limit=10)
    second.prefix = first.prefix
    counts = ((first, second)[number % 2].count("a") for number in range(80))
    errors = [each for each in await asyncio.gather(*counts, return_exceptions=True) if each is not None]
    assert (len(errors), {type(each) for each in errors}) == (70, {RateLimited})
    assert all(isinstance(each, RateLimited) and 0 < each.retry_after <= 300 for each in errors)
    await first.reset("a")
    for _ in range(15):
        await second.count("a")
        await first.undo_count("a")


async def test_a_count_ends_with_its_window(runtime: Runtime) -> None:
    """After its window a key may count again, also when the first count in Redis was one taken back."""
    short = Throttle(runtime.cache, new_id().hex, limit=1, seconds=1, message="Too many.")
    await short.undo_count("a")
    assert await runtime.cache.ttl(short.prefix + digest("a")) == 1
    await short.count("b")
    with pytest.raises(RateLimited):
        await short.count("b")
    assert await passes(lambda: short.count("b"))


async def passes(count: Callable[[], Awaitable[None]]) -> bool:
    """Whether a refused count passes within a minute."""
    for _ in range(600):
        try:
            await count()
        except RateLimited:
            await asyncio.sleep(0.1)
        else:
            return True
    return False


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_a_client_is_an_ipv4_address_or_an_ipv6_network(address: str, key: str) -> None:
    """All addresses of one /64 network count as one client."""
    assert client_key(address) == key


async def test_refresh_tokens_are_stored_as_hashes(runtime: Runtime) -> None:
    """The table has a token's SHA-256, not the token."""
    actor = await factories.organization(runtime)
    async with runtime.work.begin(actor) as uow:
        session = await account_sessions.open_session(uow, actor.require_user_id(), days=1)
    rows = await runtime.reads(actor.tenant).rows(select(RefreshToken.fingerprint))
    assert [len(row[0]) for row in rows] == [32]
    assert session.refresh_token.encode() not in rows[0][0]
    assert isinstance(session.session_id, UUID)
