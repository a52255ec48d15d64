"""Supervised tasks: restarted with back-off when they fail, and reported when they end for good."""

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
    """A task that the process depends on has ended permanently: the process must be restarted."""


async def supervise(
    name: str,
    run: Callable[[], Coroutine[Any, Any, None]],
    *,
    backoff: Backoff = DEFAULT_BACKOFF,
    expected: tuple[type[Exception], ...] = (),
) -> None:
    """Run until the run returns or the caller is cancelled; restart it with back-off whenever it fails.

    A run that lasts longer than the maximum delay resets the back-off. Each failure is logged: an error of an
    `expected` type in one line, any other with its traceback.
    """
    failures = 0
    while True:
        started = monotonic()
        try:
            await restart_when_cancelled(name, run, backoff=backoff)
        except Exception as error:
            failures = 1 if monotonic() - started > backoff.maximum else failures + 1
            delay = backoff.delay(failures)
            cause = first_cause(error)
            if isinstance(cause, expected):
                reason = describe_error(cause)
                log.warning("task failed; restarting it", task=name, reason=reason, seconds=round(delay, 2))
            else:
                log.exception("task failed; restarting it", task=name, seconds=round(delay, 2))
        else:
            return
        await sleep_through(delay)


def first_cause(error: BaseException) -> BaseException:
    """The error itself, or the first error in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class Supervisors:
    """The supervised tasks of a process. If one ends before it is released, the process is not fit to serve."""

    def __init__(self) -> None:
        self._names: dict[asyncio.Task[None], str] = {}
        self._ended: list[str] = []
        self._callbacks: list[Callable[[], object]] = []

    @property
    def ended(self) -> tuple[str, ...]:
        """The names of the tasks that have ended without being released."""
        return tuple(self._ended)

    def start(
        self,
        name: str,
        run: Callable[[], Coroutine[Any, Any, None]],
        *,
        backoff: Backoff = DEFAULT_BACKOFF,
        expected: tuple[type[Exception], ...] = (),
    ) -> asyncio.Task[None]:
        """Start a task that supervises a run, see `supervise`."""
        task = asyncio.create_task(supervise(name, run, backoff=backoff, expected=expected), name=name)
        self._names[task] = name
        task.add_done_callback(self._on_done)
        return task

    def release(self, *tasks: asyncio.Task[None]) -> None:
        """Stop supervising tasks: they may end at any time."""
        for task in tasks:
            self._names.pop(task, None)

    async def stop(self, *tasks: asyncio.Task[None]) -> None:
        """Release tasks, cancel them and wait until they have ended."""
        self.release(*tasks)
        await cancel_and_wait(tasks)

    @contextmanager
    def on_unexpected_end(self, callback: Callable[[], object]) -> Iterator[None]:
        """Call back for each task that ends unexpectedly in the block; immediately if one has ended before."""
        self._callbacks.append(callback)
        try:
            if self._ended:
                callback()
            yield
        finally:
            self._callbacks.remove(callback)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        name = self._names.pop(task, None)
        if name is None:
            return
        self._ended.append(name)
        error = None if task.cancelled() else task.exception()
        log.critical("supervised task ended permanently; the process must be restarted", task=name, exc_info=error)
        for callback in self._callbacks:
            callback()
