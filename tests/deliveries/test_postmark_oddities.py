"""Invalid responses of Postmark: nothing is concluded from them."""

import asyncio

import orjson
import pytest

from integrations.mail import (
    AccountRefused,
    BatchProcessed,
    BatchRefused,
    InDoubt,
    NotSent,
    SearchFailed,
    SubmissionResult,
    SubmissionStatus,
)
from integrations.postmark.mailer import PostmarkMailer, classify
from services.mailing.pacing import ProviderBackoff

HIT = {"MessageID": "m", "Metadata": {"delivery": "d"}}


async def find_in(document: object) -> dict[str, str]:
    """The result of a search whose response is this document."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = orjson.dumps(document)
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        mailer = PostmarkMailer(base_url=f"http://127.0.0.1:{port}", server_token="t", message_stream="broadcast")
        try:
            return dict(await mailer.search_batch("b"))
        finally:
            await mailer.aclose()


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"Messages": [HIT]},
        {"Messages": [HIT], "TotalCount": "many"},
        {"Messages": [HIT], "TotalCount": None},
        {"Messages": ["no object"], "TotalCount": 1},
        {"Messages": {"0": HIT}, "TotalCount": 1},
        {"Messages": [{**HIT, "MessageID": None}], "TotalCount": 1},
        {"Messages": [{**HIT, "MessageID": "a\x00b"}], "TotalCount": 1},
    ],
)
async def test_an_invalid_search_response_fails(document: object) -> None:
    """If it counted as empty, messages would be sent again."""
    with pytest.raises(SearchFailed):
        await find_in(document)


@pytest.mark.parametrize(
    ("hits", "expected"),
    [
        ([], {}),
        ([HIT], {"d": "m"}),
        (
            [{"MessageID": "x", "Metadata": None}, {"MessageID": "y", "Metadata": ["d"]}, {"MessageID": "z"}, HIT],
            {"d": "m"},
        ),
    ],
)
async def test_results_without_our_metadata_are_ignored(hits: list[object], expected: dict[str, str]) -> None:
    """Only the metadata identifies a delivery."""
    assert await find_in({"Messages": hits, "TotalCount": len(hits)}) == expected


def test_nul_characters_are_removed_from_responses() -> None:
    """PostgreSQL cannot store them; for an item and for a batch."""
    [result] = results_of([{"ErrorCode": 300, "Message": "No\x00pe"}])
    assert result == SubmissionResult(SubmissionStatus.REFUSED, None, 300, "Nope")
    outcome = classify(422, orjson.dumps({"ErrorCode": 300, "Message": "\x00Nope"}), None, 2)
    assert outcome == BatchRefused(code=300, reason="Nope")


def results_of(items: list[dict[str, object]]) -> list[SubmissionResult]:
    """The results of a 200 response."""
    outcome = classify(200, orjson.dumps(items), None, len(items))
    assert isinstance(outcome, BatchProcessed)
    return list(outcome.results)


@pytest.mark.parametrize(
    "item",
    [
        {"ErrorCode": 0, "MessageID": "a\x00b"},
        {"ErrorCode": 0, "MessageID": None},
        {"ErrorCode": 2**31, "Message": "too large to be stored"},
        {"ErrorCode": "300", "Message": "no number"},
    ],
)
def test_a_response_that_cannot_be_stored_is_in_doubt(item: dict[str, object]) -> None:
    """Recording it would fail again and again; it is looked up instead."""
    assert isinstance(classify(200, orjson.dumps([item]), None, 1), InDoubt)


@pytest.mark.parametrize("code", [1226, 1235])
def test_an_unknown_stream_refuses_the_account(code: int) -> None:
    """Whether it is reported for a message or for the batch."""
    document = {"ErrorCode": code, "Message": "stream"}
    assert [result.status for result in results_of([document])] == [SubmissionStatus.ACCOUNT_REFUSED]
    assert isinstance(classify(422, orjson.dumps(document), None, 1), AccountRefused)


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("999999999", 300.0), ("9" * 400, 300.0), ("soon", None)]
)
def test_retry_after_has_a_maximum(header: str, seconds: float | None) -> None:
    """An error of the provider must not stop a process for days."""
    outcome = classify(429, b"", header, 1)
    assert isinstance(outcome, NotSent)
    assert outcome.retry_after_seconds == seconds


def test_a_pause_has_a_maximum() -> None:
    """It is at most five minutes."""
    assert 290 < ProviderBackoff().fail(1e9) <= 300
