"""A time limit that raises `TimeoutError`, and nothing else, on every Python from 3.11.0 on.

Before 3.11.3 `asyncio.timeout` lets a `CancelledError` out where the task still counts an older cancellation
(python/cpython#102780). A `TaskGroup` leaves such a count behind whenever one of its tasks fails, up to and including
3.12 (python/cpython#133747), and so does whoever catches a cancellation and goes on.
"""

import asyncio
from contextlib import suppress
from types import TracebackType


class Deadline:
    """What `deadline` returns. To be entered once."""

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
        # Above the count from before the block somebody else has cancelled the task as well, which goes first.
        others = self._task.uncancel() > self._before
        if isinstance(error, asyncio.CancelledError) and not others:
            raise TimeoutError from error

    def _expire(self, task: asyncio.Task[object]) -> None:
        self._expired = True
        task.cancel()


def deadline(seconds: float | None) -> Deadline:
    """Limit an `async with` block: it raises `TimeoutError` when the seconds pass. None is no limit.

    Use it in place of `asyncio.timeout` and `asyncio.wait_for`, which are not right on every version we run on.
    """
    return Deadline(seconds)


async def sleep_unless(stopping: asyncio.Event, seconds: float) -> None:
    """Sleep, but not beyond the event."""
    with suppress(TimeoutError):
        async with deadline(seconds):
            await stopping.wait()
