"""What a process remembers of tokens, and what makes it forget."""

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
from services.accounts.session_cache import Claimed, SessionCache
from tests import factories
from tests.waiting import WAIT_SECONDS


class HeldUp(SessionCache):
    """SessionCache whose answers, or whose notes of an ending, take as long as the test says."""

    def __init__(self, runtime: Runtime, held: str) -> None:
        super().__init__(runtime.engine, runtime.cache)
        self.held = held
        self.come = asyncio.Event()
        self.go_on = asyncio.Event()

    async def wait(self, what: str) -> None:
        """Wait for the test, if it is this that is held up."""
        if what == self.held:
            self.come.set()
            await self.go_on.wait()

    async def role(self, claimed: Claimed) -> Role | None:
        """The role as it was before the wait."""
        found = await super().role(claimed)
        await self.wait("role")
        return found

    async def stored(self, claimed: Claimed) -> Role | None:
        """The role as the database had it before the wait."""
        found = await super().stored(claimed)
        await self.wait("stored")
        return found

    async def ended(self, session_id: object) -> None:
        """Every process knows it after the wait."""
        await self.wait("ended")
        await super().ended(session_id)  # type: ignore[arg-type]


def remembering(runtime: Runtime, sessions: SessionCache | None = None) -> tuple[Identity, EmbeddedTokens]:
    """An identity that remembers nothing yet, and its check of signatures."""
    check = EmbeddedTokens(runtime.tokens)
    return Identity(check, sessions or SessionCache(runtime.engine, runtime.cache)), check


async def end(runtime: Runtime, actor: Actor) -> None:
    """End the actor's session in the database."""
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(UserSession).values(ended_at=func.now()))


async def test_a_lookup_in_flight_does_not_outlive_the_log_out(runtime: Runtime) -> None:
    """An answer that was read just before the session ended is not remembered after it."""
    actor = await factories.organization(runtime)
    token = factories.token(runtime, actor)
    sessions = HeldUp(runtime, "role")
    who, _ = remembering(runtime, sessions)
    looking = asyncio.create_task(who.session(token))
    async with asyncio.timeout(WAIT_SECONDS):
        await sessions.come.wait()
        await end(runtime, actor)
        await who.forget(factories.session_id_of(actor))
        sessions.go_on.set()
        assert (await looking).actor.user_id == actor.user_id
    assert who.known(token) is None
    with pytest.raises(Unauthenticated):
        await who.session(token)


async def test_a_lookup_during_the_log_out_does_not_outlive_it(runtime: Runtime) -> None:
    """What is looked up while Redis has not heard of the ending yet is forgotten once it has."""
    actor = await factories.organization(runtime)
    token = factories.token(runtime, actor)
    await remembering(runtime)[0].session(token)  # Redis knows the session
    sessions = HeldUp(runtime, "ended")
    who, _ = remembering(runtime, sessions)
    await end(runtime, actor)
    forgetting = asyncio.create_task(who.forget(factories.session_id_of(actor)))
    async with asyncio.timeout(WAIT_SECONDS):
        await sessions.come.wait()
        assert (await who.session(token)).actor.user_id == actor.user_id
        sessions.go_on.set()
        await forgetting
    assert who.known(token) is None
    with pytest.raises(Unauthenticated):
        await who.session(token)


async def test_a_log_out_counts_more_than_a_good_signature(runtime: Runtime) -> None:
    """A token whose signature is remembered says nothing once its session has ended."""
    actor = await factories.organization(runtime)
    token = factories.token(runtime, actor)
    who, check = remembering(runtime)
    await who.session(token)
    await end(runtime, actor)
    await who.forget(factories.session_id_of(actor))
    assert token in check.verified
    for look in (who.session, who.recheck):
        with pytest.raises(Unauthenticated):
            await look(token)


async def test_another_session_is_not_forgotten_by_a_log_out(runtime: Runtime) -> None:
    """Who has not logged out stays known."""
    actors = [await factories.organization(runtime) for _ in range(2)]
    tokens = [factories.token(runtime, actor) for actor in actors]
    who, _ = remembering(runtime)
    for token in tokens:
        await who.session(token)
    await who.forget(factories.session_id_of(actors[0]))
    assert [who.known(token) is not None for token in tokens] == [False, True]


async def test_an_expired_token_is_refused_however_good_it_was(runtime: Runtime) -> None:
    """Neither a remembered signature nor a remembered answer outlives the token, and they are dropped."""
    actor = await factories.organization(runtime)
    past = AccessTokens(new_signing_key(), audience="nudge", lifetime_seconds=-1)
    token = factories.token(replace(runtime, tokens=past), actor)
    check = EmbeddedTokens(past)
    who = Identity(check, SessionCache(runtime.engine, runtime.cache))
    expired = int(time.time()) - 1
    check.verified[token] = Claimed(
        user_id=actor.person_id,
        organization_id=actor.organization_id,
        session_id=factories.session_id_of(actor),
        expires_at=expired,
    )
    who.recent[token] = (
        Session(actor=actor, id=factories.session_id_of(actor), expires_at=expired),
        since_boot() + 3600,
    )
    assert who.known(token) is None
    for look in (who.session, who.recheck, check.claimed):
        with pytest.raises(Unauthenticated, match="expired"):
            await look(token)
    assert (len(who.recent), len(check.verified)) == (0, 0)


async def test_few_tokens_are_remembered(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand signatures and as many answers at most: the oldest are forgotten first."""
    assert identity.MAX_RECENT == 10_000
    monkeypatch.setattr(identity, "MAX_RECENT", 3)
    actor = await factories.organization(runtime)
    tokens = [factories.token(runtime, actor) for _ in range(5)]
    who, check = remembering(runtime)
    for token in tokens:
        await who.session(token)
    assert list(check.verified) == list(who.recent) == tokens[-3:]


async def test_a_token_of_over_eight_kibibytes_is_refused(runtime: Runtime) -> None:
    """Even one that we signed is refused like any other bad token, before its signature is looked at."""
    actor = await factories.organization(runtime)
    claims = jwt.decode(factories.token(runtime, actor), options={"verify_signature": False})
    long, short = (
        jwt.encode({**claims, "note": "x" * size}, runtime.tokens.key, algorithm="ES256")
        for size in (identity.MAX_TOKEN_LENGTH, 1024)
    )
    who, check = remembering(runtime)
    assert (await who.session(short)).actor.user_id == actor.user_id
    for look in (who.session, who.recheck):
        with pytest.raises(Unauthenticated, match=r"^The access token is not valid\.$"):
            await look(long)
    assert list(check.verified) == list(who.recent) == [short]


async def test_a_signature_is_written_in_one_way_only(runtime: Runtime) -> None:
    """Characters that base64 does not know are no part of a good token: each would be another token to remember."""
    token = factories.token(runtime, await factories.organization(runtime))
    who, _ = remembering(runtime)
    for other in (f"{token}!", f"{token}=", f"{token[:-4]}!!{token[-4:]}"):
        with pytest.raises(Unauthenticated, match="not valid"):
            await who.session(other)


async def test_a_late_answer_cannot_bring_an_ended_session_back(runtime: Runtime) -> None:
    """A role that was read before a log-out is not written over it, so that no other process takes it for true."""
    actor = await factories.organization(runtime)
    claimed = EmbeddedTokens(runtime.tokens).verify(factories.token(runtime, actor))
    late, prompt = HeldUp(runtime, "stored"), SessionCache(runtime.engine, runtime.cache)
    looking = asyncio.create_task(late.role(claimed))
    await late.come.wait()
    await prompt.ended(claimed.session_id)
    late.go_on.set()
    assert await looking is Role.OWNER
    assert await prompt.role(claimed) is None
