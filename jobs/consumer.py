"""Consuming jobs from the queue with arq's worker.

That worker ends whenever Redis restarts, so `consume` is supervised and started again. Sweeps find the jobs that
Redis has lost.
"""

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

_POLL_SECONDS = 0.02
_MAX_JOBS = 100
_JOB_SECONDS = 30
_HEALTH_SECONDS = 10
CLOSE_SECONDS = 1.0
log = logger(__name__)


class ConnectionLost(Exception):
    """Arq's worker has ended, as it does when its connection to Redis is lost."""


class ArqWorker(BaseArqWorker):
    """Arq's worker, with an end between two polls, and with the tasks in which it finishes jobs.

    Arq shields those tasks from cancellation. They must not be cancelled at any moment: redis-py leaks a connection
    if it is cancelled while it returns one to the pool.
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
        """Remove a finished job from the queue."""
        self._begin_finishing()
        await super().finish_job(*arguments)

    async def finish_failed_job(self, *arguments: Any) -> None:  # noqa: ANN401 - arq's
        """Remove a failed job from the queue."""
        self._begin_finishing()
        await super().finish_failed_job(*arguments)

    def _begin_finishing(self) -> None:
        if task := asyncio.current_task():
            self.finishing.add(task)
            task.add_done_callback(self.finishing.discard)


def _arq_worker(worker: Worker) -> ArqWorker:
    """Arq's worker for this process, without signal handlers and stored results, and with JSON payloads."""
    url = worker.settings.redis.url
    if url is None:
        raise AssertionError("settings.require() was not called")
    return ArqWorker(
        functions=[_arq_function(worker, handler) for handler in worker.handlers.values()],
        queue_name=QUEUE_NAME,
        redis_settings=redis_settings(url.get_secret_value()),
        handle_signals=False,
        max_jobs=_MAX_JOBS,
        job_timeout=_JOB_SECONDS,
        keep_result=0,
        poll_delay=_POLL_SECONDS,
        health_check_interval=_HEALTH_SECONDS,
        health_check_key=f"{QUEUE_NAME}:health:{socket.gethostname()}:{os.getpid()}",
        job_serializer=serialize,
        job_deserializer=deserialize,
    )


def _arq_function(worker: Worker, handler: JobHandler) -> Function:
    """The function that arq calls for a kind of job. It only starts the job, which does not depend on Redis."""

    async def start(_: dict[str, Any], ids: dict[str, str]) -> None:
        worker.start(handler.job.from_payload(ids))

    return func(cast("WorkerCoroutine", start), name=job_name(handler.job))


async def consume(worker: Worker, stopping: asyncio.Event) -> None:
    """Start jobs as they are enqueued, until stopped; raises `ConnectionLost` when arq's worker ends before."""
    consumer = _arq_worker(worker)
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
    """Stop arq's worker and close its connections, in limited time even if Redis does not respond.

    Arq's own close() cancels in a way that leaks connections, and calls a deprecated method of redis-py.
    """
    consumer.closing = True
    async with AsyncExitStack() as steps:  # each runs even if the one before is cancelled
        steps.push_async_callback(_close_connections, consumer)
        steps.push_async_callback(_stop_tasks, consumer.finishing)
        steps.push_async_callback(_stop_tasks, consumer.tasks.values())
        await _stop_tasks([running])


async def _stop_tasks(tasks_to_stop: Collection[asyncio.Task[Any]]) -> None:
    """Wait a second for tasks to end, then cancel them; their exceptions are ignored."""
    tasks = list(tasks_to_stop)
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


async def _close_connections(consumer: ArqWorker) -> None:
    """Delete the worker's health key and close its connections."""
    pool: ArqRedis | None = consumer._pool  # noqa: SLF001 - the public property is typed as never None
    if pool is None:
        return
    try:
        async with deadline(CLOSE_SECONDS):
            await pool.delete(consumer.health_check_key)
    except (RedisError, OSError) as error:
        log.debug("health key not deleted", error=type(error).__name__)
    finally:
        await pool.aclose(close_connection_pool=True)
