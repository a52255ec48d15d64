"""Background tasks of a process, at most one per key."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from cancellation.tasks import cancel_and_wait, is_cancellation_requested
from core.telemetry import logger

MAX_CONCURRENT = 100
CANCEL_SECONDS = 5.0
"""How long a cancelled task may take to end; one of Maya's replies tries for half of it to record its text."""
log = logger(__name__)
Run = Callable[[], Awaitable[object]]
NO_IDS: Mapping[str, str] = MappingProxyType({})


class Group(NamedTuple):
    """A kind of work, and how many tasks of it run side by side; of the others, organizations have turns."""

    name: str
    max_concurrent: int = MAX_CONCURRENT


ANY = Group("any")


class Slots:
    """The slots of a group. Organizations that wait take turns, each with its tasks in the order of their start."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def acquire(self, organization: str) -> None:
        """Take a slot, once it is the organization's turn."""
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(organization, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Give the slot to the organization whose turn it is; it goes to the end of those that wait."""
        while self._waiting:
            organization = next(iter(self._waiting))
            turns = self._waiting.pop(organization)
            turn = turns.popleft()
            if turns:
                self._waiting[organization] = turns
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class KeyedTasks:
    """Runs at most one task per key; a key started while it runs is run once more.

    Groups do not hold up one another, nor organizations within a group. Rows are the source of truth: a task that
    fails or is cancelled is logged, and its work is found again by a sweep.
    """

    def __init__(self) -> None:
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._begun: set[str] = set()
        self._rerun: dict[str, Callable[[], None]] = {}
        self._slots: dict[Group, Slots] = {}
        self._closed = False

    def start(self, key: str, run: Run, *, group: Group = ANY, ids: Mapping[str, str] = NO_IDS) -> None:
        """Start a task, or note that the running one of this key has to run once more; returns at once.

        One that still waits for its slot will see the newest rows, and runs once. `ids` go into the log with a
        failure; the `organization_id` among them says whose turn it is. Once closed, nothing is started: another
        process, or the next, finds the work in the rows.
        """
        if self._closed:
            return
        if key in self.tasks:
            if key in self._begun:
                self._rerun[key] = partial(self.start, key, run, group=group, ids=ids)
            return
        task = asyncio.create_task(self._run(key, run, group, ids), name=key)
        self.tasks[key] = task
        task.add_done_callback(lambda _: self._done(key))

    async def _run(self, key: str, run: Run, group: Group, ids: Mapping[str, str]) -> None:
        if (slots := self._slots.get(group)) is None:
            slots = self._slots[group] = Slots(group.max_concurrent)
        await slots.acquire(ids.get("organization_id", ""))
        try:
            if self._closed:
                return
            self._begun.add(key)
            await run()
        except Exception:
            # One task's failure must not end the process: a sweep starts it again from the rows.
            log.exception("task failed; a sweep starts it again", task=group.name, **ids)
        except asyncio.CancelledError:
            if is_cancellation_requested():
                raise
            log.warning("task cancelled though nobody asked; a sweep starts it again", task=group.name, **ids)
        finally:
            slots.release()

    def _done(self, key: str) -> None:
        del self.tasks[key]
        self._begun.discard(key)
        if (again := self._rerun.pop(key, None)) is not None:
            again()

    async def aclose(self, within_seconds: float) -> None:
        """Start no more tasks, let those that run end, and cancel those that do not in time.

        Each is cancelled once, and has a few seconds to end in order before it is cancelled again and again. When
        this call is cancelled itself, they have no time left.
        """
        self._closed = True
        try:
            await self._wait(within_seconds)
            for task in self.tasks.values():
                task.cancel()
            await self._wait(CANCEL_SECONDS)
        finally:
            await cancel_and_wait(list(self.tasks.values()))

    async def _wait(self, within_seconds: float) -> None:
        if self.tasks:
            await asyncio.wait(list(self.tasks.values()), timeout=within_seconds)
