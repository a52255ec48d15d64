"""Takes jobs from the queue: arq, to be supervised, as a restart of Redis ends its worker, and a flush empties it."""

import asyncio
import os
import socket
from collections.abc import Collection
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, cast

from arq.worker import Function, func
from arq.worker import Worker as BaseArqWorker
from redis.exceptions import RedisError

from cancellation.deadlines import deadline
from cancellation.tasks import cancel_and_wait
from core.queue import QUEUE_NAME, deserialize, job_name, redis_settings, serialize
from core.telemetry import logger
from jobs.worker import JobHandler, Worker

if TYPE_CHECKING:
    from arq.connections import ArqRedis
    from arq.typing import WorkerCoroutine

POLL_SECONDS = 0.02
MAX_JOBS = 100
JOB_SECONDS = 30
HEALTH_SECONDS = 10
CLOSE_SECONDS = 1.0
log = logger(__name__)


class ConnectionLost(Exception):
    """Arq's worker has ended, as it does whenever Redis goes away."""


class ArqWorker(BaseArqWorker):
    """Arq's worker, which can end between two rounds, and knows the ends of jobs that it shields from a cancellation.

    Cancelled in the moment in which it gives a connection back, redis-py keeps it.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - arq's
        super().__init__(**options)
        self.closing = False
        self.finishing: set[asyncio.Task[Any]] = set()

    async def _poll_iteration(self) -> None:
        if self.closing:
            raise asyncio.CancelledError
        await super()._poll_iteration()

    async def finish_job(self, *arguments: Any) -> None:  # noqa: ANN401 - arq's
        """Forget a job that was done."""
        self._begin_finishing()
        await super().finish_job(*arguments)

    async def finish_failed_job(self, *arguments: Any) -> None:  # noqa: ANN401 - arq's
        """Forget a job that can't be done."""
        self._begin_finishing()
        await super().finish_failed_job(*arguments)

    def _begin_finishing(self) -> None:
        if task := asyncio.current_task():
            self.finishing.add(task)
            task.add_done_callback(self.finishing.discard)


def arq_worker(worker: Worker) -> ArqWorker:
    """A worker of arq for this process: without its signals and results, payloads in JSON."""
    url = worker.settings.redis.url
    if url is None:
        raise AssertionError("settings.require() was not called")
    return ArqWorker(
        functions=[arq_function(worker, handler) for handler in worker.handlers.values()],
        queue_name=QUEUE_NAME,
        redis_settings=redis_settings(url.get_secret_value()),
        handle_signals=False,
        max_jobs=MAX_JOBS,
        job_timeout=JOB_SECONDS,
        keep_result=0,
        poll_delay=POLL_SECONDS,
        health_check_interval=HEALTH_SECONDS,
        health_check_key=f"{QUEUE_NAME}:health:{socket.gethostname()}:{os.getpid()}",
        job_serializer=serialize,
        job_deserializer=deserialize,
    )


def arq_function(worker: Worker, handler: JobHandler) -> Function:
    """The function that arq calls for a kind of job. It only starts the job: what runs does not depend on Redis."""

    async def start(_: dict[str, Any], ids: dict[str, str]) -> None:
        worker.start(handler.job.from_payload(ids))

    return func(cast("WorkerCoroutine", start), name=job_name(handler.job))


async def consume(worker: Worker, stopping: asyncio.Event) -> None:
    """Start jobs as they are enqueued until stopped; raises `ConnectionLost` when arq's worker ends before."""
    consumer = arq_worker(worker)
    running = asyncio.create_task(consumer.async_run(), name="consumer-arq")
    stop = asyncio.create_task(stopping.wait(), name="consumer-stop")
    try:
        await asyncio.wait([running, stop], return_when=asyncio.FIRST_COMPLETED)
        if not stopping.is_set():
            failed = running.done() and not running.cancelled()
            raise ConnectionLost("arq's worker has ended") from (running.exception() if failed else None)
    finally:
        stop.cancel()
        await close(consumer, running)


async def close(consumer: ArqWorker, running: asyncio.Task[Any]) -> None:
    """End arq's worker and close its connections, which may need the very Redis that is away, or silent.

    Its own close() cancels in a way that loses connections, and calls what redis-py has deprecated.
    """
    consumer.closing = True
    async with AsyncExitStack() as steps:  # each is taken even where the one before is cancelled
        steps.push_async_callback(close_connections, consumer)
        steps.push_async_callback(end_soon, consumer.finishing)
        steps.push_async_callback(end_soon, consumer.tasks.values())
        await end_soon([running])


async def end_soon(which: Collection[asyncio.Task[Any]]) -> None:
    """Let tasks end by themselves for a second, then cancel them; what they raise is ignored."""
    tasks = list(which)
    try:
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
    finally:
        try:
            await cancel_and_wait(tasks)
        finally:
            for task in tasks:
                if not task.cancelled():
                    task.exception()


async def close_connections(consumer: ArqWorker) -> None:
    """Delete the worker's health key, and close its connections."""
    pool: ArqRedis | None = consumer._pool  # noqa: SLF001 - the property claims that it is always there
    if pool is None:
        return
    try:
        async with deadline(CLOSE_SECONDS):
            await pool.delete(consumer.health_check_key)
    except (RedisError, OSError) as error:
        log.debug("health key not deleted", error=type(error).__name__)
    finally:
        await pool.aclose(close_connection_pool=True)
