"""Whether a session is valid, and its user's role: cached in Redis, read from the database on a miss."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import Uuid, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from core.access.permissions import Role
from core.access.tenant import Tenant
from core.database.engine import read_side
from core.database.prepared import prepare
from core.database.scopes import ReadScope, first
from core.telemetry import describe_error, logger
from models.accounts import User, UserSession

_CACHE_SECONDS = 60
_PREFIX = "nudge:session:"
_ENDED = b"ended"
_REPLACE = "if redis.call('GET', KEYS[1]) ~= ARGV[2] then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3]) end"
_ROLE_OF_USER: Final = prepare(
    select(User.role).where(User.id == bindparam("user", type_=Uuid), User.disabled_at.is_(None))
)
_ROLE_IN_SESSION: Final = prepare(
    select(User.role)
    .join(UserSession, UserSession.user_id == User.id)
    .where(
        User.id == bindparam("user", type_=Uuid),
        User.disabled_at.is_(None),
        UserSession.id == bindparam("session", type_=Uuid),
        UserSession.ended_at.is_(None),
        UserSession.expires_at > func.now(),
    )
)
log = logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedClaims:
    """The claims of a verified token.

    `has_session` is false for tokens of an external issuer: their `session_id` names no row of ours.
    """

    user_id: UUID
    organization_id: UUID
    session_id: UUID
    expires_at: int
    has_session: bool = True


class SessionCache:
    """Roles of sessions. The database is authoritative; Redis caches a role for up to a minute."""

    def __init__(self, engine: AsyncEngine, redis: Redis) -> None:
        self.engine = engine
        self.redis = redis

    async def role(self, claims: VerifiedClaims) -> Role | None:
        """The caller's role, or None if the session has ended or the user is disabled."""
        key = _PREFIX + str(claims.session_id)
        cached = await self._get(key)
        if cached == _ENDED:
            return None
        if cached is not None:
            return Role(cached.decode())
        role = await self._read_role(claims)
        if role is not None:
            await self._set(key, role.encode(), overwrite=False)
        return role

    async def reread_role(self, claims: VerifiedClaims) -> Role | None:
        """The caller's role from the database; also updates the cache for all processes."""
        role = await self._read_role(claims)
        if role is None:
            await self.mark_ended(claims.session_id)
        else:
            await self._replace(_PREFIX + str(claims.session_id), role.encode())
        return role

    async def mark_ended(self, session_id: UUID) -> None:
        """Cache, for all processes, that a session has ended; a role read earlier cannot overwrite this."""
        await self._set(_PREFIX + str(session_id), _ENDED, overwrite=True)

    async def _read_role(self, claims: VerifiedClaims) -> Role | None:
        """The role in the database."""
        tenant = Tenant(organization_id=claims.organization_id, user_id=claims.user_id)
        statement, parameters = _ROLE_OF_USER, {"user": claims.user_id}
        if claims.has_session:
            statement, parameters = _ROLE_IN_SESSION, {**parameters, "session": claims.session_id}
        row = await first(ReadScope(read_side(self.engine), tenant), statement, parameters)
        return Role(row[0]) if row else None

    async def _get(self, key: str) -> bytes | None:
        """The cached value; None on a miss or if Redis is unavailable."""
        try:
            value: bytes | None = await self.redis.get(key)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("session cache is unavailable; reading the database", error=describe_error(error))
            return None
        return value

    async def _replace(self, key: str, value: bytes) -> None:
        """Overwrite a cached role, but never the mark of an ended session, which may be newer."""
        try:
            await self.redis.execute_command("EVAL", _REPLACE, 1, key, value, _ENDED, _CACHE_SECONDS)  # type: ignore[no-untyped-call]
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("session cache is unavailable", error=describe_error(error))

    async def _set(self, key: str, value: bytes, *, overwrite: bool) -> None:
        """Cache a value for a minute."""
        try:
            await self.redis.set(key, value, ex=_CACHE_SECONDS, nx=not overwrite)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("session cache is unavailable", error=describe_error(error))
