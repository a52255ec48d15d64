"""Whether this process can serve: what it depends on answers, and the database has our schema."""

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
    """What keeps us from serving, and what only slows us down, in a few words without details of our inside."""

    failure: str | None
    degradation: str | None


async def readiness(engine: AsyncEngine, redis: Redis, supervisors: Supervisors) -> Readiness:
    """Without PostgreSQL we cannot serve. Without Redis we can: work is taken in, and live streams poll.

    Nor can a process serve that has lost a supervised task: it is about to end, to be started again.
    """
    database, degradation = await asyncio.gather(database_shortcoming(engine), redis_shortcoming(redis))
    failures = [each for each in (supervision_shortcoming(supervisors), database) if each]
    return Readiness("; ".join(failures) or None, degradation)


def supervision_shortcoming(supervisors: Supervisors) -> str | None:
    """Which supervised tasks have ended for good. A topic is not named, as it has a person's or a campaign's id."""
    dead = dict.fromkeys(name.partition(" ")[0] for name in supervisors.ended)
    return f"supervisor: {', '.join(dead)} has ended" if dead else None


async def database_shortcoming(engine: AsyncEngine) -> str | None:
    """What is wrong with PostgreSQL."""
    try:
        async with deadline(CHECK_TIMEOUT_SECONDS):
            revision = await revisions.revision(engine)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        log.warning("PostgreSQL does not answer", error=describe_error(error))
        return "database: no answer"
    # A newer version has migrated already and this process is to be replaced: until then it serves.
    return (
        f"database: at revision {revision}, this version needs {revisions.head()}"
        if revisions.is_older(revision)
        else None
    )


async def redis_shortcoming(redis: Redis) -> str | None:
    """What is wrong with Redis."""
    try:
        async with deadline(CHECK_TIMEOUT_SECONDS):
            await redis.ping()
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("Redis does not answer", error=describe_error(error))
        return "redis: no answer"
    return None
