"""The cache of sessions in a process, and its invalidation."""

import asyncio
import time
from dataclasses import replace

import jwt
import pytest
from sqlalchemy import func, update

from core.access.actor import Actor
from core.access.permissions import Role
from core.access.session import Session
from core.clock import since_boot
from core.errors import Unauthenticated
from core.security import AccessTokens, new_signing_key
from models.accounts import UserSession
from runtime import Runtime
from services.accounts import identity
from services.accounts.identity import EmbeddedTokens, Identity
from services.accounts.session_cache import SessionCache, VerifiedClaims
from tests import factories
from tests.waiting import WAIT_SECONDS


class BlockedCache(SessionCache):
    """A SessionCache in which one method blocks until the test continues it."""

    def __init__(self, runtime: Runtime, blocked: str) -> None:
        super().__init__(runtime.engine, runtime.cache)
        self.blocked = blocked
        self.reached = asyncio.Event()
        self.resume = asyncio.Event()

    async def wait(self, method: str) -> None:
        """Block if this is the blocked method."""
        if method == self.blocked:
            self.reached.set()
            await self.resume.wait()

    async def role(self, claims: VerifiedClaims) -> Role | None:
        """The role that was read before the wait."""
        role = await super().role(claims)
        await self.wait("role")
        return role

    async def _read_role(self, claims: VerifiedClaims) -> Role | None:
        """The role in the database, read before the wait."""
        role = await super()._read_role(claims)
        await self.wait("_read_role")
        return role

    async def mark_ended(self, session_id: object) -> None:
        """Wait, then cache the end."""
        await self.wait("mark_ended")
        await super().mark_ended(session_id)  # type: ignore[arg-type]


def empty_identity(runtime: Runtime, sessions: SessionCache | None = None) -> tuple[Identity, EmbeddedTokens]:
    """An identity with an empty cache, and its token verifier."""
    verifier = EmbeddedTokens(runtime.tokens)
    return Identity(verifier, sessions or SessionCache(runtime.engine, runtime.cache)), verifier


async def end(runtime: Runtime, actor: Actor) -> None:
    """End the actor's session in the database."""
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(UserSession).values(ended_at=func.now()))


async def test_a_lookup_in_flight_is_not_cached_after_the_log_out(runtime: Runtime) -> None:
    """A role that was read just before the session ended is not cached after it."""
    actor = await factories.organization(runtime)
    token = factories.token(runtime, actor)
    sessions = BlockedCache(runtime, "role")
    identities, _ = empty_identity(runtime, sessions)
    lookup = asyncio.create_task(identities.session(token))
    async with asyncio.timeout(WAIT_SECONDS):
        await sessions.reached.wait()
        await end(runtime, actor)
        await identities.invalidate(factories.session_id_of(actor))
        sessions.resume.set()
        assert (await lookup).actor.user_id == actor.user_id
    assert identities.cached_session(token) is None
    with pytest.raises(Unauthenticated):
        await identities.session(token)


async def test_a_lookup_during_the_log_out_is_not_cached_after_it(runtime: Runtime) -> None:
    """A session that is cached before Redis has the mark of its end is removed when Redis has it."""
    actor = await factories.organization(runtime)
    token = factories.token(runtime, actor)
    await empty_identity(runtime)[0].session(token)  # Redis knows the session
    sessions = BlockedCache(runtime, "mark_ended")
    identities, _ = empty_identity(runtime, sessions)
    await end(runtime, actor)
    invalidation = asyncio.create_task(identities.invalidate(factories.session_id_of(actor)))
    async with asyncio.timeout(WAIT_SECONDS):
        await sessions.reached.wait()
        assert (await identities.session(token)).actor.user_id == actor.user_id
        sessions.resume.set()
        await invalidation
    assert identities.cached_session(token) is None
    with pytest.raises(Unauthenticated):
        await identities.session(token)


async def test_a_token_with_cached_claims_is_refused_after_its_session(runtime: Runtime) -> None:
    """A token with cached claims is refused once its session has ended."""
    actor = await factories.organization(runtime)
    token = factories.token(runtime, actor)
    identities, verifier = empty_identity(runtime)
    await identities.session(token)
    await end(runtime, actor)
    await identities.invalidate(factories.session_id_of(actor))
    assert token in verifier.verified
    for resolve in (identities.session, identities.recheck):
        with pytest.raises(Unauthenticated):
            await resolve(token)


async def test_a_log_out_leaves_other_sessions_cached(runtime: Runtime) -> None:
    """Of two cached sessions, only the one that ended is removed."""
    actors = [await factories.organization(runtime) for _ in range(2)]
    tokens = [factories.token(runtime, actor) for actor in actors]
    identities, _ = empty_identity(runtime)
    for token in tokens:
        await identities.session(token)
    await identities.invalidate(factories.session_id_of(actors[0]))
    assert [identities.cached_session(token) is not None for token in tokens] == [False, True]


async def test_an_expired_token_is_refused_although_it_is_cached(runtime: Runtime) -> None:
    """Neither its cached claims nor its cached session are used, and both are removed."""
    actor = await factories.organization(runtime)
    expired_tokens = AccessTokens(new_signing_key(), audience="nudge", lifetime_seconds=-1)
    token = factories.token(replace(runtime, tokens=expired_tokens), actor)
    verifier = EmbeddedTokens(expired_tokens)
    identities = Identity(verifier, SessionCache(runtime.engine, runtime.cache))
    expired = int(time.time()) - 1
    verifier.verified[token] = VerifiedClaims(
        user_id=actor.require_user_id(),
        organization_id=actor.organization_id,
        session_id=factories.session_id_of(actor),
        expires_at=expired,
    )
    identities.recent[token] = (
        Session(actor=actor, id=factories.session_id_of(actor), expires_at=expired),
        since_boot() + 3600,
    )
    assert identities.cached_session(token) is None
    for resolve in (identities.session, identities.recheck, verifier.verify):
        with pytest.raises(Unauthenticated, match="expired"):
            await resolve(token)
    assert (len(identities.recent), len(verifier.verified)) == (0, 0)


async def test_the_caches_are_bounded(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most ten thousand claims and as many sessions: the oldest are removed first."""
    assert identity.MAX_RECENT == 10_000
    monkeypatch.setattr(identity, "MAX_RECENT", 3)
    actor = await factories.organization(runtime)
    tokens = [factories.token(runtime, actor) for _ in range(5)]
    identities, verifier = empty_identity(runtime)
    for token in tokens:
        await identities.session(token)
    assert list(verifier.verified) == list(identities.recent) == tokens[-3:]


async def test_a_token_of_over_eight_kibibytes_is_refused(runtime: Runtime) -> None:
    """Even a token that we signed is refused, before its signature is verified."""
    actor = await factories.organization(runtime)
    claims = jwt.decode(factories.token(runtime, actor), options={"verify_signature": False})
    long, short = (
        jwt.encode({**claims, "note": "x" * size}, runtime.tokens.key, algorithm="ES256")
        for size in (identity.MAX_TOKEN_LENGTH, 1024)
    )
    identities, verifier = empty_identity(runtime)
    assert (await identities.session(short)).actor.user_id == actor.user_id
    for resolve in (identities.session, identities.recheck):
        with pytest.raises(Unauthenticated, match=r"^The access token is not valid\.$"):
            await resolve(long)
    assert list(verifier.verified) == list(identities.recent) == [short]


async def test_a_token_with_other_characters_in_its_signature_is_refused(runtime: Runtime) -> None:
    """Characters outside base64 are refused, because each variant would be another token in the cache."""
    token = factories.token(runtime, await factories.organization(runtime))
    identities, _ = empty_identity(runtime)
    for other in (f"{token}!", f"{token}=", f"{token[:-4]}!!{token[-4:]}"):
        with pytest.raises(Unauthenticated, match="not valid"):
            await identities.session(other)


async def test_a_stale_read_does_not_restore_an_ended_session(runtime: Runtime) -> None:
    """A role that was read before a log-out does not overwrite the mark of the ended session in Redis."""
    actor = await factories.organization(runtime)
    claims = EmbeddedTokens(runtime.tokens)._verify_signature(factories.token(runtime, actor))
    slow, fast = BlockedCache(runtime, "_read_role"), SessionCache(runtime.engine, runtime.cache)
    lookup = asyncio.create_task(slow.role(claims))
    await slow.reached.wait()
    await fast.mark_ended(claims.session_id)
    slow.resume.set()
    assert await lookup is Role.OWNER
    assert await fast.role(claims) is None
