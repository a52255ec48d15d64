"""Supervised tasks survive errors and cancellations without a request; an unexpected end is reported."""

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
from tests.supervision.cancellations import cancel_without_request
from tests.waiting import WAIT_SECONDS, until

QUICK = Backoff(initial=0.001, maximum=0.01)


class Work:
    """A run that waits until `go` is set, and counts its starts and ends."""

    def __init__(self) -> None:
        self.starts = 0
        self.ended = 0
        self.go = asyncio.Event()
        self.task: asyncio.Task[Any] | None = None

    async def run(self) -> None:
        """Wait for `go`, then return."""
        self.starts += 1
        self.task = asyncio.current_task()
        try:
            await self.go.wait()
        finally:
            self.ended += 1

    async def started(self, times: int) -> None:
        """Wait until it runs for the given time."""

        async def runs() -> bool:
            return self.starts == times and self.ended == times - 1

        await until(runs)


async def test_a_cancelled_run_is_restarted() -> None:
    """A run that ends with a `CancelledError` is restarted, with a line in the log each time."""
    work = Work()
    with capture_logs() as logs:
        task = asyncio.create_task(supervise("work", work.run, backoff=QUICK))
        for times in range(1, 6):
            await work.started(times)
            assert work.task is not None
            (cancel_without_request if times % 2 else asyncio.Task.cancel)(work.task)
        await work.started(6)
        work.go.set()
        await task
    warned = [entry["event"] for entry in logs if entry.get("task") == "work"]
    assert warned == ["task cancelled without a request; restarting it"] * 5


async def test_a_supervisor_survives_a_cancellation_without_a_request() -> None:
    """A `CancelledError` in the supervisor itself, without a request, does not affect the run."""
    work = Work()
    with capture_logs() as logs:
        task = asyncio.create_task(supervise("work", work.run, backoff=QUICK))
        await work.started(1)
        for _ in range(3):
            cancel_without_request(task)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert (work.starts, work.ended) == (1, 0)
        work.go.set()
        await task
    assert [entry["event"] for entry in logs] == ["supervisor cancelled without a request; continuing"] * 3


async def test_a_back_off_survives_a_cancellation_without_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two runs, too, only a requested cancellation ends a supervisor, and none shortens the delay."""
    runs, now = 0, 0.0
    monkeypatch.setattr("cancellation.tasks.monotonic", lambda: now)

    async def fail() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise ValueError

    async def is_waiting() -> bool:
        return bool(logs)

    with capture_logs() as logs:
        task = asyncio.create_task(supervise("work", fail, backoff=Backoff(initial=3600, maximum=3600)))
        await until(is_waiting)
        cancel_without_request(task)
        await asyncio.sleep(0.01)
        assert (runs, task.done()) == (1, False)
        now = 3600.0  # by its clock the delay is over, which it sees when it runs next
        cancel_without_request(task)
        await asyncio.wait_for(task, WAIT_SECONDS)
    assert runs == 2


async def test_a_requested_cancellation_ends_the_run_first() -> None:
    """A supervisor that is cancelled ends only after its run has ended."""
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


async def test_a_run_that_loses_a_cancellation_is_ended_too() -> None:
    """A run that swallows the first cancellation, as some libraries do, ends before its supervisor."""
    started = asyncio.Event()
    ended = asyncio.Event()

    async def swallowing() -> None:
        started.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(WAIT_SECONDS)
        try:
            await asyncio.sleep(WAIT_SECONDS)
        finally:
            ended.set()

    task = asyncio.create_task(supervise("work", swallowing))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_a_failed_task_group_does_not_make_a_cancellation_look_requested() -> None:
    """The count that `TaskGroup` of 3.11 and 3.12 leaves in `cancelling()` does not affect later runs."""
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
        cancel_without_request(task)
        await asyncio.sleep(WAIT_SECONDS)

    async def fail() -> None:
        raise ValueError

    with capture_logs():
        await supervise("work", run, backoff=QUICK, expected=(ValueError,))
    assert (runs, done.is_set()) == (6, True)


async def test_failures_are_logged_and_retried() -> None:
    """An expected error, also in a group, is one line in the log, another has its traceback; the run is restarted."""
    failures = iter(
        [ConnectionError("unavailable"), ExceptionGroup("both", [ConnectionError("unavailable")]), KeyError("bug")]
    )

    async def run() -> None:
        if (failure := next(failures, None)) is not None:
            raise failure

    with capture_logs() as logs:
        await supervise("work", run, backoff=QUICK, expected=(OSError,))
    assert [entry["log_level"] for entry in logs] == ["warning", "warning", "error"]
    assert [entry.get("reason") for entry in logs] == ["ConnectionError"] * 2 + [None]
    assert logs[2]["exc_info"] is True


@pytest.mark.parametrize("end", [asyncio.CancelledError, KeyError])
async def test_a_long_run_resets_the_back_off(end: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    """Delays grow while runs fail or are cancelled immediately; a run longer than the maximum delay resets them."""
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


def test_delays_grow_up_to_the_maximum() -> None:
    """Each failure doubles the delay up to the maximum; each delay is shortened by at most a half."""
    backoff = Backoff(initial=1.0, maximum=8.0)
    for failures, longest in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 8.0), (10_000, 8.0)]:
        delays = [backoff.delay(failures) for _ in range(200)]
        assert longest / 2 <= min(delays) < max(delays) <= longest


async def test_values_and_errors_pass_through() -> None:
    """`restart_when_cancelled` returns the result of the run, and raises its error, immediately."""

    async def give() -> int:
        return 7

    async def fail() -> None:
        raise KeyError("now")

    assert await restart_when_cancelled("give", give) == 7
    with pytest.raises(KeyError, match="now"):
        await restart_when_cancelled("fail", fail)


async def returned() -> None:
    """A run that returns immediately."""


async def cancelled() -> None:
    """A run that waits; the test cancels its supervisor."""
    await asyncio.sleep(WAIT_SECONDS)


@pytest.mark.parametrize("run", [returned, cancelled])
async def test_an_unexpected_end_is_reported(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A supervised task that ends before it is released is listed as ended, and callbacks are called."""
    supervisors = Supervisors()
    calls = []
    with capture_logs() as logs, supervisors.on_unexpected_end(lambda: calls.append(supervisors.ended)):
        other = supervisors.start("other", cancelled)
        task = supervisors.start("victim", run)
        await asyncio.sleep(0)
        if run is cancelled:
            task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)
        assert (supervisors.ended, calls) == (("victim",), [("victim",)])
        await supervisors.stop(other)
    assert [(entry["log_level"], entry["task"]) for entry in logs] == [("critical", "victim")]
    late = []
    with supervisors.on_unexpected_end(lambda: late.append(supervisors.ended)):
        assert late == [("victim",)]


async def test_a_released_task_may_end() -> None:
    """A stopped or released task is not reported."""
    supervisors = Supervisors()
    one, two = supervisors.start("one", cancelled), supervisors.start("two", cancelled)
    supervisors.release(one)
    one.cancel()
    await asyncio.wait([one])
    await supervisors.stop(two)
    await asyncio.sleep(0)
    assert (two.cancelled(), supervisors.ended) == (True, ())
