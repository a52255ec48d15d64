"""Sweeps: page by page, round-robin over organizations, each in a separate loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from uuid import UUID

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from core.configuration import InvalidSettings
from core.database.scopes import SystemScope
from core.ids import new_id
from core.queue import Job
from core.unit_of_work import Work
from jobs import SWEEPS, sweeper
from jobs.sweeper import JobPage, Sweep, Sweeper, SweepResult, interleave, sweep, sweep_jobs
from jobs.worker import Worker, build_worker, handles
from runtime import Runtime, running
from settings import CONCURRENT_SWEEPS, require
from tests.conftest import Servers, copy_template, settings_for
from tests.waiting import WAIT_SECONDS, until


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Job):
    """A job that only these tests have."""

    number: UUID


del Job.registry["note"]


@dataclass(slots=True)
class Rows:
    """Rows that need a job each, and the jobs that were run."""

    pages: list[JobPage]
    searched: list[UUID]
    run: list[int]

    async def find(self, _: SystemScope, after: UUID) -> JobPage:
        """The page after a key."""
        self.searched.append(after)
        return self.pages[after.int]

    def note(self, _: Worker, job: Note) -> None:
        """Run a job."""
        self.run.append(job.number.int)


def pages(how_many: int) -> Rows:
    """So many pages of one job each."""
    after = [*(UUID(int=number) for number in range(1, how_many)), None]
    return Rows([JobPage([note(UUID(int=1), number)], each) for number, each in enumerate(after)], [], [])


def note(organization_id: UUID, number: int) -> Note:
    return Note(organization_id=organization_id, number=UUID(int=number))


def worker_of(runtime: Runtime, rows: Rows) -> Worker:
    """A worker with the handler of this job."""
    return build_worker(runtime, [handles(Note, rows.note)])


def test_which_sweeps_are_exclusive_and_which_are_daily() -> None:
    """All are exclusive but the one that gives each process its campaigns; partitions and retention are daily."""
    assert {each.name for each in SWEEPS if not each.exclusive} == {"send campaigns"}
    daily = {"create partitions", "delete expired rows"}
    assert {each.name: each.every for each in SWEEPS if each.every is not None} == dict.fromkeys(daily, 86_400.0)
    assert len({each.name for each in SWEEPS}) == len(SWEEPS)


async def test_a_run_finds_every_page(runtime: Runtime) -> None:
    """One search for each, from the key of the last page on."""
    rows = pages(3)
    await Sweeper(worker_of(runtime, rows), asyncio.Event()).run_once(sweep_jobs(rows.find, name=str(new_id())))
    assert rows.run == [0, 1, 2]
    assert [after.int for after in rows.searched] == [0, 1, 2]


async def test_a_long_run_is_continued_by_the_next(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run has a maximum of pages; the next one continues after them, and then it starts again."""
    monkeypatch.setattr(sweeper, "MAX_PAGES", 2)
    rows, stopping = pages(3), asyncio.Event()
    each, subject = sweep_jobs(rows.find, name=str(new_id())), Sweeper(worker_of(runtime, rows), stopping)
    ran = []
    for _ in range(3):
        await subject.run_once(each)
        ran.append(rows.run[:])
        rows.run.clear()
    assert ran == [[0, 1], [2], [0, 1]]


async def test_a_run_ends_between_pages(runtime: Runtime) -> None:
    """Stopped, it searches no more."""
    rows, stopping = pages(3), asyncio.Event()

    def note_and_stop(_: Worker, job: Note) -> None:
        rows.run.append(job.number.int)
        stopping.set()

    worker = build_worker(runtime, [handles(Note, note_and_stop)])
    await Sweeper(worker, stopping).run_once(sweep_jobs(rows.find, name=str(new_id())))
    assert rows.run == [0]


def test_jobs_are_started_round_robin_over_organizations() -> None:
    """The first job of each, then the second of each, and so on."""
    first, second, third = (new_id() for _ in range(3))
    jobs = [note(first, number) for number in range(3)] + [note(second, 3), note(third, 4), note(third, 5)]
    assert [job.number.int for job in interleave(jobs) if isinstance(job, Note)] == [0, 3, 4, 1, 5, 2]


@asynccontextmanager
async def run_sweeps(runtime: Runtime, *sweeps: Sweep) -> AsyncIterator[None]:
    """Run these sweeps in a worker, every few milliseconds."""
    sending = runtime.settings.sending.model_copy(update={"sweep_seconds": 0.01})
    quick = replace(runtime, settings=runtime.settings.model_copy(update={"sending": sending}))
    stopping = asyncio.Event()
    subject = Sweeper(build_worker(quick, []), stopping)
    loops = [asyncio.create_task(subject.run(each)) for each in sweeps]
    try:
        yield
    finally:
        stopping.set()
        async with asyncio.timeout(WAIT_SECONDS):
            await asyncio.gather(*loops)


async def test_failing_and_slow_sweeps_do_not_delay_others(runtime: Runtime) -> None:
    """An error is logged with the sweep's name, and the next run follows; other sweeps run at their own intervals."""
    runs: list[str] = []
    released = asyncio.Event()

    async def fail(_: Worker) -> None:
        runs.append("fail")
        raise RuntimeError("no")

    async def hang(_: Worker) -> None:
        runs.append("hang")
        await released.wait()

    async def work(_: Worker) -> None:
        runs.append("work")

    async def all_have_continued() -> bool:
        return runs.count("fail") > 2 and runs.count("work") > 2

    names = {run: f"{run.__name__} {new_id()}" for run in (fail, hang, work)}
    with capture_logs() as logs:
        async with run_sweeps(runtime, *(sweep(run, name=name) for run, name in names.items())):
            await until(all_have_continued)
            released.set()
    assert runs.count("hang") >= 1
    assert {each["sweep"] for each in logs} == {names[fail]}


async def test_a_sweep_has_its_interval(runtime: Runtime) -> None:
    """That of the settings, or its own."""
    runs: list[str] = []

    async def often(_: Worker) -> None:
        runs.append("often")

    async def daily(_: Worker) -> None:
        runs.append("daily")

    async def is_often() -> bool:
        return runs.count("often") > 3

    async with run_sweeps(
        runtime, sweep(often, name=str(new_id())), sweep(daily, name=str(new_id()), every=86_400.0)
    ):
        await until(is_often)
    assert runs.count("daily") == 1


async def test_a_daily_sweep_that_failed_or_was_skipped_is_retried_soon(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failure, while another process runs it, and when it left something; then after its interval."""
    monkeypatch.setattr(sweeper, "RETRY_SECONDS", 0.01)
    name, runs = str(new_id()), list[str]()

    async def daily(_: Worker) -> bool:
        runs.append("run")
        if len(runs) == 1:
            raise RuntimeError("no")
        return len(runs) < 4

    async def often(_: Worker) -> None:
        later.append("run")

    later: list[str] = []
    attempts = 0
    advisory_lock = type(runtime.work).advisory_lock

    def counted(work: Work, named: str) -> AbstractAsyncContextManager[bool]:
        nonlocal attempts
        attempts += named == f"sweep {name}"
        return advisory_lock(work, named)

    async def was_tried() -> bool:
        return attempts > 2

    async def is_done() -> bool:
        return len(runs) == 4

    monkeypatch.setattr(type(runtime.work), "advisory_lock", counted)
    async with AsyncExitStack() as other:
        await other.enter_async_context(runtime.work.advisory_lock(f"sweep {name}"))
        async with run_sweeps(runtime, sweep(daily, name=name, every=86_400.0), sweep(often, name=str(new_id()))):
            await until(was_tried)
            assert runs == []
            await other.aclose()
            await until(is_done)
            later.clear()
            await until(lambda: is_long(later))
    assert len(runs) == 4


async def is_long(runs: list[str]) -> bool:
    """Whether a sweep with a short interval has run some times."""
    return len(runs) > 5


def test_the_pause_before_a_retry_grows_up_to_the_interval() -> None:
    """It is never longer than the interval of the sweep."""
    pauses = [sweeper.pause_after(SweepResult.FAILED, every=86_400.0, unsuccessful=number) for number in (1, 5, 40)]
    assert sweeper.RETRY_SECONDS / 2 <= pauses[0] <= sweeper.RETRY_SECONDS < pauses[1] < pauses[2] <= 86_400.0
    assert sweeper.pause_after(SweepResult.SKIPPED, every=0.2, unsuccessful=3) <= 0.2
    assert sweeper.pause_after(SweepResult.MORE, every=86_400.0, unsuccessful=0) == sweeper.RETRY_SECONDS
    assert sweeper.pause_after(SweepResult.DONE, every=86_400.0, unsuccessful=0) == 86_400.0


async def test_the_smallest_pool_is_enough_for_every_sweep(servers: Servers) -> None:
    """Each holds one connection and works with another; however many run, none waits for itself."""
    settings = settings_for(servers, await copy_template(servers), redis_database=1)
    settings = settings.model_copy(
        update={
            "sending": settings.sending.model_copy(update={"concurrent_batches": 1}),
            "database": settings.database.model_copy(update={"pool_size": 1 + CONCURRENT_SWEEPS}),
        }
    )
    require(settings)
    too_small = settings.database.model_copy(update={"pool_size": CONCURRENT_SWEEPS})
    with pytest.raises(InvalidSettings):
        require(settings.model_copy(update={"database": too_small}))
    running_sweeps, started, finished_at = 0, 0, list[int]()

    async def all_have_started() -> bool:
        return started >= CONCURRENT_SWEEPS

    async def work(worker: Worker) -> None:
        nonlocal running_sweeps, started
        running_sweeps, started = running_sweeps + 1, started + 1
        assert running_sweeps <= CONCURRENT_SWEEPS
        await until(all_have_started)
        await worker.runtime.system.rows(select(1))
        running_sweeps -= 1
        finished_at.append(started)

    async def find(system: SystemScope, _: UUID) -> JobPage:
        await work(subject.worker)
        await system.rows(select(1))
        return JobPage([])

    async with running(settings) as runtime:
        subject = Sweeper(build_worker(runtime, []), asyncio.Event())
        sweeps = [sweep(work, name=str(new_id()), every=86_400.0) for _ in range(3)]
        sweeps += [sweep_jobs(find, name=str(new_id())) for _ in range(3)]
        await asyncio.gather(*(subject.run_once(each) for each in sweeps))
    assert len(finished_at) == len(sweeps)


async def test_an_exclusive_sweep_runs_in_one_process_at_a_time(runtime: Runtime) -> None:
    """While one process runs it, another does not; other sweeps run in all processes."""
    released, started = asyncio.Event(), list[str]()

    async def work(_: Worker) -> None:
        started.append("started")
        await released.wait()

    processes = [Sweeper(build_worker(runtime, []), asyncio.Event()) for _ in range(2)]
    exclusive = sweep(work, name=str(new_id()))
    first = asyncio.create_task(processes[0].run_once(exclusive))

    async def has_started() -> bool:
        return bool(started)

    await until(has_started)
    await asyncio.wait_for(processes[1].run_once(exclusive), WAIT_SECONDS)
    assert started == ["started"]
    everywhere = [asyncio.create_task(each.run_once(replace(exclusive, exclusive=False))) for each in processes]
    await asyncio.sleep(0)
    assert started == ["started"] * 3
    released.set()
    await asyncio.gather(first, *everywhere)
