"""End asyncio tasks for certain, and run again what was cancelled though nobody asked.

A `CancelledError` may reach a task though nobody has asked it to end: from a library, or from `asyncio` itself (see
`cancellation.deadlines`). It is no `Exception`, so a loop around the work does not see it: the task ends silently.
`Task.cancelling()` tells the two apart only in a task that neither a `TaskGroup` nor a time limit has touched.
So the work runs in a task of its own, under one that does nothing but wait for it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar

import structlog

from cancellation.backoff import Backoff

T = TypeVar("T")
CANCEL_AGAIN_SECONDS = 0.5
DEFAULT_BACKOFF = Backoff()
log = structlog.stdlib.get_logger(__name__)


def is_cancellation_requested() -> bool:
    """Whether somebody has cancelled the current task: a `CancelledError` without that is to be survived."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def cancel_and_wait(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until each of them has ended, also when the caller is cancelled meanwhile.

    Once is not enough: Python 3.11's `wait_for`, which redis-py uses for each command with a socket timeout, loses
    a cancellation that comes in the moment its wait is over (fixed in 3.12), and the task goes on as if nothing had
    been said. The soak test, with 1,000 sockets dropped at once, runs into it every time. But not before its time,
    however often the caller is cancelled: it would interrupt what the tasks close.
    """
    pending = {task for task in tasks if not task.done()}
    interruption: asyncio.CancelledError | None = None
    again = monotonic()
    while pending:
        if monotonic() >= again:
            for task in pending:
                task.cancel()
            again = monotonic() + CANCEL_AGAIN_SECONDS
        try:
            done, _ = await asyncio.wait(pending, timeout=max(0.0, again - monotonic()))
        except asyncio.CancelledError as error:
            interruption = error
            done = {task for task in pending if task.done()}
        pending -= done
        for task in done:
            release_traceback(task)
    if interruption is not None:
        raise interruption


def release_traceback(task: asyncio.Task[Any]) -> None:
    """Take the error out of a cancelled task: through its traceback the task would keep whoever keeps the task."""
    if task.cancelled():
        with suppress(asyncio.CancelledError):
            task.exception()


async def restart_when_cancelled(
    name: str, run: Callable[[], Coroutine[Any, Any, T]], *, backoff: Backoff = DEFAULT_BACKOFF
) -> T:
    """What the run returns or raises; it is started again when it was cancelled and nobody cancelled the caller."""
    failures = 0
    while True:
        started = monotonic()
        work = asyncio.create_task(run(), name=f"{name}-run")
        await _finished(name, work)
        if not work.cancelled():
            return work.result()
        failures = 1 if monotonic() - started > backoff.maximum else failures + 1
        pause = backoff.delay(failures)
        log.warning("task cancelled though nobody asked; starting it again", task=name, seconds=round(pause, 2))
        await sleep_through(pause)


async def _finished(name: str, work: asyncio.Task[Any]) -> None:
    """Wait for the work of the current task; cancelled, end the work first."""
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            if is_cancellation_requested():
                await cancel_and_wait([work])
                if not work.cancelled() and (error := work.exception()) is not None:
                    log.warning("task failed while it ended", task=name, exc_info=error)
                raise
            log.warning("supervisor cancelled though nobody asked; going on", task=name)


async def sleep_through(seconds: float) -> None:
    """Sleep, also through a cancellation that nobody asked for."""
    until = monotonic() + seconds
    while (left := until - monotonic()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            if is_cancellation_requested():
                raise
