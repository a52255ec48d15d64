import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count

import pytest

from benchmarks.fanout.subscribers import frame, frames
from benchmarks.graphql.cases import LIST, OURS, POSTGRAPHILE, difference, normalized
from benchmarks.load import LoadError, Target, http_request, load
from benchmarks.processes import cpu_seconds

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read Linux's clocks")


@asynccontextmanager
async def http_server(
    bodies: Sequence[bytes], status: bytes = b"200 OK", on_response: Callable[[], None] = lambda: None
) -> AsyncIterator[Target]:
    """A server that responds with each body in turn, in two parts, and calls `on_response` before the second part."""
    numbers = count()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"{}")
                body = bodies[next(numbers) % len(bodies)]
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body[:2]))
                await asyncio.sleep(0.001)
                on_response()
                writer.write(body[2:])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield Target(name="server", port=port, pid=os.getpid(), request=http_request("/graphql", {}, b"{}"))
    for writer in writers:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_load_counts_complete_responses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round counts responses in several parts; here one per millisecond of a simulated clock."""
    responses = count()
    now = 0.0

    def advance() -> None:
        nonlocal now
        now = (next(responses) + 1) / 1_000

    monkeypatch.setattr("benchmarks.load.perf_counter", lambda: now)
    async with http_server([b"x" * 1_000], on_response=advance) as target:
        result = await load(target, 2, 0.2)
    assert next(responses) in (200, 201)  # the other client's last request may be in progress when the time is up
    assert result.per_second == pytest.approx(1_000)
    assert 1 <= round(result.p50_ms, 6) <= result.p95_ms


@pytest.mark.parametrize(("bodies", "status"), [([b"x" * 1_000, b"y" * 300], b"200 OK"), ([b"x" * 1_000], b"500 Oh")])
async def test_load_rejects_different_responses(bodies: list[bytes], status: bytes) -> None:
    """A response of another length or status ends the measurement instead of counting as a fast one."""
    async with http_server(bodies, status) as target:
        with pytest.raises(LoadError):
            await load(target, 1, 1.0)


def test_cpu_time_of_a_process() -> None:
    """The CPU time of another process comes from the same clock as that process's own."""
    before, measured, after = time.process_time(), cpu_seconds(os.getpid()), time.process_time()
    assert before <= measured <= after


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frames_of_any_size(size: int) -> None:
    """Complete frames are found for each encoding of the length; an incomplete frame is not returned."""
    payload = b"p" * size
    head = bytes([0x81]) + (
        bytes([size])
        if size < 126
        else bytes([126]) + size.to_bytes(2, "big")
        if size < 65_536
        else bytes([127]) + size.to_bytes(8, "big")
    )
    data = (head + payload) * 2
    assert [payload_read for _, payload_read, _ in frames(data)] == [payload, payload]
    assert [end for _, _, end in frames(data[:-1])][-1:] == ([len(head) + size] if size else [len(head)])


def test_client_frames_are_masked() -> None:
    """A client's frames have the mask bit and a mask, as RFC 6455 requires."""
    short, long = frame(b"hello"), frame(b"x" * 300)
    assert short == b"\x81\x85\x00\x00\x00\x00hello"
    assert long[:4] == b"\x81\xfe\x01\x2c"
    assert len(long) == 8 + 300


def page(**node: object) -> dict[str, object]:
    """A page with one contact."""
    contact = {
        "id": "1",
        "status": "SUBSCRIBED",
        "createdAt": "2026-01-01T00:00:00.123456+00:00",
        "subscribedAt": None,
    }
    info = {"hasNextPage": True, "hasPreviousPage": False, "startCursor": "c", "endCursor": "c"}
    return {"contacts": {"edges": [{"cursor": "c", "node": {**contact, **node}}], "pageInfo": info}}


def test_responses_are_compared_as_data() -> None:
    """Different forms of the same values are equal; the first different value is reported with its path."""
    ours = normalized(LIST, page())
    assert normalized(LIST, page(status="subscribed", createdAt="2026-01-01T01:00:00.123+01:00")) == ours
    other = normalized(LIST, page(status="BOUNCED"))
    assert difference(ours, other) == "[0].nodes[0].status is SUBSCRIBED, not BOUNCED"


def test_document_of_ten_pages() -> None:
    """The document for 1,000 rows has ten pages of 100, nine of them after a cursor, in every dialect."""
    for dialect in (OURS, POSTGRAPHILE):
        assert dialect.thousand.count("first: 100") == 10
        assert dialect.thousand.count("after: $after") == 9
