"""A timeout that raises `TimeoutError`, and nothing else, on every Python from 3.11.0 on.

Before 3.11.3, `asyncio.timeout` raises `CancelledError` instead if the task's cancellation count was not zero before
(python/cpython#102780). Up to 3.12 a `TaskGroup` leaves such a count behind whenever one of its tasks fails
(python/cpython#133747); so does code that catches a cancellation and continues.
"""

import asyncio
from contextlib import suppress
from types import TracebackType


class Deadline:
    """The context manager that `deadline` returns. Enter it once."""

    __slots__ = ("_before", "_expired", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._expired = False
        self._before = 0
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        self._task = task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline needs a task")
        self._before = task.cancelling()
        if self._seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, self._seconds), self._expire, task)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._expired or self._task is None:
            return
        # A count above that from before the block: the task was also cancelled from outside, which takes precedence.
        others = self._task.uncancel() > self._before
        if isinstance(error, asyncio.CancelledError) and not others:
            raise TimeoutError from error

    def _expire(self, task: asyncio.Task[object]) -> None:
        self._expired = True
        task.cancel()


def deadline(seconds: float | None) -> Deadline:
    """Limit an `async with` block, which raises `TimeoutError` after `seconds`; None is no limit.

    Use it instead of `asyncio.timeout` and `asyncio.wait_for`, which have errors in some of the supported versions.
    """
    return Deadline(seconds)


async def sleep_unless(stopping: asyncio.Event, seconds: float) -> None:
    """Sleep for `seconds`, or until the event is set."""
    with suppress(TimeoutError):
        async with deadline(seconds):
            await stopping.wait()
