"""The webhook and the unsubscribe page over HTTP: any JSON, any form of the link, and without the database."""

import aiohttp
import pytest
from structlog.testing import capture_logs

from core.ids import new_id
from models.contacts import ContactStatus
from runtime import Runtime, running
from services.deliveries.sending import CampaignSender
from services.suppressions.unsubscribing import UnsubscribeLink, link_token
from tests.conftest import Servers
from tests.deliveries.conftest import Provider
from tests.deliveries.worker import drain, sending
from tests.outages import relayed
from tests.serving import served
from tests.suppressions.test_unsubscribe import FORM, ONE_CLICK, contact_status, link_in_mail
from tests.webhooks.test_events import GOOD, count_stored, post

DEEP = b'{"a":' * 60 + b"1" + b"}" * 60
LONG = b"a" * 90_000
KEPT: dict[str, bytes] = {
    "NUL in the message's id": b'{"RecordType": "Delivery", "MessageID": "\\u0000%s"}',
    "NUL in a key": b'{"RecordType": "Open", "MessageID": "%s", "a\\u0000": 1}',
    "NUL as a bounce's id": b'{"RecordType": "Bounce", "ID": "\\u0000", "MessageID": "%s"}',
    "NUL as a recipient": b'{"RecordType": "Delivery", "MessageID": "%s", "Recipient": "\\u0000"}',
    "half a surrogate pair": b'{"RecordType": "Click", "MessageID": "%s", "OriginalLink": "\\ud800"}',
    "half a pair in a key": b'{"RecordType": "Click", "MessageID": "%s", "\\udfff": 1}',
    "a number beyond all bounds": b'{"RecordType": "Open", "MessageID": "%s", "ReadSeconds": 1e999}',
    "a whole number of 400 digits": b'{"RecordType": "Bounce", "MessageID": "%s", "ID": ' + b"9" * 400 + b"}",
    "no number": b'{"RecordType": "Open", "MessageID": "%s", "ReadSeconds": NaN}',
    "objects for texts": b'{"RecordType": {"a": []}, "MessageID": "%s", "Type": [], "Metadata": "x"}',
    "an object as an id": b'{"RecordType": "Bounce", "MessageID": "%s", "ID": {"a": 1}, "Type": 5}',
    "an id twice": b'{"RecordType": "Open", "MessageID": "x", "MessageID": "%s"}',
    "nesting within reason": b'{"RecordType": "Open", "MessageID": "%s", "Geo": ' + DEEP + b"}",
    "a long recipient": b'{"RecordType": "Bounce", "TypeCode": 1, "MessageID": "%s", "Email": "'
    + b"a" * 90_000
    + b'"}',
    "an address that is none": b'{"RecordType": "Bounce", "TypeCode": 1, "MessageID": "%s", "Email": "@"}',
}


@pytest.mark.parametrize("name", KEPT)
async def test_unusual_json_is_stored(
    runtime: Runtime, base_url: str, http: aiohttp.ClientSession, name: str
) -> None:
    """What PostgreSQL cannot store is removed or replaced; the event is stored once, however often it is sent."""
    message = new_id().hex
    body = KEPT[name].replace(b"%s", message.encode())
    for _ in range(2):
        assert await post(http, base_url, body) == 200
    assert await count_stored(runtime, message) == 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' * 70 + b"1" + b"}" * 70,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 200_000,
        b'{"a": ' + b"9" * 5_000 + b"}",
        b'{"a": "\xff"}',
        b'{"a": "\x00"}',
        b"null",
        b"12",
        b"[]",
        b"{",
    ],
    ids=lambda body: body[:12],
)
async def test_an_invalid_body_is_refused_with_a_reason(
    base_url: str, http: aiohttp.ClientSession, body: bytes
) -> None:
    """Nested too deeply, not JSON, or not an object: a 400, and never an internal error."""
    async with http.post(f"{base_url}/webhooks/postmark", data=body, headers={"authorization": GOOD}) as answer:
        assert answer.status in {200, 400}
        if answer.status == 400:
            assert (await answer.json())["error"]


async def test_a_link_with_a_slash_is_the_same_link(
    runtime: Runtime, provider: Provider, sender: CampaignSender, base_url: str, http: aiohttp.ClientSession
) -> None:
    """RFC 8058, section 3.1: a POST is answered, not redirected; so are GET and HEAD."""
    actor, _, campaign_id = await sending(runtime, 1)
    await drain(sender, actor, campaign_id)
    url = base_url + await link_in_mail(provider, campaign_id) + "/"
    for method in ("HEAD", "GET"):
        async with http.request(method, url, allow_redirects=False) as answer:
            assert answer.status == 200
    assert await contact_status(runtime, actor) == [ContactStatus.SUBSCRIBED]
    async with http.post(f"{url}?utm_source=x", data=ONE_CLICK, headers=FORM, allow_redirects=False) as answer:
        assert answer.status == 200
    assert await contact_status(runtime, actor) == [ContactStatus.UNSUBSCRIBED]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 204), ("PUT", 405), ("DELETE", 405), ("PATCH", 405)])
async def test_allow_lists_the_methods(
    base_url: str, http: aiohttp.ClientSession, slash: str, method: str, status: int
) -> None:
    """For OPTIONS, and for a refused method."""
    async with http.request(method, f"{base_url}/u/some-token{slash}") as answer:
        methods = {one.strip() for one in answer.headers["allow"].split(",")}
        assert (answer.status, methods) == (status, {"GET", "HEAD", "OPTIONS", "POST"})


async def test_an_outage_is_answered_with_retry_after(servers: Servers) -> None:
    """503: in JSON for the vendor, as a page for a recipient; nothing was changed."""
    async with relayed(servers) as (relay, settings), running(settings) as runtime, served(runtime) as server:
        actor, [contact_id], campaign_id = await sending(runtime, 1)
        link = UnsubscribeLink(actor.organization_id, campaign_id, new_id(), contact_id)
        url = f"{server.base}/u/{link_token(runtime.unsubscribe_signer, link)}"
        body = b'{"RecordType": "Open", "MessageID": "during-an-outage"}'
        async with aiohttp.ClientSession() as session:
            relay.disconnect()
            with capture_logs() as logged:
                for method in ("GET", "POST"):
                    async with session.request(method, url, allow_redirects=False) as answer:
                        assert (answer.status, answer.headers["retry-after"]) == (503, "30")
                        assert "default-src 'none'" in answer.headers["content-security-policy"]
                        page = await answer.text()
                        assert "try again in a minute" in page
                        assert "not unsubscribed yet" in page
                        assert '<form method="post">' in page
                headers = {"authorization": GOOD}
                async with session.post(f"{server.base}/webhooks/postmark", data=body, headers=headers) as answer:
                    assert (answer.status, answer.headers["retry-after"]) == (503, "30")
                    assert "again" in (await answer.json())["error"]
                async with session.get(f"{server.base}/u/unknown") as answer:
                    assert answer.status == 404
            assert [line["log_level"] for line in logged] == ["warning"] * 3
            assert link_token(runtime.unsubscribe_signer, link) not in str(logged)
            await relay.open()
            assert await post(session, server.base, body) == 200
            async with session.post(url, data=ONE_CLICK, headers=FORM) as answer:
                assert answer.status == 200
        assert await contact_status(runtime, actor) == [ContactStatus.UNSUBSCRIBED]
