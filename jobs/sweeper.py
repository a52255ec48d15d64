"""Sweeps: work at regular intervals, mostly searches for rows whose job was never enqueued, or was lost."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain, zip_longest
from typing import NamedTuple
from uuid import UUID

from cancellation.backoff import Backoff
from cancellation.deadlines import sleep_unless
from core.database.scopes import SystemScope
from core.queue import Job
from core.telemetry import logger
from jobs.worker import Worker
from settings import CONCURRENT_SWEEPS

START = UUID(int=0)
PAGE = 500
"""Rows of one page of a search."""
RETRY_SECONDS = 5.0
"""The pause after a run that left work, and the first back-off after one that failed or was skipped."""
MAX_PAGES = 20
"""Pages of one run; the next run continues after them."""
log = logger(__name__)


class JobPage(NamedTuple):
    """Jobs to start, and the key after which the next page begins; None for the last page."""

    jobs: Sequence[Job]
    after: UUID | None = None


class SweepResult(Enum):
    """The result of one run of a sweep, which determines the pause before the next run."""

    DONE = auto()
    """Nothing is left to do: the next run starts after the interval."""
    MORE = auto()
    """Work is left: the next run starts soon."""
    SKIPPED = auto()
    """Another process runs the sweep: the next attempt starts after a back-off."""
    FAILED = auto()
    """The run raised an error: the next attempt starts after a back-off."""


_UNSUCCESSFUL = frozenset({SweepResult.SKIPPED, SweepResult.FAILED})
Find = Callable[[SystemScope, UUID], Awaitable[JobPage]]
"""Returns a page of the jobs that rows require, after a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Work at an interval, in all workers, or if `exclusive` in one at a time. Created by `sweep` or `sweep_jobs`."""

    name: str
    run: Callable[["Sweeper"], Awaitable[SweepResult]]
    every: float | None
    exclusive: bool


def sweep(
    run: Callable[[Worker], Awaitable[bool | None]], *, name: str, every: float | None = None, exclusive: bool = True
) -> Sweep:
    """Declare a sweep that calls a function, which returns True if it should run again soon.

    `every` is in seconds, None for NUDGE_SENDING__SWEEP_SECONDS; an `exclusive` sweep runs in one process of the
    installation at a time.
    """

    async def once(sweeper: Sweeper) -> SweepResult:
        return SweepResult.MORE if await run(sweeper.worker) else SweepResult.DONE

    return Sweep(name=name, run=once, every=every, exclusive=exclusive)


def sweep_jobs(find: Find, *, name: str, every: float | None = None, exclusive: bool = True) -> Sweep:
    """Declare a sweep that finds jobs, page by page, and starts them in this process.

    Within a page the jobs are started round-robin over organizations. They run in the background, so that a slow or
    failing one delays neither the others nor the next run; a job that is still running is not started twice.
    """

    async def start_found(sweeper: Sweeper) -> SweepResult:
        await sweeper.start_jobs(name, find)
        return SweepResult.DONE

    return Sweep(name=name, run=start_found, every=every, exclusive=exclusive)


class Sweeper:
    """Runs the sweeps of a process, each in a loop of its own."""

    def __init__(self, worker: Worker, stopping: asyncio.Event) -> None:
        self.worker = worker
        self.stopping = stopping
        self.cursors: dict[str, UUID] = {}
        self.exclusive_slots = asyncio.Semaphore(CONCURRENT_SWEEPS)

    async def run(self, sweep: Sweep) -> None:
        """Run a sweep at its interval until stopped.

        A failed run is logged; the next one starts after a back-off, which is at most the interval.
        """
        every = self.worker.settings.sending.sweep_seconds if sweep.every is None else sweep.every
        unsuccessful = 0
        while not self.stopping.is_set():
            try:
                result = await self.run_once(sweep)
            except Exception:
                # The database may be unavailable for a while; the sweeps resume all work after that.
                log.exception("sweep failed", sweep=sweep.name)
                result = SweepResult.FAILED
            unsuccessful = unsuccessful + 1 if result in _UNSUCCESSFUL else 0
            await sleep_unless(self.stopping, pause_after(result, every=every, unsuccessful=unsuccessful))

    async def run_once(self, sweep: Sweep) -> SweepResult:
        """Run a sweep once, unless it is exclusive and another process runs it.

        An exclusive sweep holds one connection for its lock, and needs a second one to work. The number of concurrent
        ones is limited, so that the connection pool always has a second connection for each.
        """
        if not sweep.exclusive:
            return await sweep.run(self)
        async with self.exclusive_slots, self.worker.runtime.work.advisory_lock(f"sweep {sweep.name}") as locked:
            return await sweep.run(self) if locked else SweepResult.SKIPPED

    async def start_jobs(self, name: str, find: Find) -> None:
        """Start the jobs that a search finds, up to `MAX_PAGES` pages, from where the last run ended."""
        after = self.cursors.pop(name, START)
        for _ in range(MAX_PAGES):
            if self.stopping.is_set():
                return
            jobs, following = await find(self.worker.runtime.system, after)
            for job in interleave(jobs):
                self.worker.start(job)
            if following is None:
                return
            after = following
        self.cursors[name] = after


def pause_after(result: SweepResult, *, every: float, unsuccessful: int) -> float:
    """Seconds until the next run, at most the interval. `unsuccessful` counts consecutive failed or skipped runs."""
    if result is SweepResult.DONE:
        return every
    if result is SweepResult.MORE:
        return min(RETRY_SECONDS, every)
    return Backoff(initial=RETRY_SECONDS, maximum=every).delay(unsuccessful)


def interleave(jobs: Iterable[Job]) -> Iterable[Job]:
    """The jobs round-robin over organizations: the first of each, the second of each, and so on."""
    by_organization: dict[UUID, list[Job]] = {}
    for job in jobs:
        by_organization.setdefault(job.organization_id, []).append(job)
    turns = chain.from_iterable(zip_longest(*by_organization.values()))
    return (job for job in turns if job is not None)
