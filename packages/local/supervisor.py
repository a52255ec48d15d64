"""Keeps programs running: starts, restarts and stops them, and shows their output."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cancellation.deadlines import deadline
from cancellation.tasks import cancel_and_wait, restart_when_cancelled
from local import processes
from local.console import Console
from local.interrupts import Interrupts

QUICK_EXIT_SECONDS = 1.0
# Even a program that keeps failing is restarted within a second.
INITIAL_DELAY_SECONDS, MAX_DELAY_SECONDS = 0.1, 0.7
READY_POLL_SECONDS = 0.1
READ_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program to keep running. `ready`: a URL that returns 200 as soon as it can serve."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: str | None = None


class Supervisor:
    """Runs programs in stages, started first to last and stopped last to first; restarts a program that ends."""

    def __init__(
        self,
        stages: Sequence[Sequence[Program]],
        *,
        console: Console,
        interrupts: Interrupts,
        grace_seconds: float = 20.0,
    ) -> None:
        self._stages = stages
        self._console = console
        self._interrupts = interrupts
        self._grace_seconds = grace_seconds
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        console.expect(*(program.name for stage in stages for program in stage))

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each running program."""
        return {name: process.pid for name, process in self._processes.items() if process.returncode is None}

    async def start(self) -> None:
        """Start all programs, stage by stage, without waiting until they are ready."""
        for stage in self._stages:
            for program in stage:
                await self._launch(program)
                self._tasks[program.name] = task = self._start_task(program)
                task.add_done_callback(self._stop_if_broken)

    async def ready(self) -> None:
        """Wait until every program with a `ready` URL returns 200 there."""
        for stage in self._stages:
            for program in stage:
                if program.ready is not None:
                    await answers(program.ready)

    async def stop(self) -> None:
        """Send SIGTERM, last stage first; after the grace period SIGKILL to the process groups that still run."""
        self._interrupts.stop.set()
        broken: list[BaseException] = []
        for stage in reversed(self._stages):
            tasks = [self._tasks[program.name] for program in stage if program.name in self._tasks]
            for program in stage:
                self._signal(program.name, signal.SIGTERM)
            if tasks:
                await self._wait_for_end(tasks)
                for program in stage:
                    self._signal(program.name, signal.SIGKILL)
                ends = await asyncio.gather(*tasks, return_exceptions=True)
                broken += [end for end in ends if end is not None]
        if broken:
            raise broken[0]

    async def _wait_for_end(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        ended = asyncio.ensure_future(asyncio.wait(tasks))
        hurry = asyncio.ensure_future(self._interrupts.hurry.wait())
        await asyncio.wait([ended, hurry], timeout=self._grace_seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in (ended, hurry):
            task.cancel()

    async def _launch(self, program: Program) -> asyncio.subprocess.Process:
        # In a session of its own: Ctrl-C in the terminal reaches only this process, which chooses the order of the
        # stop.
        process = await asyncio.create_subprocess_exec(
            *processes.command(program.argv, signal_on_orphan=signal.SIGKILL),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **program.environment},
            start_new_session=True,
        )
        self._processes[program.name] = process
        return process

    def _start_task(self, program: Program) -> asyncio.Task[None]:
        name = f"program {program.name}"
        return asyncio.create_task(restart_when_cancelled(name, lambda: self._keep_running(program)), name=name)

    async def _keep_running(self, program: Program) -> None:
        quick_exits = 0
        while True:
            process = self._processes[program.name]
            started = time.monotonic()
            await self._follow(program.name, process)
            if self._interrupts.stop.is_set():
                return
            quick_exits = quick_exits + 1 if time.monotonic() - started < QUICK_EXIT_SECONDS else 0
            delay = min(MAX_DELAY_SECONDS, INITIAL_DELAY_SECONDS * 3**quick_exits)
            end = _describe_end(process)
            self._console.report(f"{program.name} (pid {process.pid}) {end}; restarting in {delay:.1f} s")
            with contextlib.suppress(TimeoutError):
                async with deadline(delay):
                    await self._interrupts.stop.wait()
            if self._interrupts.stop.is_set():
                return
            process = await self._launch(program)
            self._console.report(f"{program.name} restarted (pid {process.pid})")
            if self._interrupts.stop.is_set():  # `stop` has signaled the previous process
                process.terminate()

    async def _follow(self, name: str, process: asyncio.subprocess.Process) -> None:
        relay = asyncio.create_task(self._relay(name, process))
        try:
            await process.wait()
            # A child process may hold the pipe open; the program's own last lines arrive immediately.
            await asyncio.wait([relay], timeout=1.0)
        finally:
            await cancel_and_wait([relay])

    async def _relay(self, name: str, process: asyncio.subprocess.Process) -> None:
        output, rest = process.stdout, b""
        while output is not None and (part := await output.read(READ_BYTES)):
            *lines, rest = (rest + part).split(b"\n")
            if len(rest) > READ_BYTES:  # a very long line
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._console.line(name, line.decode(errors="replace").rstrip("\r"))
        if rest:
            self._console.line(name, rest.decode(errors="replace"))

    def _signal(self, name: str, number: signal.Signals) -> None:
        process = self._processes.get(name)
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            if number is signal.SIGKILL:
                self._console.report(f"{name} (pid {process.pid}) did not end in time: killing it")
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)

    def _stop_if_broken(self, task: asyncio.Task[None]) -> None:
        # The task failed (e.g. the program's file is missing): stop everything; `stop` then raises the error.
        if task.cancelled() or task.exception() is not None:
            self._interrupts.stop.set()


def _describe_end(process: asyncio.subprocess.Process) -> str:
    code = process.returncode
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


async def answers(url: str) -> None:
    """Wait until this URL returns 200."""
    while not await _answers_200(url):  # noqa: ASYNC110 - another process has no event to wait for
        await asyncio.sleep(READY_POLL_SECONDS)


async def _answers_200(url: str) -> bool:
    parts = urlsplit(url)
    request = f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    try:
        async with deadline(2):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            try:
                writer.write(request.encode())
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return status.split()[1:2] == [b"200"]
