"""Whether this process can serve: its servers answer, and the database has the right schema."""

import asyncio
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from cancellation.deadlines import deadline
from core import revisions
from core.supervision import Supervisors
from core.telemetry import describe_error, logger

CHECK_TIMEOUT_SECONDS = 2.0
log = logger(__name__)


class Readiness(NamedTuple):
    """The reason why the process cannot serve, and the reason why it is degraded: short, without internal details."""

    failure: str | None
    degradation: str | None


async def readiness(engine: AsyncEngine, redis: Redis, supervisors: Supervisors) -> Readiness:
    """Check the process. It cannot serve without PostgreSQL, nor after losing a supervised task: it will restart.

    Without Redis it is degraded: requests are served, jobs wait for a sweep, and streams poll.
    """
    database, degradation = await asyncio.gather(_database_problem(engine), _redis_problem(redis))
    failures = [each for each in (_supervision_problem(supervisors), database) if each]
    return Readiness("; ".join(failures) or None, degradation)


def _supervision_problem(supervisors: Supervisors) -> str | None:
    """The supervised tasks that have ended. Their names are without topics, because topics contain ids."""
    ended = dict.fromkeys(name.partition(" ")[0] for name in supervisors.ended)
    return f"supervisor: {', '.join(ended)} has ended" if ended else None


async def _database_problem(engine: AsyncEngine) -> str | None:
    """The problem with PostgreSQL, if any."""
    try:
        async with deadline(CHECK_TIMEOUT_SECONDS):
            revision = await revisions.revision(engine)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        log.warning("PostgreSQL does not answer", error=describe_error(error))
        return "database: no answer"
    # After a migration by a newer version this process serves until it is replaced.
    return (
        f"database: at revision {revision}, this version needs {revisions.head()}"
        if revisions.is_older(revision)
        else None
    )


async def _redis_problem(redis: Redis) -> str | None:
    """The problem with Redis, if any."""
    try:
        async with deadline(CHECK_TIMEOUT_SECONDS):
            await redis.ping()
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("Redis does not answer", error=describe_error(error))
        return "redis: no answer"
    return None
