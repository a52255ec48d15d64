"""The compared servers, and the subscribers of each."""

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
POLL_SECONDS = 0.4
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredServer:
    """A running server, how to subscribe to it, and the source of its events."""

    name: str
    pid: int
    port: int
    path: str
    init: dict[str, str]
    events: Events
    log: Path

    @property
    def log_lines(self) -> int:
        """The number of lines that it has logged."""
        return self.log.read_bytes().count(b"\n")


@dataclass(frozen=True, slots=True)
class EventRound:
    """The results of a round of events: `arrived` is the share of events times subscribers that arrived."""

    cpu_microseconds: float
    per_second: float
    p50_ms: float
    p99_ms: float
    arrived: float
    core: float


class SubscriberProcess:
    """The subscribers of one server, in a separate process on the load's core."""

    def __init__(self, process: subprocess.Popen[str], to: MeasuredServer, count: int, kib: float) -> None:
        self.process = process
        self.to = to
        self.count = count
        self.kib_each = kib

    @classmethod
    def connect(cls, to: MeasuredServer, campaign_id: str, count: int) -> "SubscriberProcess":
        """Connect the subscribers; returns when each has its first message."""
        before = resident_kib(to.pid)
        operation = {"query": OPERATION, "variables": {"id": campaign_id}}
        arguments = {"port": to.port, "path": to.path, "init": to.init, "operation": operation, "count": count}
        with pinned(LOAD_CORE):
            process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "benchmarks.fanout.subscribers", json.dumps(arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
        created = cls(process, to, count, 0.0)
        assert created.read_response() == {"connected": count}
        created.kib_each = (resident_kib(to.pid) - before) / count
        return created

    def read_response(self) -> dict[str, Any]:
        """The next line of the process's output."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the subscribers of {self.to.name} ended")
        response: dict[str, Any] = json.loads(line)
        return response

    def send(self, command: str) -> dict[str, Any]:
        """Send a command; returns the response."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.read_response()

    async def round(self, events: int, per_second: float) -> EventRound:
        """Publish events at a constant rate; returns when no more messages arrive."""
        self.send("clear")
        published: dict[int, float] = {}
        loop = asyncio.get_running_loop()
        cpu, started = cpu_seconds(self.to.pid), loop.time()
        for number in range(events):
            await asyncio.sleep(started + number / per_second - loop.time())
            sequence, at = await self.to.events.publish()
            published[sequence] = at
        await self.drain()
        cpu_used = cpu_seconds(self.to.pid) - cpu
        report = self.send("report " + json.dumps(published))
        assert not report["lost"], f"{self.to.name} dropped {report['lost']} subscribers"
        assert report["messages"], f"{self.to.name} sent nothing"
        each = cpu_used / report["messages"] * 1e6
        elapsed = events / per_second
        return EventRound(
            each,
            1e6 / each,
            report["p50_ms"],
            report["p99_ms"],
            report["messages"] / (events * self.count),
            cpu_used / elapsed,
        )

    async def drain(self) -> None:
        """Wait until no more messages arrive."""
        before, deadline = -1, asyncio.get_running_loop().time() + TIMEOUT_SECONDS
        while (now := self.send("count")["messages"]) != before and asyncio.get_running_loop().time() < deadline:
            before = now
            await asyncio.sleep(POLL_SECONDS)

    async def disconnect(self) -> int:
        """Close all connections at once while events are published; returns how many lines the server logs."""
        before = self.to.log_lines
        self.process.kill()
        for _ in range(5):
            await self.to.events.publish()
            await asyncio.sleep(0.1)
        self.process.wait()
        return self.to.log_lines - before
