import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from local.console import Console
from local.interrupts import Interrupts
from local.supervisor import Program, Supervisor
from tests.local.waiting import is_running

PROGRAMS = Path(__file__).with_name("programs.py")


def program(name: str, verb: str) -> Program:
    return Program(name=name, argv=(sys.executable, str(PROGRAMS), verb))


class SupervisorRun:
    """A supervisor of programs in stages, with its output."""

    def __init__(self, logs: Path, *stages: list[Program], grace_seconds: float = 60.0) -> None:
        self.terminal = io.StringIO()
        self.console = Console(logs, self.terminal)
        self.interrupts = Interrupts()
        self.supervisor = Supervisor(
            stages, console=self.console, interrupts=self.interrupts, grace_seconds=grace_seconds
        )

    @property
    def text(self) -> str:
        """The terminal's text so far."""
        return self.terminal.getvalue()


@asynccontextmanager
async def running(run: SupervisorRun) -> AsyncIterator[SupervisorRun]:
    try:
        await run.supervisor.start()
        yield run
    finally:
        await run.supervisor.stop()
        run.console.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - another process has no event to wait for
            await asyncio.sleep(0.01)


async def test_a_killed_program_is_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After SIGKILL a program that ran for a while is restarted in 0.1 s, and the log has its name, pid and end."""
    minutes = count()
    monkeypatch.setattr("local.supervisor.time", SimpleNamespace(monotonic=lambda: 60.0 * next(minutes)))
    async with running(SupervisorRun(tmp_path, [program("worker-1", "worker")])) as run:
        for starts in (1, 2):
            await until(lambda starts=starts: run.text.count("running") == starts)  # type: ignore[misc]
            pid = run.supervisor.pids["worker-1"]
            os.kill(pid, signal.SIGKILL)
            await until(lambda starts=starts: run.text.count("running") > starts)  # type: ignore[misc]
            assert run.supervisor.pids["worker-1"] != pid
            assert f"worker-1 (pid {pid}) was killed by SIGKILL; restarting in 0.1 s" in run.text
    assert "worker-1 |" in run.text
    assert "worker started" in (tmp_path / "worker-1.log").read_text()


async def test_the_restart_delay_grows_up_to_its_maximum(tmp_path: Path) -> None:
    """A program that exits immediately is restarted with growing delays below a second; its exit code is logged."""
    async with running(SupervisorRun(tmp_path, [program("api", "exits")])) as run:
        await until(lambda: run.text.count("restarting in 0.7 s") >= 2)
    assert "ended with exit code 3; restarting in 0.3 s" in run.text


async def test_stages_stop_last_first(tmp_path: Path) -> None:
    """The programs of later stages have ended before earlier ones get their signal."""
    run = SupervisorRun(tmp_path, [program("base", "worker")], [program("upper", "worker")])
    async with running(run):
        await until(lambda: run.text.count("running") == 2)
        pids = run.supervisor.pids
    assert run.text.index("upper | finished") < run.text.index("base  | finished")
    assert run.supervisor.pids == {}
    assert not any(is_running(pid) for pid in pids.values())


async def test_a_program_that_ignores_sigterm_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    """SIGKILL follows after the grace period."""
    async with running(SupervisorRun(tmp_path, [program("worker-1", "ignores-sigterm")], grace_seconds=0.3)) as run:
        await until(lambda: "running" in run.text)
        pid = run.supervisor.pids["worker-1"]
        await until(asyncio.create_task(run.supervisor.stop()).done)
    assert "did not end in time: killing it" in run.text
    assert not is_running(pid)


async def test_a_second_interrupt_ends_the_grace_period(tmp_path: Path) -> None:
    """A second Ctrl-C ends the wait, which would be an hour."""
    async with running(SupervisorRun(tmp_path, [program("worker-1", "ignores-sigterm")], grace_seconds=3600)) as run:
        await until(lambda: "running" in run.text)
        run.interrupts.on_signal(run.console.report)
        run.interrupts.on_signal(run.console.report)
        await until(asyncio.create_task(run.supervisor.stop()).done)


async def test_long_and_unterminated_lines_are_written(tmp_path: Path) -> None:
    """A line longer than the buffer is neither lost, nor does it block later lines."""
    async with running(SupervisorRun(tmp_path, [program("api", "long-lines")])) as run:
        await until(lambda: "no newline at the endrunning" in run.text)
    assert (tmp_path / "api.log").read_text().count("x") == 200_000


async def test_a_closed_terminal_does_not_stop_the_logs(tmp_path: Path) -> None:
    """Lines are still written to the files after the terminal was closed."""
    reading, writing = os.pipe()
    os.close(reading)
    terminal = os.fdopen(writing, "w")
    console = Console(tmp_path, terminal)
    console.report("one")
    console.report("two")
    console.close()
    with pytest.raises(BrokenPipeError):
        terminal.close()
    assert (tmp_path / "nudge.log").read_text() == "one\ntwo\n"


async def test_the_reason_why_a_program_cannot_run_is_logged(tmp_path: Path) -> None:
    """A command that cannot be executed is logged as repeated failures, with the reason."""
    run = SupervisorRun(tmp_path, [Program(name="api", argv=(str(tmp_path / "nothing"),))])
    async with running(run):
        await until(lambda: "ended with exit code 1" in run.text)
    assert f"cannot run {tmp_path / 'nothing'}: No such file or directory" in run.text
