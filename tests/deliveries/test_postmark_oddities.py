"""What Postmark should never answer, and what we make of it: nothing is concluded from what cannot be read."""

import asyncio

import orjson
import pytest

from integrations.mail import (
    AccountRefused,
    Answered,
    BatchRefused,
    InDoubt,
    NotSent,
    Receipt,
    ReceiptStatus,
    SearchFailed,
)
from integrations.postmark.mailer import PostmarkMailer, classify
from services.mailing.pacing import ProviderBackoff

HIT = {"MessageID": "m", "Metadata": {"delivery": "d"}}


async def find_in(document: object) -> dict[str, str]:
    """What a search finds that is answered with a document."""

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
            return dict(await mailer.find("b"))
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
async def test_an_odd_search_says_nothing(document: object) -> None:
    """Taken for an empty one, it would have messages sent again."""
    with pytest.raises(SearchFailed):
        await find_in(document)


@pytest.mark.parametrize(
    ("hits", "found"),
    [
        ([], {}),
        ([HIT], {"d": "m"}),
        (
            [{"MessageID": "x", "Metadata": None}, {"MessageID": "y", "Metadata": ["d"]}, {"MessageID": "z"}, HIT],
            {"d": "m"},
        ),
    ],
)
async def test_hits_without_our_metadata_are_nobodys(hits: list[object], found: dict[str, str]) -> None:
    """A hit is a delivery's where its metadata says so."""
    assert await find_in({"Messages": hits, "TotalCount": len(hits)}) == found


def test_a_reply_with_nul_characters_can_be_stored() -> None:
    """PostgreSQL holds no NUL; without them the text is kept, for an item and for a batch."""
    [receipt] = answered([{"ErrorCode": 300, "Message": "No\x00pe"}])
    assert receipt == Receipt(ReceiptStatus.REFUSED, None, 300, "Nope")
    refused = classify(422, orjson.dumps({"ErrorCode": 300, "Message": "\x00Nope"}), None, 2)
    assert refused == BatchRefused(code=300, reason="Nope")


def answered(items: list[dict[str, object]]) -> list[Receipt]:
    """The receipts of a 200 answer."""
    outcome = classify(200, orjson.dumps(items), None, len(items))
    assert isinstance(outcome, Answered)
    return list(outcome.receipts)


@pytest.mark.parametrize(
    "item",
    [
        {"ErrorCode": 0, "MessageID": "a\x00b"},
        {"ErrorCode": 0, "MessageID": None},
        {"ErrorCode": 2**31, "Message": "too large for the ledger"},
        {"ErrorCode": "300", "Message": "no number"},
    ],
)
def test_what_cannot_be_recorded_is_in_doubt(item: dict[str, object]) -> None:
    """A reply that the ledger cannot hold would be tried again and again; the provider is asked instead."""
    assert isinstance(classify(200, orjson.dumps([item]), None, 1), InDoubt)


@pytest.mark.parametrize("code", [1226, 1235])
def test_an_unknown_stream_is_the_accounts(code: int) -> None:
    """Whether it is told of a message or of the batch."""
    document = {"ErrorCode": code, "Message": "stream"}
    assert [receipt.status for receipt in answered([document])] == [ReceiptStatus.ACCOUNT_REFUSED]
    assert isinstance(classify(422, orjson.dumps(document), None, 1), AccountRefused)


@pytest.mark.parametrize(("told", "heard"), [("7", 7.0), ("999999999", 300.0), ("9" * 400, 300.0), ("soon", None)])
def test_retry_after_is_heard_within_reason(told: str, heard: float | None) -> None:
    """A slip of the provider must not silence a process for days."""
    outcome = classify(429, b"", told, 1)
    assert isinstance(outcome, NotSent)
    assert outcome.retry_after_seconds == heard


def test_a_pause_has_an_end() -> None:
    """Whoever asks, nobody waits longer than five minutes."""
    assert 290 < ProviderBackoff().fail(1e9) <= 300
