"""Whether a session still stands, and in which role: from Redis first, from the database on a miss."""

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

CACHE_SECONDS = 60
PREFIX = "nudge:session:"
ENDED = b"ended"
CORRECT = "if redis.call('GET', KEYS[1]) ~= ARGV[2] then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3]) end"
OF_USER: Final = prepare(
    select(User.role).where(User.id == bindparam("user", type_=Uuid), User.disabled_at.is_(None))
)
IN_SESSION: Final = prepare(
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
class Claimed:
    """What a verified token claims. `has_session` is false for tokens of a foreign issuer."""

    user_id: UUID
    organization_id: UUID
    session_id: UUID
    expires_at: int
    has_session: bool = True


class SessionCache:
    """Looks sessions up. Rows are the truth; Redis holds an answer for a minute at most."""

    def __init__(self, engine: AsyncEngine, redis: Redis) -> None:
        self.engine = engine
        self.redis = redis

    async def role(self, claimed: Claimed) -> Role | None:
        """The caller's role now, or None when the session has ended or the person is disabled."""
        key = PREFIX + str(claimed.session_id)
        known = await self.cached(key)
        if known == ENDED:
            return None
        if known is not None:
            return Role(known.decode())
        role = await self.stored(claimed)
        if role is not None:
            await self.remember(key, role.encode(), overwrite=False)
        return role

    async def stored_role(self, claimed: Claimed) -> Role | None:
        """The caller's role as the database has it; every process knows it from now on."""
        role = await self.stored(claimed)
        if role is None:
            await self.ended(claimed.session_id)
        else:
            await self.correct(PREFIX + str(claimed.session_id), role.encode())
        return role

    async def ended(self, session_id: UUID) -> None:
        """Tell every process at once that a session is over; a stale answer cannot overwrite it."""
        await self.remember(PREFIX + str(session_id), ENDED, overwrite=True)

    async def stored(self, claimed: Claimed) -> Role | None:
        """The role as the database has it."""
        tenant = Tenant(organization_id=claimed.organization_id, user_id=claimed.user_id)
        statement, given = OF_USER, {"user": claimed.user_id}
        if claimed.has_session:
            statement, given = IN_SESSION, {**given, "session": claimed.session_id}
        row = await first(ReadScope(read_side(self.engine), tenant), statement, given)
        return Role(row[0]) if row else None

    async def cached(self, key: str) -> bytes | None:
        """What Redis knows; None when it knows nothing or does not answer."""
        try:
            value: bytes | None = await self.redis.get(key)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("session cache does not answer; asking the database", error=describe_error(error))
            return None
        return value

    async def correct(self, key: str, value: bytes) -> None:
        """Replace a remembered answer by a newer one, but never the end of a session, which may be newer still."""
        try:
            await self.redis.execute_command("EVAL", CORRECT, 1, key, value, ENDED, CACHE_SECONDS)  # type: ignore[no-untyped-call]
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("session cache does not answer", error=describe_error(error))

    async def remember(self, key: str, value: bytes, *, overwrite: bool) -> None:
        """Keep an answer for a minute."""
        try:
            await self.redis.set(key, value, ex=CACHE_SECONDS, nx=not overwrite)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("session cache does not answer", error=describe_error(error))
