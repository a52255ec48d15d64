"""Background tasks of a worker process, at most one per key."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from cancellation.tasks import cancel_and_wait, is_cancellation_requested
from core.telemetry import logger

MAX_CONCURRENT = 100
_CANCEL_SECONDS = 5.0
"""How long a cancelled task may take to end; a reply of Maya needs up to half of it to store its text."""
log = logger(__name__)
_TaskFunction = Callable[[], Awaitable[object]]
_NO_IDS: Mapping[str, str] = MappingProxyType({})


class TaskKind(NamedTuple):
    """A kind of task, with the number that run concurrently; the others wait, round-robin over organizations."""

    name: str
    max_concurrent: int = MAX_CONCURRENT


_DEFAULT_KIND = TaskKind("any")


class Slots:
    """The slots of a kind of task: round-robin over organizations, and first in, first out within each."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def acquire(self, organization: str) -> None:
        """Acquire a slot, once it is the organization's turn."""
        if self._free:
            self._free -= 1
            return
        ready = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(organization, deque()).append(ready)
        try:
            await ready
        except asyncio.CancelledError:
            if not ready.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Release a slot to the organization whose turn it is, which moves to the end of the queue."""
        while self._waiting:
            organization = next(iter(self._waiting))
            waiters = self._waiting.pop(organization)
            ready = waiters.popleft()
            if waiters:
                self._waiting[organization] = waiters
            if not ready.done():
                ready.set_result(None)
                return
        self._free += 1


class KeyedTasks:
    """Runs at most one task per key; a key that is started while it runs is run once more.

    Kinds of tasks do not delay each other, nor do organizations within a kind. Rows are the source of truth: a task
    that fails or is cancelled is logged, and a sweep finds its work again.
    """

    def __init__(self) -> None:
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._running: set[str] = set()
        self._rerun: dict[str, Callable[[], None]] = {}
        self._slots: dict[TaskKind, Slots] = {}
        self._closed = False

    def start(
        self, key: str, run: _TaskFunction, *, kind: TaskKind = _DEFAULT_KIND, ids: Mapping[str, str] = _NO_IDS
    ) -> None:
        """Start a task, or if one of this key is running, run it once more afterwards; does not wait.

        A task that still waits for its slot is not repeated, as it will read the newest rows. `ids` are logged with a
        failure; the `organization_id` among them is used for round-robin. After `aclose` nothing is started: a sweep
        of another process finds the work.
        """
        if self._closed:
            return
        if key in self.tasks:
            if key in self._running:
                self._rerun[key] = partial(self.start, key, run, kind=kind, ids=ids)
            return
        task = asyncio.create_task(self._run(key, run, kind, ids), name=key)
        self.tasks[key] = task
        task.add_done_callback(lambda _: self._done(key))

    async def _run(self, key: str, run: _TaskFunction, kind: TaskKind, ids: Mapping[str, str]) -> None:
        if (slots := self._slots.get(kind)) is None:
            slots = self._slots[kind] = Slots(kind.max_concurrent)
        await slots.acquire(ids.get("organization_id", ""))
        try:
            if self._closed:
                return
            self._running.add(key)
            await run()
        except Exception:
            # A failure must not end the process: a sweep starts the task again from the rows.
            log.exception("task failed; a sweep starts it again", task=kind.name, **ids)
        except asyncio.CancelledError:
            if is_cancellation_requested():
                raise
            log.warning("task cancelled unexpectedly; a sweep starts it again", task=kind.name, **ids)
        finally:
            slots.release()

    def _done(self, key: str) -> None:
        del self.tasks[key]
        self._running.discard(key)
        if (again := self._rerun.pop(key, None)) is not None:
            again()

    async def aclose(self, within_seconds: float) -> None:
        """Start no more tasks, wait for the running ones, and cancel those that do not end in time.

        After the first cancellation a task has `_CANCEL_SECONDS` to end; then it is cancelled repeatedly. If this
        call itself is cancelled, the tasks get no more time.
        """
        self._closed = True
        try:
            await self._wait(within_seconds)
            for task in self.tasks.values():
                task.cancel()
            await self._wait(_CANCEL_SECONDS)
        finally:
            await cancel_and_wait(list(self.tasks.values()))

    async def _wait(self, within_seconds: float) -> None:
        if self.tasks:
            await asyncio.wait(list(self.tasks.values()), timeout=within_seconds)
