"""Sweeps: regular searches for work that the rows ask for and no job has announced."""

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

FIRST = UUID(int=0)
PAGE = 500
"""How much of what it looks for a search finds at a time."""
RETRY_SECONDS = 5.0
"""The pause after a round that has left something, or the first that came to nothing; further ones are longer."""
MAX_PAGES = 20
"""Pages of one round. What lies beyond them, the next round begins with."""
log = logger(__name__)


class Page(NamedTuple):
    """Jobs to start, and the key after which the next page begins; None when this is the last."""

    jobs: Sequence[Job]
    after: UUID | None = None


class Round(Enum):
    """How a round of a sweep has ended, which says when the next one comes."""

    DONE = auto()
    """The next comes after the interval."""
    MORE = auto()
    """It has left something, and the next comes soon."""
    NOT_DONE = auto()
    """It failed, or another process is at it: the next comes after a pause, longer each time."""


Find = Callable[[SystemScope, UUID], Awaitable[Page]]
"""A page of the jobs that the rows ask for, beyond a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Work that every worker, or one at a time of the installation, does at an interval. Made by `sweep`."""

    name: str
    run: Callable[["Sweeper"], Awaitable[Round]]
    every: float | None
    alone: bool


def sweep(
    run: Callable[[Worker], Awaitable[bool | None]], *, name: str, every: float | None = None, alone: bool = True
) -> Sweep:
    """Declare a sweep that is one function call, which returns True when it has left something for a round soon.

    `every` is in seconds, None for NUDGE_SENDING__SWEEP_SECONDS; `alone` lets one process of the installation do it
    at a time.
    """

    async def once(sweeper: Sweeper) -> Round:
        return Round.MORE if await run(sweeper.worker) else Round.DONE

    return Sweep(name=name, run=once, every=every, alone=alone)


def sweep_jobs(find: Find, *, name: str, every: float | None = None, alone: bool = True) -> Sweep:
    """Declare a sweep that finds jobs, page by page, and starts them in this process.

    Organizations take turns within a page. The jobs run in the background, so that one in trouble keeps neither the
    others nor the next round waiting; a job that still runs is not started twice.
    """

    async def start_found(sweeper: Sweeper) -> Round:
        await sweeper.start_jobs(name, find)
        return Round.DONE

    return Sweep(name=name, run=start_found, every=every, alone=alone)


class Sweeper:
    """Runs the sweeps of a process, each in a loop of its own."""

    def __init__(self, worker: Worker, stopping: asyncio.Event) -> None:
        self.worker = worker
        self.stopping = stopping
        self.cursors: dict[str, UUID] = {}
        self.alone = asyncio.Semaphore(CONCURRENT_SWEEPS)

    async def run(self, sweep: Sweep) -> None:
        """Run a sweep at its interval until stopped. A round that fails is logged, and the next one comes sooner."""
        every = self.worker.settings.sending.sweep_seconds if sweep.every is None else sweep.every
        not_done = 0
        while not self.stopping.is_set():
            try:
                ended = await self.round(sweep)
            except Exception:
                # The database may be away for a while; sweeps are what gets things going again afterwards.
                log.exception("sweep failed", sweep=sweep.name)
                ended = Round.NOT_DONE
            not_done = not_done + 1 if ended is Round.NOT_DONE else 0
            await sleep_unless(self.stopping, pause_after(ended, every=every, not_done=not_done))

    async def round(self, sweep: Sweep) -> Round:
        """Run a sweep once, unless another process is at it.

        Who is alone keeps a connection for its lock while it waits for another to work with: so many at a time that
        the pool has one that nobody keeps.
        """
        if not sweep.alone:
            return await sweep.run(self)
        async with self.alone, self.worker.runtime.work.advisory_lock(f"sweep {sweep.name}") as alone:
            return await sweep.run(self) if alone else Round.NOT_DONE

    async def start_jobs(self, name: str, find: Find) -> None:
        """Start what a search finds, up to `MAX_PAGES` pages, from where the last round ended."""
        after = self.cursors.pop(name, FIRST)
        for _ in range(MAX_PAGES):
            if self.stopping.is_set():
                return
            jobs, following = await find(self.worker.runtime.system, after)
            for job in take_turns(jobs):
                self.worker.start(job)
            if following is None:
                return
            after = following
        self.cursors[name] = after


def pause_after(ended: Round, *, every: float, not_done: int) -> float:
    """Seconds until the next round, never more than the interval; `not_done` rounds in a row came to nothing."""
    if ended is Round.DONE:
        return every
    if ended is Round.MORE:
        return min(RETRY_SECONDS, every)
    return Backoff(initial=RETRY_SECONDS, maximum=every).delay(not_done)


def take_turns(jobs: Iterable[Job]) -> Iterable[Job]:
    """The jobs with organizations in turn: the first of each, the second of each, and so on."""
    by_organization: dict[UUID, list[Job]] = {}
    for job in jobs:
        by_organization.setdefault(job.organization_id, []).append(job)
    turns = chain.from_iterable(zip_longest(*by_organization.values()))
    return (job for job in turns if job is not None)
