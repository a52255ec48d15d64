"""Tasks that have to go on: run again when they fail, and known when they end for good.

A `CancelledError` may reach a task though nobody has asked it to end: from a library, or from `asyncio` itself (see
`core.deadlines`). It is no `Exception`, so a loop around the work does not see it, and the task ends without a word.
`Task.cancelling()` tells the two apart only in a task that neither a `TaskGroup` nor a time limit has touched. So the
work runs in a task of its own, under one that does nothing but wait for it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, TypeVar

from core.backoff import Backoff
from core.errors import OperatorError
from core.telemetry import described, logger

T = TypeVar("T")
CANCEL_AGAIN_SECONDS = 0.5
log = logger(__name__)


class SupervisedTaskEnded(OperatorError):
    """A task that the process cannot do without has ended for good: the process has to be started again."""


DEFAULT_BACKOFF = Backoff()


def is_asked_to_end() -> bool:
    """Whether somebody has cancelled the current task: a `CancelledError` without that is to be survived."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def end_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
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
            let_go(task)
    if interruption is not None:
        raise interruption


def let_go(task: asyncio.Task[Any]) -> None:
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
        failures = 1 if monotonic() - started > backoff.longest else failures + 1
        pause = backoff.pause(failures)
        log.warning("task cancelled though nobody asked; starting it again", task=name, seconds=round(pause, 2))
        await _rest(pause)


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
            failures = 1 if monotonic() - started > backoff.longest else failures + 1
            pause = backoff.pause(failures)
            cause = first_cause(error)
            if isinstance(cause, expected):
                reason = described(cause)
                log.warning("task failed; starting it again", task=name, reason=reason, seconds=round(pause, 2))
            else:
                log.exception("task failed; starting it again", task=name, seconds=round(pause, 2))
        else:
            return
        await _rest(pause)


def first_cause(error: BaseException) -> BaseException:
    """The first error that is no group, of those that a group holds."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class Supervisors:
    """The supervised tasks of a process. One that ends before it was released is dead, and the process unfit."""

    def __init__(self) -> None:
        self._names: dict[asyncio.Task[None], str] = {}
        self._dead: list[str] = []
        self._callbacks: list[Callable[[], object]] = []

    @property
    def dead(self) -> tuple[str, ...]:
        """The names of the tasks that have ended though nobody released them."""
        return tuple(self._dead)

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
        await end_all(tasks)

    @contextmanager
    def on_death(self, callback: Callable[[], object]) -> Iterator[None]:
        """Call back, within the loop, for each task that dies while the block runs; at once when one has before."""
        self._callbacks.append(callback)
        try:
            if self._dead:
                callback()
            yield
        finally:
            self._callbacks.remove(callback)

    def _ended(self, task: asyncio.Task[None]) -> None:
        name = self._names.pop(task, None)
        if name is None:
            return
        self._dead.append(name)
        error = None if task.cancelled() else task.exception()
        log.critical("supervised task ended for good; the process has to be started again", task=name, exc_info=error)
        for callback in self._callbacks:
            callback()


async def _finished(name: str, work: asyncio.Task[Any]) -> None:
    """Wait for the work of the current task; cancelled, end the work first."""
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            if is_asked_to_end():
                await end_all([work])
                if not work.cancelled() and (error := work.exception()) is not None:
                    log.warning("task failed while it ended", task=name, exc_info=error)
                raise
            log.warning("supervisor cancelled though nobody asked; going on", task=name)


async def _rest(seconds: float) -> None:
    """Sleep, also through a cancellation that nobody asked for."""
    until = monotonic() + seconds
    while (left := until - monotonic()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            if is_asked_to_end():
                raise
