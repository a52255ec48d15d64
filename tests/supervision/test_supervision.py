"""Supervised tasks go on through whatever nobody asked for, and are missed when they end for good."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from time import monotonic
from typing import Any

import pytest
from structlog.testing import capture_logs

from cancellation.backoff import Backoff
from cancellation.tasks import restart_when_cancelled
from core.supervision import Supervisors, supervise
from tests.supervision.straying import stray
from tests.waiting import WAIT_SECONDS, until

QUICK = Backoff(initial=0.001, maximum=0.01)


class Work:
    """A run that waits; it knows how often it was started, and ends as it is told."""

    def __init__(self) -> None:
        self.starts = 0
        self.ended = 0
        self.go = asyncio.Event()
        self.task: asyncio.Task[Any] | None = None

    async def run(self) -> None:
        """Wait to be told to return."""
        self.starts += 1
        self.task = asyncio.current_task()
        try:
            await self.go.wait()
        finally:
            self.ended += 1

    async def started(self, times: int) -> None:
        """Wait until it has been started so often, and runs."""

        async def runs() -> bool:
            return self.starts == times and self.ended == times - 1

        await until(runs)


async def test_a_cancelled_run_is_started_again() -> None:
    """A run that ends by a `CancelledError` begins anew, and the log says so each time."""
    work = Work()
    with capture_logs() as logs:
        task = asyncio.create_task(supervise("work", work.run, backoff=QUICK))
        for times in range(1, 6):
            await work.started(times)
            assert work.task is not None
            (stray if times % 2 else asyncio.Task.cancel)(work.task)
        await work.started(6)
        work.go.set()
        await task
    warned = [entry["event"] for entry in logs if entry.get("task") == "work"]
    assert warned == ["task cancelled though nobody asked; starting it again"] * 5


async def test_a_supervisor_is_not_cancelled_by_accident() -> None:
    """A `CancelledError` that reaches the supervisor itself, without anybody's asking, leaves the run alone."""
    work = Work()
    with capture_logs() as logs:
        task = asyncio.create_task(supervise("work", work.run, backoff=QUICK))
        await work.started(1)
        for _ in range(3):
            stray(task)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert (work.starts, work.ended) == (1, 0)
        work.go.set()
        await task
    assert [entry["event"] for entry in logs] == ["supervisor cancelled though nobody asked; going on"] * 3


async def test_a_pause_is_not_cut_short_nor_ended_by_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two runs, too, only a cancellation that somebody asked for ends a supervisor."""
    runs, now = 0, 0.0
    monkeypatch.setattr("cancellation.tasks.monotonic", lambda: now)

    async def fail() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise ValueError

    async def is_pausing() -> bool:
        return bool(logs)

    with capture_logs() as logs:
        task = asyncio.create_task(supervise("work", fail, backoff=Backoff(initial=3600, maximum=3600)))
        await until(is_pausing)
        stray(task)
        await asyncio.sleep(0.01)
        assert (runs, task.done()) == (1, False)
        now = 3600.0  # by its clock the pause is over, which it sees when it is woken
        stray(task)
        await asyncio.wait_for(task, WAIT_SECONDS)
    assert runs == 2


async def test_asked_to_end_it_ends_with_its_run() -> None:
    """Cancelled in earnest, a supervisor ends, and only after its run has ended."""
    order = []

    async def run() -> None:
        try:
            await asyncio.sleep(WAIT_SECONDS)
        finally:
            await asyncio.sleep(0.02)
            order.append("run")

    task = asyncio.create_task(supervise("work", run))
    task.add_done_callback(lambda _: order.append("supervisor"))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert order == ["run", "supervisor"]


async def test_a_run_that_loses_a_cancellation_is_ended_all_the_same() -> None:
    """A run that swallows the first cancellation, as libraries do, does not outlive its supervisor."""
    begun = asyncio.Event()
    ended = asyncio.Event()

    async def deaf() -> None:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(WAIT_SECONDS)
        try:
            await asyncio.sleep(WAIT_SECONDS)
        finally:
            ended.set()

    task = asyncio.create_task(supervise("work", deaf))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_a_failed_task_group_does_not_make_a_cancellation_look_asked_for() -> None:
    """What `TaskGroup` of 3.11 and 3.12 leaves in `cancelling()` is gone with its run: later ones survive as well."""
    runs = 0
    done = asyncio.Event()

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs == 6:
            done.set()
            return
        if runs % 2:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
        task = asyncio.current_task()
        assert task is not None
        stray(task)
        await asyncio.sleep(WAIT_SECONDS)

    async def fail() -> None:
        raise ValueError

    with capture_logs():
        await supervise("work", run, backoff=QUICK, expected=(ValueError,))
    assert (runs, done.is_set()) == (6, True)


async def test_failures_are_told_and_tried_again() -> None:
    """An expected failure is one line, another comes with its traceback, also out of a group; the work goes on."""
    failures = iter([ConnectionError("away"), ExceptionGroup("both", [ConnectionError("away")]), KeyError("bug")])

    async def run() -> None:
        if (failure := next(failures, None)) is not None:
            raise failure

    with capture_logs() as logs:
        await supervise("work", run, backoff=QUICK, expected=(OSError,))
    assert [entry["log_level"] for entry in logs] == ["warning", "warning", "error"]
    assert [entry.get("reason") for entry in logs] == ["ConnectionError"] * 2 + [None]
    assert logs[2]["exc_info"] is True


@pytest.mark.parametrize("end", [asyncio.CancelledError, KeyError])
async def test_a_run_that_lasted_begins_with_the_first_pause_again(
    end: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs that fail or are cancelled at once have longer and longer pauses, until one outlasts the longest."""
    runs, lasted = 0, 0.0
    for module in ("cancellation.tasks", "core.supervision"):
        monkeypatch.setattr(f"{module}.monotonic", lambda: monotonic() + lasted)

    async def run() -> None:
        nonlocal runs, lasted
        runs += 1
        if runs == 5:
            lasted = 1.0
        if runs <= 5:
            raise end

    with capture_logs() as logs:
        await supervise("work", run, backoff=Backoff(initial=0.02, maximum=0.64))
    *_, last, first = [entry["seconds"] for entry in logs]
    assert last >= 0.08
    assert first <= 0.02


def test_pauses_grow_up_to_the_longest() -> None:
    """Each failure doubles the pause, at most to the longest, and each is cut by at most a half."""
    backoff = Backoff(initial=1.0, maximum=8.0)
    for failures, longest in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 8.0), (10_000, 8.0)]:
        pauses = [backoff.delay(failures) for _ in range(200)]
        assert longest / 2 <= min(pauses) < max(pauses) <= longest


async def test_values_and_errors_pass_through() -> None:
    """`restart_when_cancelled` gives what the run returns, and raises what it raises, at once."""

    async def give() -> int:
        return 7

    async def fail() -> None:
        raise KeyError("now")

    assert await restart_when_cancelled("give", give) == 7
    with pytest.raises(KeyError, match="now"):
        await restart_when_cancelled("fail", fail)


async def returned() -> None:
    """A run that has nothing more to do."""


async def cancelled() -> None:
    """A run that goes on; its supervisor is cancelled by the test."""
    await asyncio.sleep(WAIT_SECONDS)


@pytest.mark.parametrize("run", [returned, cancelled])
async def test_a_task_that_ends_unasked_is_dead(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A supervised task that ends before it is released is dead, and whoever wants to know is told."""
    supervisors = Supervisors()
    told = []
    with capture_logs() as logs, supervisors.on_unexpected_end(lambda: told.append(supervisors.ended)):
        other = supervisors.start("other", cancelled)
        task = supervisors.start("victim", run)
        await asyncio.sleep(0)
        if run is cancelled:
            task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)
        assert (supervisors.ended, told) == (("victim",), [("victim",)])
        await supervisors.stop(other)
    assert [(entry["log_level"], entry["task"]) for entry in logs] == [("critical", "victim")]
    late = []
    with supervisors.on_unexpected_end(lambda: late.append(supervisors.ended)):
        assert late == [("victim",)]


async def test_a_released_task_may_end() -> None:
    """What is stopped, or released, is not missed."""
    supervisors = Supervisors()
    one, two = supervisors.start("one", cancelled), supervisors.start("two", cancelled)
    supervisors.release(one)
    one.cancel()
    await asyncio.wait([one])
    await supervisors.stop(two)
    await asyncio.sleep(0)
    assert (two.cancelled(), supervisors.ended) == (True, ())
