"""Job queue (arq). Jobs carry ids; rows are the source of truth, and a sweep finds the work of a lost job."""

import asyncio
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self
from uuid import UUID

import orjson
from arq.connections import ArqRedis, RedisSettings, create_pool
from redis.exceptions import RedisError

from cancellation.deadlines import deadline
from core import clock
from core.access.actor import Actor, system_actor

QUEUE_NAME = "nudge:jobs"
ENQUEUE_SECONDS = 2.0


class QueueUnavailable(ConnectionError):
    """Redis did not answer in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A unit of background work, named in the imperative; its fields are ids: `SendBatches(campaign_id=...)`."""

    registry: ClassVar[dict[str, type["Job"]]] = {}
    # Equal jobs enqueued within this time are run once, at its end; with 0, each one is run.
    debounce_seconds: ClassVar[float] = 0.0
    organization_id: UUID

    def __init_subclass__(cls) -> None:
        Job.registry[job_name(cls)] = cls

    @property
    def name(self) -> str:
        """The worker function's name, e.g. `send_batches`."""
        return job_name(type(self))

    @property
    def key(self) -> str:
        """The identity of the job: its name and ids."""
        return ":".join([self.name, *self.payload().values()])

    @property
    def actor(self) -> Actor:
        """The system as the actor of the job's units of work, in the job's organization."""
        return system_actor(self.organization_id)

    @classmethod
    def from_payload(cls, ids: Mapping[str, str]) -> Self:
        """The inverse of `payload`. Raises `TypeError` or `ValueError` if the ids do not fit the job."""
        return cls(**{name: UUID(value) for name, value in ids.items()})

    def payload(self) -> dict[str, str]:
        """The ids as text, for the queue."""
        return {name: str(value) for name, value in asdict(self).items()}


def job_name(job: type[Job]) -> str:
    """The name of the worker function: `send_batches` for `SendBatches`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", job.__name__).lower()


def serialize(job: dict[str, Any]) -> bytes:
    """Encode a job as JSON, not pickle: data read from Redis must not be able to run code."""
    return orjson.dumps(job, default=str)


def deserialize(raw: bytes) -> dict[str, Any]:
    """The inverse of `serialize`."""
    job: dict[str, Any] = orjson.loads(raw)
    return job


def redis_settings(url: str) -> RedisSettings:
    """Connection settings for arq that fail fast: a caller is waiting, and a sweep finds the rows."""
    settings = RedisSettings.from_dsn(url)
    settings.conn_timeout = 2
    settings.conn_retries = 1
    settings.conn_retry_delay = 0
    return settings


def debounced(job: Job, now: float) -> tuple[str | None, float]:
    """The queue's id for a job enqueued at the Unix time `now` (None: a new id), and the seconds until it runs.

    Equal jobs of one time window share an id, and run when the window is over: so the run sees the rows of all of
    them. An id without a window would drop a job that is enqueued after a run has read its rows: arq ignores an id
    until its run has ended, or until the longest timeout if the worker was killed.
    """
    if not job.debounce_seconds:
        return None, 0.0
    window = math.floor(now / job.debounce_seconds)
    return f"{job.key}:{window}", (window + 1) * job.debounce_seconds - now


class Queue:
    """Enqueues jobs; connects at first use, and reconnects."""

    def __init__(self, url: str) -> None:
        self.settings = redis_settings(url)
        self.pool: ArqRedis | None = None
        self.connecting = asyncio.Lock()

    async def enqueue(self, job: Job) -> None:
        """Enqueue a job. Raises `QueueUnavailable` if Redis does not answer within two seconds."""
        identity, wait = debounced(job, clock.now().timestamp())
        try:
            async with deadline(ENQUEUE_SECONDS):
                pool = await self._connected()
                await pool.enqueue_job(job.name, job.payload(), _job_id=identity, _defer_by=wait or None)
        except (RedisError, OSError) as error:
            raise QueueUnavailable(f"The job queue is unavailable: {type(error).__name__}") from error

    async def _connected(self) -> ArqRedis:
        """The connection pool, opened at the first call."""
        async with self.connecting:
            if self.pool is None:
                self.pool = await create_pool(
                    self.settings,
                    job_serializer=serialize,
                    job_deserializer=deserialize,
                    default_queue_name=QUEUE_NAME,
                )
            return self.pool

    async def aclose(self) -> None:
        """Close the connections."""
        if self.pool is not None:
            await self.pool.aclose()
            self.pool = None
