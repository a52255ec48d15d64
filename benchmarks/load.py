"""HTTP load: so many keep-alive connections, each sending the same request again as soon as it is answered.

A bare protocol on uvloop: one read, one search for the length, one write a request, so that the client costs far less
than the server it measures. It checks the status of every answer, and that its length is that of the first.
"""

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import cast

from benchmarks.processes import LOAD_CORE, cpu_seconds, idle_seconds

HEAD_END = b"\r\n\r\n"
SPREAD_BYTES = 64
"""Answers of one request may differ by so much: a request id, a remaining budget, not by a row or an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server under load: the request, and the process whose CPU time it costs."""

    name: str
    port: int
    pid: int
    request: bytes


@dataclass(frozen=True, slots=True)
class Round:
    """What one round saw: `busy` is the server's share of its core, `load_busy` how full the other core was."""

    per_second: float
    cpu_microseconds: float
    p50_ms: float
    p95_ms: float
    busy: float
    load_busy: float


class LoadFailed(Exception):
    """A server did not answer, or not as it did before."""


def http_request(path: str, headers: dict[str, str], body: bytes) -> bytes:
    """A POST on a connection that stays open, as bytes."""
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + HEAD_END + body


class Client(asyncio.Protocol):
    """One connection: send, wait for the whole answer, send again."""

    def __init__(self, target: Target, until: float, times: list[float], done: asyncio.Future[None]) -> None:
        self.target = target
        self.until = until
        self.times = times
        self.done = done
        self.head = b""
        self.missing = 0
        self.expected = 0
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self.transport = cast("asyncio.Transport", transport)
        self.send()

    def send(self) -> None:
        """Send the request, now."""
        self.sent = perf_counter()
        self.transport.write(self.target.request)

    def data_received(self, data: bytes) -> None:
        """Count bytes until the answer is whole."""
        if self.missing:
            self.missing -= len(data)
        else:
            self.head += data
            end = self.head.find(HEAD_END)
            if end < 0:
                return
            length = content_length(self.head, end)
            self.expected = self.expected or length or 0
            if length is None or abs(length - self.expected) > SPREAD_BYTES:
                self.fail(f"{self.target.name} answered {self.head[:600]!r}")
                return
            self.missing = end + len(HEAD_END) + length - len(self.head)
            self.head = b""
        if self.missing == 0:
            self.answered()

    def answered(self) -> None:
        """Take the time; go on, or stop when the time is up."""
        now = perf_counter()
        self.times.append(now - self.sent)
        if now < self.until:
            self.send()
        else:
            self.transport.close()

    def fail(self, what: str) -> None:
        """Stop the round."""
        if not self.done.done():
            self.done.set_exception(LoadFailed(what))
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of this client; before the time is up, of the round."""
        if self.done.done():
            return
        if exc is not None or perf_counter() < self.until:
            self.done.set_exception(LoadFailed(f"{self.target.name} hung up: {exc!r}"))
        else:
            self.done.set_result(None)


def content_length(head: bytes, end: int) -> int | None:
    """The length that a 200 announces; None for another status, or without a length."""
    if not head.startswith(b"HTTP/1.1 200"):
        return None
    lower = head[:end].lower() + b"\r\n"
    _, found, rest = lower.partition(b"content-length:")
    return int(rest[: rest.index(b"\r\n")]) if found else None


async def load(target: Target, connections: int, seconds: float) -> Round:
    """So many clients at once for some seconds; raises `LoadFailed`."""
    loop = asyncio.get_running_loop()
    times: list[float] = []
    cpu, idle, started = cpu_seconds(target.pid), idle_seconds(LOAD_CORE), perf_counter()
    ends = [loop.create_future() for _ in range(connections)]
    for end in ends:
        await loop.create_connection(
            lambda end=end: Client(target, started + seconds, times, end),  # type: ignore[misc]
            "127.0.0.1",
            target.port,
        )
    await asyncio.gather(*ends)
    took, spent = perf_counter() - started, cpu_seconds(target.pid) - cpu
    rested = idle_seconds(LOAD_CORE) - idle
    cuts = statistics.quantiles(times, n=20)
    return Round(
        per_second=len(times) / took,
        cpu_microseconds=spent / len(times) * 1e6,
        p50_ms=cuts[9] * 1000,
        p95_ms=cuts[18] * 1000,
        busy=spent / took,
        load_busy=max(0.0, 1 - rested / took),
    )


def median(rounds: Sequence[Round]) -> Round:
    """The median of each figure."""
    return Round(*(statistics.median(getattr(each, name) for each in rounds) for name in Round.__slots__))
