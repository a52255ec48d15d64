"""Cancel asyncio tasks reliably, and restart work that was cancelled without a request.

A `CancelledError` can reach a task that was not cancelled: from a library, or from `asyncio` itself (see
`cancellation.deadlines`). It is not an `Exception`, so `except Exception` around the work misses it, and the task
ends silently. `Task.cancelling()` shows whether there was a request only in tasks that have used neither a
`TaskGroup` nor a timeout. So the work runs in a task of its own, under a supervisor task that only waits for it.
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
    """Whether `cancel()` was called on the current task: if not, a `CancelledError` must not end it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def cancel_and_wait(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until all have ended, even if the caller is cancelled meanwhile.

    Cancels again every half second, because Python 3.11's `wait_for`, which redis-py uses for each command with a
    socket timeout, loses a cancellation that arrives as its wait ends (fixed in 3.12). The soak test, which drops
    1,000 WebSockets at once, hits this in every run. It does not cancel more often, even if the caller is cancelled
    again and again, because each `cancel()` interrupts the clean-up of the tasks.
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
    """Drop the error of a cancelled task: its traceback would keep alive the objects that hold the task."""
    if task.cancelled():
        with suppress(asyncio.CancelledError):
            task.exception()


async def restart_when_cancelled(
    name: str, run: Callable[[], Coroutine[Any, Any, T]], *, backoff: Backoff = DEFAULT_BACKOFF
) -> T:
    """Return or raise what the run does; restart it, with back-off, if it is cancelled but the caller is not."""
    failures = 0
    while True:
        started = monotonic()
        work = asyncio.create_task(run(), name=f"{name}-run")
        await _finished(name, work)
        if not work.cancelled():
            return work.result()
        failures = 1 if monotonic() - started > backoff.maximum else failures + 1
        delay = backoff.delay(failures)
        log.warning("task cancelled without a request; restarting it", task=name, seconds=round(delay, 2))
        await sleep_through(delay)


async def _finished(name: str, work: asyncio.Task[Any]) -> None:
    """Wait until the work has ended; if the current task is cancelled, cancel the work first."""
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            if is_cancellation_requested():
                await cancel_and_wait([work])
                if not work.cancelled() and (error := work.exception()) is not None:
                    log.warning("task failed while it was being cancelled", task=name, exc_info=error)
                raise
            log.warning("supervisor cancelled without a request; continuing", task=name)


async def sleep_through(seconds: float) -> None:
    """Sleep; a cancellation without a request does not end the sleep."""
    until = monotonic() + seconds
    while (remaining := until - monotonic()) > 0:
        try:
            await asyncio.sleep(remaining)
        except asyncio.CancelledError:
            if is_cancellation_requested():
                raise
