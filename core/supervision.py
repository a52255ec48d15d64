"""Tasks that have to go on: run again when they fail, and known when they end for good."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from cancellation.backoff import Backoff
from cancellation.tasks import DEFAULT_BACKOFF, cancel_and_wait, restart_when_cancelled, sleep_through
from core.errors import OperatorError
from core.telemetry import describe_error, logger

log = logger(__name__)


class SupervisedTaskEnded(OperatorError):
    """A task that the process cannot do without has ended for good: the process has to be started again."""


async def supervise(
    name: str,
    run: Callable[[], Coroutine[Any, Any, None]],
    *,
    backoff: Backoff = DEFAULT_BACKOFF,
    expected: tuple[type[Exception], ...] = (),
) -> None:
    """Run until the run returns or the caller is cancelled; again, after a pause, whenever it fails.

    A run that lasts longer than the longest pause makes the next pause the first again. Every failure is logged:
    those of the expected kinds in one line, all others with their traceback.
    """
    failures = 0
    while True:
        started = monotonic()
        try:
            await restart_when_cancelled(name, run, backoff=backoff)
        except Exception as error:
            failures = 1 if monotonic() - started > backoff.maximum else failures + 1
            pause = backoff.delay(failures)
            cause = first_cause(error)
            if isinstance(cause, expected):
                reason = describe_error(cause)
                log.warning("task failed; starting it again", task=name, reason=reason, seconds=round(pause, 2))
            else:
                log.exception("task failed; starting it again", task=name, seconds=round(pause, 2))
        else:
            return
        await sleep_through(pause)


def first_cause(error: BaseException) -> BaseException:
    """The first error that is no group, of those that a group holds."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class Supervisors:
    """The supervised tasks of a process. One that ends before it was released is dead, and the process unfit."""

    def __init__(self) -> None:
        self._names: dict[asyncio.Task[None], str] = {}
        self._ended_names: list[str] = []
        self._callbacks: list[Callable[[], object]] = []

    @property
    def ended(self) -> tuple[str, ...]:
        """The names of the tasks that have ended though nobody released them."""
        return tuple(self._ended_names)

    def start(
        self,
        name: str,
        run: Callable[[], Coroutine[Any, Any, None]],
        *,
        backoff: Backoff = DEFAULT_BACKOFF,
        expected: tuple[type[Exception], ...] = (),
    ) -> asyncio.Task[None]:
        """Supervise a run in a task of this name, see `supervise`."""
        task = asyncio.create_task(supervise(name, run, backoff=backoff, expected=expected), name=name)
        self._names[task] = name
        task.add_done_callback(self._ended)
        return task

    def release(self, *tasks: asyncio.Task[None]) -> None:
        """Let tasks end when they like."""
        for task in tasks:
            self._names.pop(task, None)

    async def stop(self, *tasks: asyncio.Task[None]) -> None:
        """Release tasks and end them for certain."""
        self.release(*tasks)
        await cancel_and_wait(tasks)

    @contextmanager
    def on_unexpected_end(self, callback: Callable[[], object]) -> Iterator[None]:
        """Call back, within the loop, for each task that dies while the block runs; at once when one has before."""
        self._callbacks.append(callback)
        try:
            if self._ended_names:
                callback()
            yield
        finally:
            self._callbacks.remove(callback)

    def _ended(self, task: asyncio.Task[None]) -> None:
        name = self._names.pop(task, None)
        if name is None:
            return
        self._ended_names.append(name)
        error = None if task.cancelled() else task.exception()
        log.critical("supervised task ended for good; the process has to be started again", task=name, exc_info=error)
        for callback in self._callbacks:
            callback()
