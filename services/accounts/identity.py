"""Who a bearer token speaks for."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from uuid import UUID

from cachetools import LRUCache
from sqlalchemy import Uuid, column, func, select

from core.access.actor import user_actor
from core.access.permissions import Role
from core.access.session import Session
from core.clock import since_boot
from core.database.scopes import SystemScope
from core.errors import ErrorCode, InvalidInput, Unauthenticated
from core.security import AccessTokens
from services.accounts.session_cache import Claimed, SessionCache

RECENT_SECONDS = 5.0
MAX_RECENT = 10_000
MAX_TOKEN_LENGTH = 8_192


class TokenCheck(Protocol):
    """Verifies a token's signature and life span."""

    async def claimed(self, token: str) -> Claimed:
        """What the token claims; raises `Unauthenticated`."""


class EmbeddedTokens:
    """Tokens that we signed ourselves. A good signature stays good: the last 10,000 are remembered."""

    def __init__(self, tokens: AccessTokens) -> None:
        self.tokens = tokens
        self.verified: LRUCache[str, Claimed] = LRUCache(MAX_RECENT)

    async def claimed(self, token: str) -> Claimed:
        """What the token claims; raises `Unauthenticated`."""
        known = self.verified.get(token)
        if known is not None:
            if known.expires_at > time.time():
                return known
            del self.verified[token]
        found = self.verified[token] = self.verify(token)
        return found

    def verify(self, token: str) -> Claimed:
        """What the token claims, its signature checked; raises `Unauthenticated`."""
        claims = self.tokens.verify(token)
        return Claimed(
            user_id=claims.user_id,
            organization_id=claims.organization_id,
            session_id=claims.session_id,
            expires_at=claims.expires_at,
        )


class IssuerKeys(Protocol):
    """Verifies tokens of a foreign issuer; the adapter fetches its keys."""

    async def verify(self, token: str) -> dict[str, Any]:
        """The claims of a valid token; raises `Unauthenticated`."""


class IssuerTokens:
    """Tokens of a foreign issuer (Supabase): `sub` is our user's id, and everything else comes from our tables."""

    def __init__(self, keys: IssuerKeys, system: SystemScope) -> None:
        self.keys = keys
        self.system = system

    async def claimed(self, token: str) -> Claimed:
        """What the token claims; raises `Unauthenticated`, also for a person whom we do not know."""
        claims = await self.keys.verify(token)
        try:
            user_id = UUID(str(claims["sub"]))
        except ValueError:
            raise Unauthenticated("The access token's subject is not a user of ours.") from None
        known = func.system.organization_of_user(user_id).table_valued(column("organization_id", Uuid()))
        rows = await self.system.rows(select(known.c.organization_id))
        if not rows:
            raise Unauthenticated("The access token's subject is not a user of ours.")
        return Claimed(
            user_id=user_id,
            organization_id=rows[0][0],
            session_id=user_id,
            expires_at=int(claims["exp"]),
            has_session=False,
        )


class Identity:
    """Turns access tokens into sessions. An answer is kept for five seconds in this process.

    That spares the hot path a look into Redis (and, for tokens of a foreign issuer, a signature check) for each
    request of a busy client. It is how long a token outlives a session that was ended in another process; one that
    was ended here is dropped at once, see `forget`. What changes in the database alone is seen up to a minute later,
    as Redis remembers that long, see `SessionCache`; at once where somebody calls `recheck`.
    """

    def __init__(self, check: TokenCheck, sessions: SessionCache) -> None:
        self.check = check
        self.sessions = sessions
        self.recent: dict[str, tuple[Session, float]] = {}
        self.endings = 0

    def known(self, token: str) -> Session | None:
        """Who the token speaks for, if that was found out within the last five seconds."""
        known = self.recent.get(token)
        if known is not None and known[1] > since_boot() and known[0].expires_at > time.time():
            return known[0]
        return None

    async def session(self, token: str) -> Session:
        """Who the token speaks for, by an answer of this process, of Redis or of the database.

        Raises `Unauthenticated`.
        """
        return self.known(token) or await self.found(token, self.sessions.role)

    async def recheck(self, token: str) -> Session:
        """Who the token speaks for as the database has it now, past every memory; raises `Unauthenticated`."""
        return await self.found(token, self.sessions.stored_role)

    async def renewed(self, token: str, session: Session) -> Session:
        """Who a fresh token speaks for, as the database has it now.

        Raises `InvalidInput` for a token that is not valid, and for one of another person or organisation.
        """
        field = ("input", "accessToken")
        try:
            current = await self.recheck(token)
        except Unauthenticated as refused:
            suggestion = "Pass the token alone, without `Bearer`." if token.lower().startswith("bearer ") else None
            code = ErrorCode.INVALID_CREDENTIALS
            raise InvalidInput(str(refused), field=field, code=code, suggestion=suggestion) from None
        now, before = current.actor, session.actor
        if (now.kind, now.id, now.organization_id) != (before.kind, before.id, before.organization_id):
            raise InvalidInput(
                "The access token is of another person or organization than this connection.",
                field=field,
                code=ErrorCode.INVALID_CREDENTIALS,
                suggestion="Open a connection of its own for it.",
            )
        return current

    async def found(self, token: str, role_of: Callable[[Claimed], Awaitable[Role | None]]) -> Session:
        """Who the token speaks for, remembered unless a session ended meanwhile; raises `Unauthenticated`."""
        if len(token) > MAX_TOKEN_LENGTH:
            raise Unauthenticated("The access token is not valid.")
        self.recent.pop(token, None)
        endings = self.endings
        claimed = await self.check.claimed(token)
        role = await role_of(claimed)
        if role is None:
            raise Unauthenticated("The session has ended; log in again.")
        session = Session(
            actor=user_actor(claimed.organization_id, claimed.user_id, role),
            id=claimed.session_id,
            expires_at=claimed.expires_at,
        )
        if endings == self.endings:  # what was read before an ending may be about that session
            self.recent[token] = (session, since_boot() + RECENT_SECONDS)
            while len(self.recent) > MAX_RECENT:
                self.recent.pop(next(iter(self.recent)))
        return session

    async def forget(self, session_id: UUID) -> None:
        """Let a session that has ended count nowhere any more."""
        self.drop(session_id)
        try:
            await self.sessions.ended(session_id)
        finally:
            self.drop(session_id)  # Redis may have answered for it until now

    def drop(self, session_id: UUID) -> None:
        """Remember nothing of a session, nor what is being looked up at the moment."""
        self.endings += 1
        for token in [token for token, (who, _) in self.recent.items() if who.id == session_id]:
            del self.recent[token]
