"""Work that a process does beside its loops: one task for each key, run again when rung for meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable

from core.supervision import end_all, is_asked_to_end
from core.telemetry import logger

CLEANING_UP_SECONDS = 5.0
"""How long a cancelled errand may take to end; a reply of Maya's tries for half of it to record what was said."""
log = logger(__name__)
Errand = Callable[[], Awaitable[object]]


class Errands:
    """The errands of a process. Rows are the truth: an errand that fails or is cancelled is found again."""

    def __init__(self, *, at_once: int = 100) -> None:
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.again: dict[str, Errand] = {}
        self.room = asyncio.Semaphore(at_once)
        self.closed = False

    def start(self, key: str, errand: Errand) -> None:
        """Start an errand, or note that the running one of this key has to be done once more; returns at once.

        Once closed it starts nothing: another process, or the next, finds what there is to do in the rows.
        """
        if self.closed:
            return
        if key in self.tasks:
            self.again[key] = errand
            return
        task = asyncio.create_task(self.run(key, errand), name=key)
        self.tasks[key] = task
        task.add_done_callback(lambda _: self.done(key))

    async def run(self, key: str, errand: Errand) -> None:
        """Do an errand; whatever goes wrong is logged."""
        async with self.room:
            try:
                await errand()
            except Exception:
                # An errand's failure must not end the process: the sweeper starts it again from the rows.
                log.exception("errand failed", errand=key)
            except asyncio.CancelledError:
                if is_asked_to_end():
                    raise
                log.warning("errand cancelled though nobody asked; the sweeper starts it again", errand=key)

    def done(self, key: str) -> None:
        """Forget an errand, or start it once more."""
        del self.tasks[key]
        if (errand := self.again.pop(key, None)) is not None:
            self.start(key, errand)

    async def aclose(self, within_seconds: float) -> None:
        """Start no more errands, let those that run end, and cancel those that do not in time.

        Each is cancelled once, and has a few seconds to end in order before it is cancelled again and again. When
        this call is cancelled itself, they have no time left.
        """
        self.closed = True
        try:
            await self.wait(within_seconds)
            for task in self.tasks.values():
                task.cancel()
            await self.wait(CLEANING_UP_SECONDS)
        finally:
            await end_all(list(self.tasks.values()))

    async def wait(self, within_seconds: float) -> None:
        """Wait until no errand runs, or the time is over."""
        if self.tasks:
            await asyncio.wait(list(self.tasks.values()), timeout=within_seconds)
