"""HTTP load: keep-alive connections, each of which sends the same request again after each response.

A bare protocol on uvloop with one read, one search for the length and one write per request, so that the client uses
far less CPU time than the server. It checks the status of every response, and that all have about the same length.
"""

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import cast

from benchmarks.processes import LOAD_CORE, cpu_seconds, idle_seconds

HEAD_END = b"\r\n\r\n"
LENGTH_TOLERANCE_BYTES = 64
"""The difference that request ids and remaining budgets make. A missing row or an error makes more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server under load: the request to send, and the server's process."""

    name: str
    port: int
    pid: int
    request: bytes


@dataclass(frozen=True, slots=True)
class LoadRound:
    """The results of a round: `busy` is the server's share of its core, `load_busy` the load of the other core."""

    per_second: float
    cpu_microseconds: float
    p50_ms: float
    p95_ms: float
    busy: float
    load_busy: float


class LoadError(Exception):
    """A server closed a connection, or sent a response that differs from its first."""


def http_request(path: str, headers: dict[str, str], body: bytes) -> bytes:
    """The bytes of a POST request on a keep-alive connection."""
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + HEAD_END + body


class LoadClient(asyncio.Protocol):
    """One connection: send, wait for the whole response, send again."""

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
        """Send the request and store the time."""
        self.sent = perf_counter()
        self.transport.write(self.target.request)

    def data_received(self, data: bytes) -> None:
        """Count bytes until the response is complete."""
        if self.missing:
            self.missing -= len(data)
        else:
            self.head += data
            end = self.head.find(HEAD_END)
            if end < 0:
                return
            length = content_length(self.head, end)
            self.expected = self.expected or length or 0
            if length is None or abs(length - self.expected) > LENGTH_TOLERANCE_BYTES:
                self.fail(f"{self.target.name} responded with {self.head[:600]!r}")
                return
            self.missing = end + len(HEAD_END) + length - len(self.head)
            self.head = b""
        if self.missing == 0:
            self.complete()

    def complete(self) -> None:
        """Record the latency; send again until the time is up."""
        now = perf_counter()
        self.times.append(now - self.sent)
        if now < self.until:
            self.send()
        else:
            self.transport.close()

    def fail(self, what: str) -> None:
        """End the round with an error."""
        if not self.done.done():
            self.done.set_exception(LoadError(what))
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End this client; before the time is up, this is an error of the round."""
        if self.done.done():
            return
        if exc is not None or perf_counter() < self.until:
            self.done.set_exception(LoadError(f"{self.target.name} closed the connection: {exc!r}"))
        else:
            self.done.set_result(None)


def content_length(head: bytes, end: int) -> int | None:
    """The `content-length` of a 200 response; None for another status or without the header."""
    if not head.startswith(b"HTTP/1.1 200"):
        return None
    lower = head[:end].lower() + b"\r\n"
    _, header, rest = lower.partition(b"content-length:")
    return int(rest[: rest.index(b"\r\n")]) if header else None


async def load(target: Target, connections: int, seconds: float) -> LoadRound:
    """Run concurrent clients for some seconds.

    Raises:
        LoadError: a server closed a connection or sent a different response.
    """
    loop = asyncio.get_running_loop()
    times: list[float] = []
    cpu, idle, started = cpu_seconds(target.pid), idle_seconds(LOAD_CORE), perf_counter()
    ends = [loop.create_future() for _ in range(connections)]
    for end in ends:
        await loop.create_connection(
            lambda end=end: LoadClient(target, started + seconds, times, end),  # type: ignore[misc]
            "127.0.0.1",
            target.port,
        )
    await asyncio.gather(*ends)
    elapsed, cpu_used = perf_counter() - started, cpu_seconds(target.pid) - cpu
    idle_time = idle_seconds(LOAD_CORE) - idle
    cuts = statistics.quantiles(times, n=20)
    return LoadRound(
        per_second=len(times) / elapsed,
        cpu_microseconds=cpu_used / len(times) * 1e6,
        p50_ms=cuts[9] * 1000,
        p95_ms=cuts[18] * 1000,
        busy=cpu_used / elapsed,
        load_busy=max(0.0, 1 - idle_time / elapsed),
    )


def median(rounds: Sequence[LoadRound]) -> LoadRound:
    """The median of each value over the rounds."""
    return LoadRound(*(statistics.median(getattr(each, name) for each in rounds) for name in LoadRound.__slots__))
