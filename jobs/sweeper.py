"""Sweeps: regular searches for work that the rows ask for and no job has announced."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import NamedTuple
from uuid import UUID

from core.database.scopes import SystemScope
from core.deadlines import sleep_unless
from core.queue import Job
from core.telemetry import logger
from jobs.worker import Worker

FIRST = UUID(int=0)
PAGE = 500
"""How much of what it looks for a search finds at a time."""
MAX_SEARCHES = 2
"""Searches side by side: each takes two connections, one for the lock that lets it alone, of a pool of at least 5."""
MAX_PAGES = 20
"""Pages of one round. What lies beyond them, the next round begins with."""
log = logger(__name__)


class Page(NamedTuple):
    """Jobs to start, and the key after which the next page begins; None when this is the last."""

    jobs: Sequence[Job]
    after: UUID | None = None


Find = Callable[[SystemScope, UUID], Awaitable[Page]]
"""A page of the jobs that the rows ask for, beyond a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Work that every worker, or one at a time of the installation, does at an interval. Made by `sweep`."""

    name: str
    run: Callable[["Sweeper"], Awaitable[object]]
    every: float | None
    alone: bool
    is_search: bool


def sweep(
    run: Callable[[Worker], Awaitable[object]], *, name: str, every: float | None = None, alone: bool = True
) -> Sweep:
    """Declare a sweep that is one function call.

    `every` is in seconds, None for NUDGE_SENDING__SWEEP_SECONDS; `alone` lets one process of the installation do it
    at a time.
    """

    async def once(sweeper: Sweeper) -> None:
        await run(sweeper.worker)

    return Sweep(name=name, run=once, every=every, alone=alone, is_search=False)


def sweep_jobs(find: Find, *, name: str, every: float | None = None, alone: bool = True) -> Sweep:
    """Declare a sweep that finds jobs, page by page, and starts them in this process.

    Organisations take turns within a page. The jobs run in the background, so that one in trouble keeps neither the
    others nor the next round waiting; a job that still runs is not started twice.
    """

    async def start_found(sweeper: Sweeper) -> None:
        await sweeper.start_jobs(name, find)

    return Sweep(name=name, run=start_found, every=every, alone=alone, is_search=True)


class Sweeper:
    """Runs the sweeps of a process, each in a loop of its own."""

    def __init__(self, worker: Worker, stopping: asyncio.Event) -> None:
        self.worker = worker
        self.stopping = stopping
        self.cursors: dict[str, UUID] = {}
        self.searches = asyncio.Semaphore(MAX_SEARCHES)

    async def run(self, sweep: Sweep) -> None:
        """Run a sweep at its interval until stopped. A round that fails is logged, and the next one comes."""
        every = self.worker.settings.sending.sweep_seconds if sweep.every is None else sweep.every
        while not self.stopping.is_set():
            try:
                await self.round(sweep)
            except Exception:
                # The database may be away for a while; sweeps are what gets things going again afterwards.
                log.exception("sweep failed", sweep=sweep.name)
            await sleep_unless(self.stopping, every)

    async def round(self, sweep: Sweep) -> None:
        """Run a sweep once, unless another process is at it."""
        if not sweep.alone:
            await sweep.run(self)
            return
        waits = self.searches if sweep.is_search else nullcontext()
        async with waits, self.worker.runtime.work.alone(f"sweep {sweep.name}") as alone:
            if alone:
                await sweep.run(self)

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


def take_turns(jobs: Iterable[Job]) -> Iterable[Job]:
    """The jobs with organisations in turn: the first of each, the second of each, and so on."""
    by_organization: dict[UUID, list[Job]] = {}
    for job in jobs:
        by_organization.setdefault(job.organization_id, []).append(job)
    turns = chain.from_iterable(zip_longest(*by_organization.values()))
    return (job for job in turns if job is not None)
