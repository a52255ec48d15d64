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
from benchmarks.load import LoadFailed, Target, http_request, load
from benchmarks.processes import cpu_seconds

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read Linux's clocks")


@asynccontextmanager
async def answering(
    bodies: Sequence[bytes], status: bytes = b"200 OK", on_answer: Callable[[], None] = lambda: None
) -> AsyncIterator[Target]:
    """A server that answers with each body in turn, in two pieces, and says so before the second."""
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
                on_answer()
                writer.write(body[2:])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield Target(name="it", port=port, pid=os.getpid(), request=http_request("/graphql", {}, b"{}"))
    for writer in writers:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_load_counts_whole_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round counts answers that come in pieces, at the rate they came: one a millisecond by the clock it reads."""
    answers = count()
    now = 0.0

    def answered() -> None:
        nonlocal now
        now = (next(answers) + 1) / 1_000

    monkeypatch.setattr("benchmarks.load.perf_counter", lambda: now)
    async with answering([b"x" * 1_000], on_answer=answered) as target:
        seen = await load(target, 2, 0.2)
    assert next(answers) in (200, 201)  # the other client's last one may be under way when the time is over
    assert seen.per_second == pytest.approx(1_000)
    assert 1 <= round(seen.p50_ms, 6) <= seen.p95_ms


@pytest.mark.parametrize(("bodies", "status"), [([b"x" * 1_000, b"y" * 300], b"200 OK"), ([b"x" * 1_000], b"500 Oh")])
async def test_load_refuses_other_answers(bodies: list[bytes], status: bytes) -> None:
    """An answer of another length or status ends the measurement, rather than count as a quick one."""
    async with answering(bodies, status) as target:
        with pytest.raises(LoadFailed):
            await load(target, 1, 1.0)


def test_cpu_time_is_that_of_the_process() -> None:
    """It is read from the same clock as the process reads for itself."""
    before, there, after = time.process_time(), cpu_seconds(os.getpid()), time.process_time()
    assert before <= there <= after


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frames_of_any_size_are_read(size: int) -> None:
    """Whole frames are found at each form of the length, and what is cut off is left for later."""
    payload = b"p" * size
    head = bytes([0x81]) + (
        bytes([size])
        if size < 126
        else bytes([126]) + size.to_bytes(2, "big")
        if size < 65_536
        else bytes([127]) + size.to_bytes(8, "big")
    )
    data = (head + payload) * 2
    assert [found for _, found, _ in frames(data)] == [payload, payload]
    assert [end for _, _, end in frames(data[:-1])][-1:] == ([len(head) + size] if size else [len(head)])


def test_a_client_masks_its_frames() -> None:
    """A client's frames carry the mask bit and a mask, as RFC 6455 wants them."""
    short, long = frame(b"hello"), frame(b"x" * 300)
    assert short == b"\x81\x85\x00\x00\x00\x00hello"
    assert long[:4] == b"\x81\xfe\x01\x2c"
    assert len(long) == 8 + 300


def answer(**node: object) -> dict[str, object]:
    """A page with one contact."""
    shown = {"id": "1", "status": "SUBSCRIBED", "createdAt": "2026-01-01T00:00:00.123456+00:00", "subscribedAt": None}
    info = {"hasNextPage": True, "hasPreviousPage": False, "startCursor": "c", "endCursor": "c"}
    return {"contacts": {"edges": [{"cursor": "c", "node": {**shown, **node}}], "pageInfo": info}}


def test_answers_are_compared_as_data() -> None:
    """Another way to write the same values is the same answer; another value is not, and is named."""
    ours = normalized(LIST, answer())
    assert normalized(LIST, answer(status="subscribed", createdAt="2026-01-01T01:00:00.123+01:00")) == ours
    other = normalized(LIST, answer(status="BOUNCED"))
    assert difference(ours, other) == "[0].nodes[0].status is SUBSCRIBED, not BOUNCED"


def test_ten_pages_follow_on_each_other() -> None:
    """The document of 1,000 rows asks for ten pages of 100, nine of them after a cursor, whatever the dialect."""
    for dialect in (OURS, POSTGRAPHILE):
        assert dialect.thousand.count("first: 100") == 10
        assert dialect.thousand.count("after: $after") == 9
