"""Job queue (arq). Jobs carry ids; rows are the source of truth, and a sweep finds what a lost job left undone."""

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
    """Redis cannot be reached; nothing was enqueued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A unit of background work, named in the imperative, with ids for fields: `SendBatches(campaign_id=...)`."""

    registry: ClassVar[dict[str, type["Job"]]] = {}
    # Jobs of the same ids that are enqueued within this time are run once, at its end. 0: each is run.
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
        """What tells this job from others: its name and ids."""
        return ":".join([self.name, *self.payload().values()])

    @property
    def actor(self) -> Actor:
        """The system in the job's organisation, for the job's units of work."""
        return system_actor(self.organization_id)

    @classmethod
    def from_payload(cls, ids: Mapping[str, str]) -> Self:
        """The job that `payload` was made from. Raises `TypeError` or `ValueError` for anything else."""
        return cls(**{name: UUID(value) for name, value in ids.items()})

    def payload(self) -> dict[str, str]:
        """The ids as text, as the queue carries them."""
        return {name: str(value) for name, value in asdict(self).items()}


def job_name(job: type[Job]) -> str:
    """`SendBatches` is run by the worker function `send_batches`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", job.__name__).lower()


def serialize(job: dict[str, Any]) -> bytes:
    """Jobs are JSON, not pickle: nothing that comes out of Redis can run code."""
    return orjson.dumps(job, default=str)


def deserialize(raw: bytes) -> dict[str, Any]:
    """The inverse of `serialize`."""
    job: dict[str, Any] = orjson.loads(raw)
    return job


def redis_settings(url: str) -> RedisSettings:
    """Arq's connection settings: fail quickly, as a caller waits, and a sweep finds the rows."""
    settings = RedisSettings.from_dsn(url)
    settings.conn_timeout = 2
    settings.conn_retries = 1
    settings.conn_retry_delay = 0
    return settings


def debounced(job: Job, now: float) -> tuple[str | None, float]:
    """The queue's id for a job (None: a fresh one) and how long its run waits, in seconds, at the Unix time `now`.

    Jobs of one window share an id, and their run starts when the window has closed: none of them can fall between a
    run that has read its rows already and the next. An id without a window would lose such a job, as arq keeps it
    until the run has ended, or for the longest timeout when the worker was killed.
    """
    if not job.debounce_seconds:
        return None, 0.0
    window = math.floor(now / job.debounce_seconds)
    return f"{job.key}:{window}", (window + 1) * job.debounce_seconds - now


class Queue:
    """Enqueues jobs, connecting on first use and again after a loss."""

    def __init__(self, url: str) -> None:
        self.settings = redis_settings(url)
        self.pool: ArqRedis | None = None
        self.connecting = asyncio.Lock()

    async def enqueue(self, job: Job) -> None:
        """Enqueue a job. Raises `QueueUnavailable` when Redis does not answer within two seconds."""
        identity, wait = debounced(job, clock.now().timestamp())
        try:
            async with deadline(ENQUEUE_SECONDS):
                pool = await self.connected()
                await pool.enqueue_job(job.name, job.payload(), _job_id=identity, _defer_by=wait or None)
        except (RedisError, OSError) as error:
            raise QueueUnavailable(f"The queue does not answer: {type(error).__name__}") from error

    async def connected(self) -> ArqRedis:
        """The connection pool, made once."""
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
