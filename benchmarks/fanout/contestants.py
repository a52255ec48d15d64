"""The servers that are compared, and a crowd of subscribers at each."""

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.fanout.events import Events
from benchmarks.processes import LOAD_CORE, ROOT, cpu_seconds, pinned, resident_kib

OPERATION = """subscription ($id: ID!) { campaignProgress(campaignId: $id) { campaignId sequence status audience
  pending inFlight accepted delivered bounced failed percent ratePerSecond estimatedSecondsLeft occurredAt } }"""
SETTLED_SECONDS = 0.4
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A server that runs, how to subscribe to it, and where its events come from."""

    name: str
    pid: int
    port: int
    path: str
    init: dict[str, str]
    events: Events
    log: Path

    @property
    def log_lines(self) -> int:
        """How many lines it has logged."""
        return self.log.read_bytes().count(b"\n")


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of events saw: `arrived` is the share of told events times subscribers that came."""

    cpu_microseconds: float
    per_second: float
    p50_ms: float
    p99_ms: float
    arrived: float
    core: float


class Crowd:
    """The subscribers of one server, in a process of their own on the load's core."""

    def __init__(self, process: subprocess.Popen[str], to: Contestant, count: int, kib: float) -> None:
        self.process = process
        self.to = to
        self.count = count
        self.kib_each = kib

    @classmethod
    def gather(cls, to: Contestant, campaign_id: str, count: int) -> "Crowd":
        """Connect so many subscribers; returns when each has its first message."""
        before = resident_kib(to.pid)
        operation = {"query": OPERATION, "variables": {"id": campaign_id}}
        given = {"port": to.port, "path": to.path, "init": to.init, "operation": operation, "count": count}
        with pinned(LOAD_CORE):
            process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "benchmarks.fanout.subscribers", json.dumps(given)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
        made = cls(process, to, count, 0.0)
        assert made.answer() == {"connected": count}
        made.kib_each = (resident_kib(to.pid) - before) / count
        return made

    def answer(self) -> dict[str, Any]:
        """The next line that the process says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the subscribers of {self.to.name} ended")
        said: dict[str, Any] = json.loads(line)
        return said

    def ask(self, command: str) -> dict[str, Any]:
        """A command's answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    async def round(self, events: int, per_second: float) -> Round:
        """So many events at an even pace; ends when nothing more arrives."""
        self.ask("clear")
        told: dict[int, float] = {}
        loop = asyncio.get_running_loop()
        cpu, started = cpu_seconds(self.to.pid), loop.time()
        for number in range(events):
            await asyncio.sleep(started + number / per_second - loop.time())
            sequence, at = await self.to.events.tell()
            told[sequence] = at
        await self.settle()
        spent = cpu_seconds(self.to.pid) - cpu
        seen = self.ask("report " + json.dumps(told))
        assert not seen["lost"], f"{self.to.name} dropped {seen['lost']} subscribers"
        assert seen["messages"], f"{self.to.name} sent nothing"
        each = spent / seen["messages"] * 1e6
        took = events / per_second
        return Round(
            each, 1e6 / each, seen["p50_ms"], seen["p99_ms"], seen["messages"] / (events * self.count), spent / took
        )

    async def settle(self) -> None:
        """Wait until no more messages arrive."""
        before, deadline = -1, asyncio.get_running_loop().time() + TIMEOUT_SECONDS
        while (now := self.ask("count")["messages"]) != before and asyncio.get_running_loop().time() < deadline:
            before = now
            await asyncio.sleep(SETTLED_SECONDS)

    async def leave(self) -> int:
        """Drop every connection at once, while events flow; how many lines the server logs about it."""
        before = self.to.log_lines
        self.process.kill()
        for _ in range(5):
            await self.to.events.tell()
            await asyncio.sleep(0.1)
        self.process.wait()
        return self.to.log_lines - before
