"""The doorbell: arq under a supervisor, as a restart of Redis ends its worker, and a flush empties its queue."""

import asyncio
import os
import random
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, cast

from arq.worker import Worker
from redis.exceptions import RedisError

from core.queue import QUEUE_NAME, deserialize, redis_settings, serialize
from core.telemetry import logger
from jobs.sweeper import wait
from jobs.workshop import Workshop

if TYPE_CHECKING:
    from arq.connections import ArqRedis
    from arq.typing import WorkerCoroutine

WorkerFunction = Callable[[dict[str, Any], dict[str, str]], Coroutine[Any, Any, None]]
POLL_SECONDS = 0.02
JOBS_AT_ONCE = 100
JOB_SECONDS = 30
HEALTH_SECONDS = 10
LONGEST_PAUSE = 5.0
log = logger(__name__)


def arq_worker(shop: Workshop, functions: Sequence[WorkerFunction]) -> Worker:
    """A worker of arq for this process. Its signals are ours, its results nobody's, its payloads JSON."""
    url = shop.settings.redis.url
    if url is None:
        raise AssertionError("settings.require() was not called")
    return Worker(
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
    """Answer the doorbell until stopped, reconnecting with growing pauses whenever Redis goes away."""
    failures = 0
    while not stopping.is_set():
        worker = arq_worker(shop, functions)
        running = asyncio.create_task(worker.async_run(), name="doorbell")
        stop = asyncio.create_task(stopping.wait(), name="doorbell-stop")
        await asyncio.wait([running, stop], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if running.done() and not stopping.is_set():
            answered = worker._pool is not None  # noqa: SLF001 - arq has no other word for "was connected"
            failures = 0 if answered else failures + 1
            log.warning("doorbell lost; the sweeper carries on", error=describe(running))
        await hang_up(worker, running)
        if not stopping.is_set():
            longest = min(LONGEST_PAUSE, 0.1 * 2.0 ** min(failures, 16))
            await wait(stopping, longest * (0.5 + random.random() / 2))  # noqa: S311 - spreads the workers


async def hang_up(worker: Worker, running: asyncio.Task[Any]) -> None:
    """End arq's worker and close its connections, which may need the very Redis that is away.

    Its own close() cancels in a way that loses connections, and calls what redis-py has deprecated.
    """
    tasks = [running, *worker.tasks.values()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    pool: ArqRedis | None = worker._pool  # noqa: SLF001 - the property claims that it is always there
    if pool is None:
        return
    try:
        await pool.delete(worker.health_check_key)
    except (RedisError, OSError) as error:
        log.debug("health key not deleted", error=type(error).__name__)
    await pool.aclose(close_connection_pool=True)


def describe(task: asyncio.Task[Any]) -> str:
    """How a task ended, in a line."""
    if task.cancelled():
        return "cancelled"
    error = task.exception()
    return f"{type(error).__name__}: {error}" if error else "ended"
