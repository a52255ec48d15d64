"""Authentication of bearer tokens: from a token to the session of its user."""

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
from services.accounts.session_cache import SessionCache, VerifiedClaims

_RECENT_SECONDS = 5.0
MAX_RECENT = 10_000
MAX_TOKEN_LENGTH = 8_192


class TokenVerifier(Protocol):
    """Verifies a token's signature and expiry."""

    async def verify(self, token: str) -> VerifiedClaims:
        """The token's claims; raises `Unauthenticated`."""


class EmbeddedTokens:
    """Tokens signed by this installation. The claims of the last 10,000 verified tokens are cached."""

    def __init__(self, tokens: AccessTokens) -> None:
        self.tokens = tokens
        self.verified: LRUCache[str, VerifiedClaims] = LRUCache(MAX_RECENT)

    async def verify(self, token: str) -> VerifiedClaims:
        """The token's claims; raises `Unauthenticated`."""
        cached = self.verified.get(token)
        if cached is not None:
            if cached.expires_at > time.time():
                return cached
            del self.verified[token]
        claims = self.verified[token] = self._verify_signature(token)
        return claims

    def _verify_signature(self, token: str) -> VerifiedClaims:
        claims = self.tokens.verify(token)
        return VerifiedClaims(
            user_id=claims.user_id,
            organization_id=claims.organization_id,
            session_id=claims.session_id,
            expires_at=claims.expires_at,
        )


class IssuerKeys(Protocol):
    """Verifies tokens of an external issuer; the adapter fetches the issuer's keys."""

    async def verify(self, token: str) -> dict[str, Any]:
        """The claims of a valid token; raises `Unauthenticated`."""


class IssuerTokens:
    """Tokens of an external issuer (Supabase): `sub` is the user's id, everything else comes from our tables."""

    def __init__(self, keys: IssuerKeys, system: SystemScope) -> None:
        self.keys = keys
        self.system = system

    async def verify(self, token: str) -> VerifiedClaims:
        """The token's claims, with the user's organization; raises `Unauthenticated`, also for an unknown user."""
        claims = await self.keys.verify(token)
        try:
            user_id = UUID(str(claims["sub"]))
        except ValueError:
            raise Unauthenticated("The subject of the access token is not a known user.") from None
        users = func.system.organization_of_user(user_id).table_valued(column("organization_id", Uuid()))
        rows = await self.system.rows(select(users.c.organization_id))
        if not rows:
            raise Unauthenticated("The subject of the access token is not a known user.")
        return VerifiedClaims(
            user_id=user_id,
            organization_id=rows[0][0],
            session_id=user_id,
            expires_at=int(claims["exp"]),
            has_session=False,
        )


class Identity:
    """Turns access tokens into sessions. This process caches a session for five seconds.

    This spares each request of a busy client a read from Redis (and, for tokens of an external issuer, a signature
    check). A token stays valid for up to five seconds after its session was ended in another process; a session ended
    in this process is removed immediately, see `invalidate`. Changes made directly in the database have effect after
    up to a minute, for which Redis caches a role, see `SessionCache`; in `recheck` they have effect immediately.
    """

    def __init__(self, verifier: TokenVerifier, sessions: SessionCache) -> None:
        self.verifier = verifier
        self.sessions = sessions
        self.recent: dict[str, tuple[Session, float]] = {}
        self._invalidations = 0

    def cached_session(self, token: str) -> Session | None:
        """The token's session, if this process resolved it within the last five seconds."""
        cached = self.recent.get(token)
        if cached is not None and cached[1] > since_boot() and cached[0].expires_at > time.time():
            return cached[0]
        return None

    async def session(self, token: str) -> Session:
        """The token's session, from this process, Redis or the database; raises `Unauthenticated`."""
        return self.cached_session(token) or await self._resolve(token, self.sessions.role)

    async def recheck(self, token: str) -> Session:
        """The token's session, read from the database past all caches; raises `Unauthenticated`."""
        return await self._resolve(token, self.sessions.reread_role)

    async def renew(self, token: str, session: Session) -> Session:
        """The session of a new token that replaces another on a connection, read from the database.

        Raises `InvalidInput` for a token that is not valid, and for one of another user or organization.
        """
        field = ("input", "accessToken")
        try:
            current = await self.recheck(token)
        except Unauthenticated as error:
            suggestion = "Pass the token alone, without `Bearer`." if token.lower().startswith("bearer ") else None
            code = ErrorCode.INVALID_CREDENTIALS
            raise InvalidInput(str(error), field=field, code=code, suggestion=suggestion) from None
        now, before = current.actor, session.actor
        if (now.kind, now.id, now.organization_id) != (before.kind, before.id, before.organization_id):
            raise InvalidInput(
                "The access token belongs to another user or organization than this connection.",
                field=field,
                code=ErrorCode.INVALID_CREDENTIALS,
                suggestion="Open a new connection for it.",
            )
        return current

    async def _resolve(self, token: str, role_of: Callable[[VerifiedClaims], Awaitable[Role | None]]) -> Session:
        """The token's session; cached unless any session was invalidated meanwhile. Raises `Unauthenticated`."""
        if len(token) > MAX_TOKEN_LENGTH:
            raise Unauthenticated("The access token is not valid.")
        self.recent.pop(token, None)
        invalidations = self._invalidations
        claims = await self.verifier.verify(token)
        role = await role_of(claims)
        if role is None:
            raise Unauthenticated("The session has ended; log in again.")
        session = Session(
            actor=user_actor(claims.organization_id, claims.user_id, role),
            id=claims.session_id,
            expires_at=claims.expires_at,
        )
        if invalidations == self._invalidations:  # otherwise it may be the session that was invalidated
            self.recent[token] = (session, since_boot() + _RECENT_SECONDS)
            while len(self.recent) > MAX_RECENT:
                self.recent.pop(next(iter(self.recent)))
        return session

    async def invalidate(self, session_id: UUID) -> None:
        """Remove a session that has ended from the caches of this process and of Redis."""
        self._evict(session_id)
        try:
            await self.sessions.mark_ended(session_id)
        finally:
            self._evict(session_id)  # a request may have read it from Redis until now

    def _evict(self, session_id: UUID) -> None:
        """Remove a session from this process's cache, and keep lookups in flight from adding it again."""
        self._invalidations += 1
        for token in [token for token, (who, _) in self.recent.items() if who.id == session_id]:
            del self.recent[token]
