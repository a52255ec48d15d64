"""The doorbell: arq, to be supervised, as a restart of Redis ends its worker, and a flush empties its queue."""

import asyncio
import os
import socket
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, cast

from arq.worker import Worker
from redis.exceptions import RedisError

from core.deadlines import deadline
from core.queue import QUEUE_NAME, deserialize, redis_settings, serialize
from core.supervision import end_all
from core.telemetry import logger
from jobs.workshop import Workshop

if TYPE_CHECKING:
    from arq.connections import ArqRedis
    from arq.typing import WorkerCoroutine

WorkerFunction = Callable[[dict[str, Any], dict[str, str]], Coroutine[Any, Any, None]]
POLL_SECONDS = 0.02
JOBS_AT_ONCE = 100
JOB_SECONDS = 30
HEALTH_SECONDS = 10
CLOSE_SECONDS = 1.0
log = logger(__name__)


class ConnectionLost(Exception):
    """Arq's worker has ended, as it does whenever Redis goes away."""


class ArqWorker(Worker):
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


def arq_worker(shop: Workshop, functions: Sequence[WorkerFunction]) -> ArqWorker:
    """A worker of arq for this process. Its signals are ours, its results nobody's, its payloads JSON."""
    url = shop.settings.redis.url
    if url is None:
        raise AssertionError("settings.require() was not called")
    return ArqWorker(
        functions=cast("Sequence[WorkerCoroutine]", functions),
        queue_name=QUEUE_NAME,
        redis_settings=redis_settings(url.get_secret_value()),
        handle_signals=False,
        max_jobs=JOBS_AT_ONCE,
        job_timeout=JOB_SECONDS,
        keep_result=0,
        poll_delay=POLL_SECONDS,
        health_check_interval=HEALTH_SECONDS,
        health_check_key=f"{QUEUE_NAME}:health:{socket.gethostname()}:{os.getpid()}",
        ctx={"workshop": shop, "runtime": shop.runtime},
        job_serializer=serialize,
        job_deserializer=deserialize,
    )


async def listen(shop: Workshop, functions: Sequence[WorkerFunction], stopping: asyncio.Event) -> None:
    """Run jobs as they are announced until stopped; raises `ConnectionLost` when arq's worker ends before."""
    worker = arq_worker(shop, functions)
    running = asyncio.create_task(worker.async_run(), name="doorbell")
    stop = asyncio.create_task(stopping.wait(), name="doorbell-stop")
    try:
        await asyncio.wait([running, stop], return_when=asyncio.FIRST_COMPLETED)
        if not stopping.is_set():
            failed = running.done() and not running.cancelled()
            raise ConnectionLost("arq's worker has ended") from (running.exception() if failed else None)
    finally:
        stop.cancel()
        await hang_up(worker, running)


async def hang_up(worker: ArqWorker, running: asyncio.Task[Any]) -> None:
    """End arq's worker and close its connections, which may need the very Redis that is away, or silent.

    Its own close() cancels in a way that loses connections, and calls what redis-py has deprecated.
    """
    worker.closing = True
    async with AsyncExitStack() as steps:  # each is taken even where the one before is cancelled
        steps.push_async_callback(close_connections, worker)
        steps.push_async_callback(end_soon, worker.finishing)
        steps.push_async_callback(end_soon, worker.tasks.values())
        await end_soon([running])


async def end_soon(which: Collection[asyncio.Task[Any]]) -> None:
    """Let tasks end by themselves for a second, then cancel them; what they raise is nobody's any more."""
    tasks = list(which)
    try:
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
    finally:
        try:
            await end_all(tasks)
        finally:
            for task in tasks:
                if not task.cancelled():
                    task.exception()


async def close_connections(worker: ArqWorker) -> None:
    """Take back that the worker is well, and close its connections."""
    pool: ArqRedis | None = worker._pool  # noqa: SLF001 - the property claims that it is always there
    if pool is None:
        return
    try:
        async with deadline(CLOSE_SECONDS):
            await pool.delete(worker.health_check_key)
    except (RedisError, OSError) as error:
        log.debug("health key not deleted", error=type(error).__name__)
    finally:
        await pool.aclose(close_connection_pool=True)
