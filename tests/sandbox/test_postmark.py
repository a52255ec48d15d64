import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from sandbox import SandboxConfig
from sandbox.wire import JsonObject
from tests.sandbox.conftest import Client, mail, sandbox_with


async def test_a_batch_has_a_result_for_each_message_in_order(client: Client) -> None:
    """The status is 200 although one message is invalid; the valid ones are accepted."""
    good, bad, other = await client.send(mail("a@example.com"), mail("not an address"), mail("B <b@example.com>"))
    assert good["ErrorCode"] == 0
    assert good["To"] == "a@example.com"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", str(good["SubmittedAt"]))
    assert bad["ErrorCode"] == 300
    assert set(bad) == {"ErrorCode", "Message"}
    assert other["To"] == "B <b@example.com>"
    assert (await client.summary())["accepted"] == 2


async def test_token_is_required_and_compared(session: aiohttp.ClientSession) -> None:
    """A missing or wrong token gets a 401 with the code 10."""
    async with sandbox_with(session, SandboxConfig(server_token="right", pace=0)) as client:
        for token in ("", "wrong"):
            answer = await client.call("POST", "/email/batch", [mail()], X_Postmark_Server_Token=token)
            assert (answer.status, answer.object()["ErrorCode"]) == (401, 10)
        assert (await client.call("POST", "/email/batch", [mail()], X_Postmark_Server_Token="right")).status == 200


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"Messages": [mail()]}, 403),
        (b"[{", 402),
        ([mail()] * 501, 410),
        ([mail(), "text"], 403),
        ([mail(), mail(Subject=5)], 403),
        ([mail(), mail(Metadata=["x"])], 403),
        ([mail(), mail(Metadata={"batch": {"deep": 1}})], 403),
        ([mail(), mail(Headers=["x"])], 403),
        ([mail(), mail(TrackOpens="yes")], 403),
    ],
)
async def test_a_malformed_batch_is_refused(client: Client, document: object, code: int) -> None:
    """It gets a 422, and no message is accepted."""
    answer = await client.call("POST", "/email/batch", document)
    assert (answer.status, answer.object()["ErrorCode"]) == (422, code)
    assert (await client.summary())["accepted"] == 0


async def test_json_headers_are_required(client: Client) -> None:
    """Another media type, sent or accepted, gets a 422 with the code 409."""
    for headers in ({"Content_Type": "text/plain"}, {"Accept": "text/html"}):
        answer = await client.call("POST", "/email/batch", [mail()], **headers)
        assert (answer.status, answer.object()["ErrorCode"]) == (422, 409)


async def test_a_batch_over_fifty_megabytes_is_refused(client: Client) -> None:
    """It gets a 413."""
    answer = await client.call("POST", "/email/batch", b"[" + b" " * 50_000_000 + b"]")
    assert answer.status == 413


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"From": ""}, 300),
        ({"From": "a@example.com, b@example.com"}, 300),
        ({"To": ""}, 300),
        ({"To": "jörg@example.com"}, 300),
        ({"To": "x@localhost"}, 300),
        ({"To": "a@example.com\r\nBcc: b@example.com"}, 300),
        ({"To": ",".join(f"p{n}@example.com" for n in range(51))}, 300),
        ({"HtmlBody": "", "TextBody": None}, 300),
        ({"Subject": "two\nlines"}, 300),
        ({"Tag": "t" * 1001}, 300),
        ({"TrackLinks": "Always"}, 300),
        ({"Metadata": {f"k{n}": "v" for n in range(11)}}, 300),
        ({"Metadata": {"k" * 21: "v"}}, 300),
        ({"Metadata": {"k": "v" * 81}}, 300),
        ({"Metadata": {"k": 5}}, 300),
        ({"Headers": [{"Name": "X-A"}]}, 300),
        ({"Headers": [{"Name": "X-A", "Value": "b\r\nBcc: c"}]}, 300),
        ({"Attachments": [{"Name": "a.txt"}]}, 300),
        ({"MessageStream": "nowhere"}, 1235),
    ],
)
async def test_an_invalid_message_is_refused_alone(client: Client, changes: JsonObject, code: int) -> None:
    """Other messages of the batch are accepted; at `/email` it gets a 422."""
    invalid, accepted = await client.send({**mail(), **changes}, mail("b@example.com"))
    assert invalid["ErrorCode"] == code
    assert accepted["ErrorCode"] == 0
    alone = await client.call("POST", "/email", {**mail(), **changes})
    assert (alone.status, alone.object()["ErrorCode"]) == (422, code)


async def test_limits_are_inclusive(client: Client) -> None:
    """Values exactly at a limit are accepted."""
    at_limit = mail(
        ",".join(f"p{n}@example.com" for n in range(50)),
        Tag="t" * 1000,
        Metadata={f"{n:020}": "v" * 80 for n in range(10)},
        Headers=[{"Name": "List-Unsubscribe", "Value": "<https://shop.example/u/1>"}],
    )
    assert (await client.send(at_limit))[0]["ErrorCode"] == 0
    assert len(await client.send(*[mail()] * 500)) == 500


async def test_suppressed_addresses_are_inactive_only_on_their_stream(client: Client) -> None:
    """The code is 406, without To and MessageID; on another stream, and after reactivation, it is accepted."""
    suppression = {"email": "Ada@example.com", "stream": "broadcast", "reason": "HardBounce"}
    assert (await client.call("POST", "/sandbox/suppressions", suppression)).status == 201
    (result,) = await client.send(mail())
    assert result["ErrorCode"] == 406
    assert set(result) == {"ErrorCode", "Message"}
    assert "ada@example.com" in str(result["Message"])
    assert (await client.call("POST", "/email", mail())).status == 422
    assert (await client.send(mail(MessageStream="outbound")))[0]["ErrorCode"] == 0
    assert (await client.call("DELETE", "/sandbox/suppressions", suppression)).status == 204
    assert (await client.send(mail()))[0]["ErrorCode"] == 0


async def test_inactive_recipients_among_others_are_skipped(client: Client) -> None:
    """A message to two recipients, one of them inactive, is accepted for the other."""
    await client.call("POST", "/sandbox/suppressions", {"email": "b@example.com"})
    (result,) = await client.send(mail("a@example.com, b@example.com"))
    assert result["ErrorCode"] == 0
    assert "b@example.com" in str(result["Message"])
    page = (await client.call("GET", "/sandbox/ledger?recipient=b@example.com")).object()
    assert page["total"] == 0


async def test_the_dry_run_token_only_validates(client: Client) -> None:
    """With Postmark's test token nothing is stored."""
    answer = await client.call("POST", "/email", mail(), X_Postmark_Server_Token="POSTMARK_API_TEST")
    assert answer.object()["ErrorCode"] == 0
    assert (await client.summary())["accepted"] == 0


async def test_search_finds_a_batch_newest_first(client: Client) -> None:
    """A search by metadata returns pages of a batch, with the data that reconciliation needs."""
    await client.send(*[mail(f"p{n}@example.com") for n in range(5)])
    await client.send(mail("other@example.com", Metadata={"batch": "b2"}))
    answer = await client.call("GET", "/messages/outbound?count=2&offset=1&metadata_batch=b1")
    page = answer.object()
    assert page["TotalCount"] == 5
    hits = page["Messages"]
    assert isinstance(hits, list)
    assert [hit["Recipients"] for hit in hits] == [["p3@example.com"], ["p2@example.com"]]
    assert hits[0]["Metadata"] == {"batch": "b1", "delivery": "d-p3@example.com", "campaign": "c1"}
    assert hits[0]["To"] == [{"Email": "p3@example.com", "Name": None}]
    details = await client.call("GET", f"/messages/outbound/{hits[0]['MessageID']}/details")
    assert details.object()["TextBody"] == "Hi"


@pytest.mark.parametrize(
    "query",
    [
        "count=10&offset=0&metadata_batch=b1&metadata_delivery=d1",
        "count=501&offset=0",
        "count=500&offset=9501",
        "count=0&offset=0",
        "offset=0",
        "count=10",
        "count=ten&offset=0",
        "count=10&offset=0&fromdate=yesterday",
        "count=10&offset=0&status=opened",
    ],
)
async def test_an_invalid_search_is_refused(client: Client, query: str) -> None:
    """Two metadata fields, a page that is too large, or an offset that is too deep get a 422."""
    assert (await client.call("GET", f"/messages/outbound?{query}")).status == 422


async def test_search_narrows_by_each_filter(client: Client) -> None:
    """Recipient, tag, sender, subject, stream and date narrow the search."""
    await client.send(
        mail("a@example.com", Tag="spring"), mail("b@example.com", Subject="Bye", MessageStream="outbound")
    )
    for query, recipient in (
        ("recipient=A@example.com", "a@example.com"),
        ("tag=spring", "a@example.com"),
        ("subject=bye", "b@example.com"),
        ("messagestream=outbound", "b@example.com"),
        ("metadata_batch=b1&recipient=b@example.com&fromemail=news@shop.example", "b@example.com"),
    ):
        page = (await client.call("GET", f"/messages/outbound?count=10&offset=0&{query}")).object()
        assert isinstance(hits := page["Messages"], list)
        assert [hit["Recipients"] for hit in hits] == [[recipient]], query
    late = (await client.call("GET", "/messages/outbound?count=10&offset=0&fromdate=2099-01-01T00:00:00")).object()
    assert late["TotalCount"] == 0


async def test_a_date_without_an_offset_is_eastern_time(client: Client) -> None:
    """So a UTC time an hour ago without an offset is in the future; with an offset it is not."""
    await client.send(mail())
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    for text, total in (
        (f"{hour_ago:%Y-%m-%dT%H:%M:%S}", 0),
        (f"{hour_ago:%Y-%m-%dT%H:%M:%SZ}", 1),
        (f"{hour_ago.astimezone(ZoneInfo('America/New_York')):%Y-%m-%dT%H:%M:%S}", 1),
    ):
        answer = await client.call("GET", f"/messages/outbound?count=10&offset=0&fromdate={text}")
        assert answer.object()["TotalCount"] == total, text
