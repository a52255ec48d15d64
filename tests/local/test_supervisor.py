import asyncio
import io
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from local.console import Console
from local.interrupts import Interrupts
from local.supervisor import Program, Supervisor
from tests.local.waiting import is_running

PROGRAMS = Path(__file__).with_name("programs.py")


def program(name: str, verb: str) -> Program:
    return Program(name=name, argv=(sys.executable, str(PROGRAMS), verb))


class Stage:
    """A supervisor at work, with what it said."""

    def __init__(self, logs: Path, *stages: list[Program], grace_seconds: float = 60.0) -> None:
        self.terminal = io.StringIO()
        self.console = Console(logs, self.terminal)
        self.asked = Interrupts()
        self.supervisor = Supervisor(stages, console=self.console, interrupts=self.asked, grace_seconds=grace_seconds)

    @property
    def said(self) -> str:
        """What stood on the terminal so far."""
        return self.terminal.getvalue()


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[Stage]:
    try:
        await stage.supervisor.start()
        yield stage
    finally:
        await stage.supervisor.stop()
        stage.console.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - another process cannot set our events
            await asyncio.sleep(0.01)


async def seconds_to_come_back(stage: Stage, *, lives: int) -> float:
    """How long the worker takes that is killed once it has lived too long for a quick death."""
    await asyncio.sleep(1.0)
    pid = stage.supervisor.pids["worker-1"]
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    await until(lambda: stage.said.count("set up") > lives)
    assert stage.supervisor.pids["worker-1"] != pid
    return time.monotonic() - killed


async def test_a_killed_program_is_back_within_a_second(tmp_path: Path) -> None:
    """SIGKILL to a program starts it again, and the log says which, its pid and how it ended."""
    async with running(Stage(tmp_path, [program("worker-1", "worker")])) as stage:
        await until(lambda: "set up" in stage.said)
        pid = stage.supervisor.pids["worker-1"]
        # A busy machine may hold up one of them, or two: not every one.
        for life in range(1, 6):
            if await seconds_to_come_back(stage, lives=life) < 1.0:
                break
        else:
            pytest.fail(f"none was back within a second:\n{stage.said}")
    assert f"worker-1 (pid {pid}) was ended by SIGKILL; starting again in 0.1 s" in stage.said
    assert "worker-1 |" in stage.said
    assert "worker is here" in (tmp_path / "worker-1.log").read_text()


async def test_a_program_that_cannot_live_is_tried_more_rarely_but_every_second(tmp_path: Path) -> None:
    """One that ends at once waits longer before each new try, never a second, and its exit code is told."""
    async with running(Stage(tmp_path, [program("api", "hasty")])) as stage:
        await until(lambda: stage.said.count("starting again in 0.7 s") >= 2)
    assert "ended with exit code 3; starting again in 0.3 s" in stage.said


async def test_stages_stop_last_first(tmp_path: Path) -> None:
    """What stands on a program has ended before that program is asked to."""
    stage = Stage(tmp_path, [program("base", "worker")], [program("upper", "worker")])
    async with running(stage):
        await until(lambda: stage.said.count("set up") == 2)
        pids = stage.supervisor.pids
    assert stage.said.index("upper | finished") < stage.said.index("base  | finished")
    assert stage.supervisor.pids == {}
    assert not any(is_running(pid) for pid in pids.values())


async def test_one_that_will_not_end_is_killed_after_the_grace(tmp_path: Path) -> None:
    """SIGTERM ignored leads to SIGKILL, and stopping takes not much longer than the grace."""
    async with running(Stage(tmp_path, [program("worker-1", "stubborn")], grace_seconds=0.3)) as stage:
        await until(lambda: "set up" in stage.said)
        pid = stage.supervisor.pids["worker-1"]
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 8.0  # without the grace it would be for ever, with the usual one ten seconds
    assert "did not end by itself: killing it" in stage.said
    assert not is_running(pid)


async def test_a_second_interrupt_cuts_the_grace_short(tmp_path: Path) -> None:
    """Ctrl-C twice does not wait for the grace."""
    async with running(Stage(tmp_path, [program("worker-1", "stubborn")], grace_seconds=60)) as stage:
        await until(lambda: "set up" in stage.said)
        stage.asked.notice(stage.console.say)
        stage.asked.notice(stage.console.say)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 30.0


async def test_long_and_unfinished_lines_come_through(tmp_path: Path) -> None:
    """A line longer than any buffer is not lost, nor does it stop the rest."""
    async with running(Stage(tmp_path, [program("api", "wordy")])) as stage:
        await until(lambda: "no newline at the endset up" in stage.said)
    assert (tmp_path / "api.log").read_text().count("x") == 200_000


async def test_a_closed_terminal_stops_nobody(tmp_path: Path) -> None:
    """When nobody reads the terminal any more, the lines still reach the files."""
    reading, writing = os.pipe()
    os.close(reading)
    terminal = os.fdopen(writing, "w")
    console = Console(tmp_path, terminal)
    console.say("one")
    console.say("two")
    console.close()
    with pytest.raises(BrokenPipeError):
        terminal.close()
    assert (tmp_path / "nudge.log").read_text() == "one\ntwo\n"


async def test_a_program_that_cannot_be_run_says_why(tmp_path: Path) -> None:
    """A command that cannot be run shows up as repeated failures with the reason, not as silence."""
    stage = Stage(tmp_path, [Program(name="api", argv=(str(tmp_path / "nothing"),))])
    async with running(stage):
        await until(lambda: "ended with exit code 1" in stage.said)
    assert f"cannot run {tmp_path / 'nothing'}: No such file or directory" in stage.said
