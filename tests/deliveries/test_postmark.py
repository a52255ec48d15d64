"""The outcome of every response of Postmark, and of every failure to get one."""

import asyncio
from collections.abc import Awaitable, Callable

import orjson
import pytest

from cancellation.backoff import Backoff
from core.clock import since_boot
from integrations.mail import (
    AccountRefused,
    BatchHeader,
    BatchProcessed,
    BatchRefused,
    InDoubt,
    Message,
    NotSent,
    Outcome,
    SubmissionResult,
    SubmissionStatus,
)
from integrations.postmark.mailer import Body, PostmarkMailer, classify, encode
from services.mailing.pacing import ProviderBackoff

TAKEN = {"ErrorCode": 0, "Message": "OK", "MessageID": "m", "SubmittedAt": "2026-01-01T00:00:00.0000000Z", "To": "a"}
HEADER = BatchHeader(sender="a@b.example", campaign_id="c", batch_id="b", tag="t")
MESSAGE = Message("d", "a@b.example", "s", "<p>h</p>", "t", "https://x.example/u/1")
SLICE = 256 * 1_024


@pytest.mark.parametrize(
    ("status", "document", "kind"),
    [
        (200, [TAKEN], BatchProcessed),
        (200, [TAKEN, TAKEN], InDoubt),
        (200, {"ErrorCode": 0}, InDoubt),
        (200, [{"ErrorCode": 0}], InDoubt),
        (200, [{"Message": "?"}], InDoubt),
        (202, [TAKEN], InDoubt),
        (302, None, AccountRefused),
        (401, {"ErrorCode": 10, "Message": "token"}, AccountRefused),
        (401, None, AccountRefused),
        (404, None, AccountRefused),
        (408, None, InDoubt),
        (413, None, BatchRefused),
        (422, {"ErrorCode": 300, "Message": "bad"}, BatchRefused),
        (422, {"ErrorCode": 401, "Message": "sender"}, AccountRefused),
        (422, {"ErrorCode": 405, "Message": "credits"}, AccountRefused),
        (422, {"ErrorCode": 429, "Message": "slow"}, NotSent),
        (429, None, NotSent),
        (500, {"ErrorCode": 0, "Message": "oh"}, InDoubt),
        (503, None, InDoubt),
    ],
)
def test_responses_are_classified(status: int, document: object, kind: type[Outcome]) -> None:
    """Only messages that were certainly not sent may be retried without a lookup."""
    assert isinstance(classify(status, orjson.dumps(document), None, 1), kind)


def test_an_unreadable_response_is_in_doubt() -> None:
    """An incomplete JSON document does not prove which messages were sent."""
    assert isinstance(classify(200, b'[{"ErrorCode": 0, "Mess', None, 1), InDoubt)


def test_retry_after_is_returned() -> None:
    """A 429 may have Retry-After."""
    assert classify(429, b"", "7", 1) == NotSent(reason="Postmark returned 429", retry_after_seconds=7.0)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"ErrorCode": 100, "Message": "Maintenance"}, "Postmark returned 503, code 100: Maintenance"),
        ({"ErrorCode": 0, "Message": "Maintenance"}, "Postmark returned 503: Maintenance"),
        ({"Message": "Maintenance"}, "Postmark returned 503: Maintenance"),
        ({"ErrorCode": 100}, "Postmark returned 503, code 100"),
        ([], "Postmark returned 503"),
    ],
)
def test_the_reason_contains_what_the_provider_sent(document: object, reason: str) -> None:
    """The status, the code and the text; a missing code is left out."""
    assert classify(503, orjson.dumps(document), None, 1) == InDoubt(reason=reason)


def test_items_are_classified() -> None:
    """Each item of a 200 response has a status of its own."""
    items = [TAKEN, *({"ErrorCode": code, "Message": "no"} for code in (406, 300, 429))]
    outcome = classify(200, orjson.dumps(items), None, 4)
    assert isinstance(outcome, BatchProcessed)
    assert outcome.results == [
        SubmissionResult(SubmissionStatus.ACCEPTED, "m"),
        SubmissionResult(SubmissionStatus.INACTIVE, None, 406, "no"),
        SubmissionResult(SubmissionStatus.REFUSED, None, 300, "no"),
        SubmissionResult(SubmissionStatus.RETRY_LATER, None, 429, "no"),
    ]


Server = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def outcome_of(server: Server, timeout_seconds: float = 60, *, html: str = MESSAGE.html) -> Outcome:
    """The mailer's outcome with a server of this behaviour."""
    async with await asyncio.start_server(server, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        return await send_to(f"http://127.0.0.1:{port}", timeout_seconds, html=html)


async def send_to(url: str, timeout_seconds: float = 60, *, html: str = MESSAGE.html) -> Outcome:
    """The outcome of one message."""
    mailer = PostmarkMailer(base_url=url, server_token="t", message_stream="broadcast")
    try:
        return await mailer.send(HEADER, [MESSAGE._replace(html=html)], not_after=since_boot() + timeout_seconds)
    finally:
        await mailer.aclose()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://nowhere.invalid"])
async def test_without_a_connection_nothing_was_sent(url: str) -> None:
    """After a refused connection, or for an unknown host."""
    assert isinstance(await send_to(url), NotSent)


@pytest.mark.parametrize("size", [1_000, SLICE - 1, SLICE, SLICE + 1, 2 * SLICE])
async def test_a_reset_after_writing_is_in_doubt(size: int) -> None:
    """The server read the request and closed the connection: it may have accepted a request of any size."""

    async def close_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Content-Length: %d\r\n" % size in head
        await reader.readexactly(size)
        writer.transport.abort()

    rest = len(encode(HEADER, [MESSAGE._replace(html="")], "broadcast"))
    outcome = await outcome_of(close_connection, html="x" * (size - rest))
    assert isinstance(outcome, InDoubt)
    assert not outcome.in_progress


async def test_an_incomplete_body_is_not_sent() -> None:
    """The server closed the connection while the batch was being written, so it cannot have accepted anything."""

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_000)
        writer.transport.abort()

    outcome = await outcome_of(server, html="x" * 16_000_000)
    assert isinstance(outcome, NotSent)
    assert "could not be written" in outcome.reason
    assert not outcome.caused_locally


async def test_a_timeout_after_writing_is_in_doubt_and_in_progress() -> None:
    """The provider may still be processing the request."""

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client hangs up
        writer.transport.abort()

    outcome = await outcome_of(stall, timeout_seconds=0.2)
    if isinstance(outcome, NotSent):  # a busy machine was too slow even to write the request
        outcome = await outcome_of(stall, timeout_seconds=20)
    assert isinstance(outcome, InDoubt)
    assert outcome.in_progress


@pytest.mark.parametrize(("reads", "kind"), [(True, InDoubt), (False, BatchProcessed)], ids=["reading", "idle"])
async def test_a_post_on_a_stale_connection_is_not_repeated(reads: bool, kind: type[Outcome]) -> None:
    """A reused connection that closes after the POST leaves it in doubt; one that closed while idle is not used."""
    requests: list[bytes] = []
    closed = asyncio.Event()

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = orjson.dumps([TAKEN])
        requests.append(await reader.readuntil(b'"}]}]'))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        if reads:
            requests.append(await reader.readuntil(b'"}]}]'))
        writer.transport.abort()
        closed.set()

    async with await asyncio.start_server(answer_once, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        mailer = PostmarkMailer(base_url=f"http://127.0.0.1:{port}", server_token="t", message_stream="broadcast")
        try:
            first = await mailer.send(HEADER, [MESSAGE], not_after=since_boot() + 60)
            if not reads:
                await closed.wait()
                await asyncio.sleep(0.1)
            second = await mailer.send(HEADER, [MESSAGE], not_after=since_boot() + 60)
        finally:
            await mailer.aclose()
    assert isinstance(first, BatchProcessed)
    assert isinstance(second, kind)
    assert len(requests) == 2


@pytest.mark.parametrize("status", [302, 307])
async def test_redirects_are_not_followed(status: int) -> None:
    """It would send the mail and the token to another server; the configured address is wrong."""
    request_lines: list[bytes] = []

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request_lines.append(await reader.readuntil(b"\r\n"))
        await reader.readuntil(b'"}]}]')
        writer.write(b"HTTP/1.1 %d Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n" % status)
        await writer.drain()
        writer.close()

    assert isinstance(await outcome_of(redirect, timeout_seconds=20), AccountRefused)
    assert request_lines == [b"POST /email/batch HTTP/1.1\r\n"]


async def test_after_the_deadline_nothing_is_sent() -> None:
    """No connection is opened, and the cause is local."""
    outcome = await send_to("http://127.0.0.1:9", timeout_seconds=-1)
    assert outcome == NotSent(reason="Too late to send.", caused_locally=True)


def test_back_off_grows_and_is_reset() -> None:
    """Concurrent failures count once, pauses grow beyond Retry-After, and a success resets them."""
    backoff = ProviderBackoff(Backoff(initial=10, maximum=60))
    assert 4 < backoff.fail() <= 10
    backoff.fail()
    assert backoff.failures == 1
    backoff.until = 0
    assert backoff.fail(30) > 25
    backoff.until = 0
    assert backoff.fail(1) > 15
    backoff.succeed()
    assert backoff.failures == 0


async def test_a_body_is_not_written_after_the_deadline() -> None:
    """The time is checked right before each part, for a process that was suspended since the last check."""
    body = Body(b"x" * 300_000, not_after=since_boot() - 1)
    with pytest.raises(TimeoutError):
        await anext(body.parts())
    assert not body.complete


@pytest.mark.parametrize("size", [1, SLICE, SLICE + 1, 300_000, 2 * SLICE - 1, 2 * SLICE, 2 * SLICE + 1])
async def test_a_body_is_complete_with_its_last_part(size: int) -> None:
    """Only a body whose last part was written may have been accepted."""
    body = Body(b"x" * size, not_after=since_boot() + 60)
    size_written = 0
    async for part in body.parts():
        size_written += len(part)
        assert body.complete == (size_written == size)
    assert size_written == size
