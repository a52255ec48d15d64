import asyncio
import socket
from base64 import b64encode

import aiohttp
import pytest

from sandbox import EngagementRates, SandboxConfig
from sandbox.engagement import plan
from tests.properties import is_long
from tests.sandbox.conftest import QUIET, Client, Inbox, Json, mail, sandbox_with
from tests.waiting import until

EAGER = EngagementRates(hard_bounce=0, soft_bounce=0, complaint=0, unsubscribe=0, open=1, second_open=1, click=1)


async def test_a_message_is_delivered_opened_clicked_and_opened_again(
    session: aiohttp.ClientSession, inbox: Inbox
) -> None:
    """Each request has one event, with our metadata, HTTP Basic, and FirstOpen only for the first open."""
    config = SandboxConfig(
        pace=0, rates=EAGER, webhook_url=inbox.url, webhook_username="hook", webhook_password="secret"
    )
    async with sandbox_with(session, config) as client:
        (result,) = await client.send(mail())
        events = await inbox.until(4)
    assert sorted(map(str, inbox.types())) == ["Click", "Delivery", "Open", "Open"]
    for event in events:
        assert event["MessageID"] == result["MessageID"]
        assert event["Metadata"] == {"batch": "b1", "delivery": "d-ada@example.com", "campaign": "c1"}
        assert event["Recipient"] == "ada@example.com"
        assert event["MessageStream"] == "broadcast"
    opens = {event["FirstOpen"] for event in events if event["RecordType"] == "Open"}
    assert opens == {True, False}
    (click,) = [event for event in events if event["RecordType"] == "Click"]
    assert click["OriginalLink"] == "https://shop.example/spring"
    assert set(inbox.authorizations) == {f"Basic {b64encode(b'hook:secret').decode()}"}


async def test_untracked_messages_are_neither_opened_nor_clicked(
    session: aiohttp.ClientSession, inbox: Inbox
) -> None:
    """Without TrackOpens and TrackLinks there is only the delivery."""
    async with sandbox_with(session, SandboxConfig(pace=0, rates=EAGER, webhook_url=inbox.url)) as client:
        await client.send(mail(TrackOpens=False, TrackLinks="None"))
        await inbox.until(1)
        await wait_for_counts(client, attempts=1, waiting=0, queued=0)
    assert inbox.types() == ["Delivery"]


async def test_test_addresses_bounce_and_suppress(client: Client, inbox: Inbox) -> None:
    """A hard bounce suppresses the address and sends a webhook, a soft bounce does not, the black hole delivers."""
    await client.call("PUT", "/sandbox/webhooks", {"url": inbox.url})
    hard, soft = "hardbounce@bounce-testing.postmarkapp.com", "softbounce@bounce-testing.postmarkapp.com"
    await client.send(mail(hard), mail(soft), mail("test@blackhole.postmarkapp.com"))
    events = {(event["RecordType"], event.get("Type")): event for event in await inbox.until(4)}
    assert set(events) == {
        ("Bounce", "HardBounce"),
        ("Bounce", "SoftBounce"),
        ("SubscriptionChange", None),
        ("Delivery", None),
    }
    bounce = events["Bounce", "HardBounce"]
    assert (bounce["TypeCode"], bounce["Inactive"], bounce["Email"]) == (1, True, hard)
    assert isinstance(bounce["ID"], int)
    assert events["Bounce", "SoftBounce"]["Inactive"] is False
    assert events["SubscriptionChange", None]["SuppressionReason"] == "HardBounce"
    results = await client.send(mail(hard), mail(soft))
    assert [result["ErrorCode"] for result in results] == [406, 0]


async def test_the_same_seed_gives_the_same_events(session: aiohttp.ClientSession) -> None:
    """Two sandboxes with the same seed suppress the same addresses, one with another seed others."""
    rates = EngagementRates(hard_bounce=0.3)
    outcomes: list[set[str]] = []
    for seed in (7, 7, 8):
        async with sandbox_with(session, SandboxConfig(pace=0, seed=seed, rates=rates)) as client:
            await client.send(*[mail(f"p{n}@example.com") for n in range(100)])
            await wait_for_counts(client, waiting=0, queued=0)
            suppressions = (await client.call("GET", "/sandbox/suppressions")).object()["suppressions"]
            assert isinstance(suppressions, list)
            outcomes.append({entry["email"] for entry in suppressions})
    assert outcomes[0] == outcomes[1] != outcomes[2]
    assert 15 <= len(outcomes[0]) <= 45


async def wait_for_counts(client: Client, **expected: object) -> Json:
    """Wait until the sandbox reports these numbers of its webhooks; returns all numbers.

    An attempt is counted when its response has arrived, so after the receiver has got the event.
    """
    counts: Json = {}

    async def matches() -> bool:
        nonlocal counts
        counts = (await client.call("GET", "/sandbox/webhooks")).object()
        return expected.items() <= counts.items()

    await until(matches)
    return counts


async def test_a_failed_webhook_is_retried(client: Client, inbox: Inbox) -> None:
    """An event is sent again until it gets a 2xx."""
    inbox.answers = [500, 503, 302]
    await client.call("PUT", "/sandbox/webhooks", {"url": inbox.url})
    await client.send(mail())
    state = await wait_for_counts(client, acknowledged=1)
    assert inbox.events[0] == inbox.events[3]
    assert (state["attempts"], state["failed"], state["abandoned"]) == (4, 3, 0)


async def test_a_webhook_is_dropped_after_ten_retries(client: Client, inbox: Inbox) -> None:
    """There are eleven attempts."""
    inbox.answers = [500] * 20
    await client.call("PUT", "/sandbox/webhooks", {"url": inbox.url})
    await client.send(mail())
    await wait_for_counts(client, abandoned=1, waiting=0, queued=0)
    assert len(inbox.events) == 11


async def test_an_unreachable_receiver_has_status_zero(client: Client, inbox: Inbox) -> None:
    """A refused connection is a failed attempt with the status 0; the next one works."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        await client.call("PUT", "/sandbox/webhooks", {"url": f"http://127.0.0.1:{unused.getsockname()[1]}/"})
        assert (await client.call("POST", "/sandbox/webhooks", {"event": {}})).object() == {"statuses": [0]}
    await client.call("PUT", "/sandbox/webhooks", {"url": inbox.url})
    assert (await client.call("POST", "/sandbox/webhooks", {"event": {}})).object() == {"statuses": [200]}


async def test_pace_stretches_the_delays(
    session: aiohttp.ClientSession, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At pace 2 a delivery takes twice as long; the address is one with a short delay."""
    now, polls = 0.0, 0

    def clock() -> float:
        nonlocal polls
        polls += 1
        return now

    async def polled() -> bool:
        return polls > 5  # so that everything due has been sent

    monkeypatch.setattr("sandbox.webhooks.monotonic", clock)
    config = SandboxConfig(pace=2, rates=QUIET, webhook_url=inbox.url)
    delays = {
        f"p{n}@example.com": plan(f"p{n}@example.com", config.seed, QUIET, opens=True, clicks=True)
        for n in range(100)
    }
    address = min(delays, key=lambda each: delays[each][0].delay)
    async with sandbox_with(session, config) as client:
        await client.send(mail(address))
        await until(polled)
        now, polls = delays[address][0].delay * 1.9, 0
        await until(polled)
        assert inbox.events == []
        now = delays[address][0].delay * 2
        await inbox.until(1)


async def test_a_403_stops_the_webhooks(client: Client, inbox: Inbox) -> None:
    """After a 403 no webhook is sent until a reset."""
    inbox.answers = [403]
    await client.call("PUT", "/sandbox/webhooks", {"url": inbox.url})
    (result,) = await client.send(mail())
    await wait_for_counts(client, stopped=True)
    await client.send(mail("b@example.com"))
    await wait_for_counts(client, discarded=1, waiting=0, queued=0)
    assert len(inbox.events) == 1
    event = {"record_type": "Open", "message_id": result["MessageID"]}
    assert (await client.call("POST", "/sandbox/webhooks", event)).status == 409
    assert (await client.call("DELETE", "/sandbox/webhooks")).status == 204
    assert (await client.call("POST", "/sandbox/webhooks", event)).object() == {"statuses": [200]}


async def test_events_are_sent_and_replayed_on_request(client: Client, inbox: Inbox) -> None:
    """An event built for a message, a given event several times, and a replay of a message's events."""
    await client.call("PUT", "/sandbox/webhooks", {"url": inbox.url})
    (result,) = await client.send(mail())
    await inbox.until(1)
    message_id = result["MessageID"]
    inbox.answers = [200, 401]
    complaint = {"record_type": "SpamComplaint", "message_id": message_id}
    assert (await client.call("POST", "/sandbox/webhooks", complaint)).object() == {"statuses": [200, 401]}
    assert inbox.types() == ["Delivery", "SpamComplaint", "SubscriptionChange"]
    assert (await client.send(mail()))[0]["ErrorCode"] == 406
    payload = {"event": {"RecordType": "Odd"}, "times": 2}
    assert (await client.call("POST", "/sandbox/webhooks", payload)).object() == {"statuses": [200, 200]}
    assert inbox.types()[3:] == ["Odd", "Odd"]
    replayed = await client.call("POST", "/sandbox/webhooks", {"replay": message_id, "wait": False})
    assert (replayed.status, replayed.object()) == (202, {"queued": 3})
    events = await inbox.until(8)
    assert sorted(map(str, inbox.types()[5:])) == sorted(map(str, inbox.types()[:3]))
    assert all(event in events[:3] for event in events[5:])


async def test_invalid_requests_for_webhooks_are_refused(client: Client, inbox: Inbox) -> None:
    """An unknown message or record type, a number out of range, or no URL."""
    (result,) = await client.send(mail())
    event = {"record_type": "Open", "message_id": result["MessageID"]}
    assert (await client.call("POST", "/sandbox/webhooks", event)).status == 409
    await client.call("PUT", "/sandbox/webhooks", {"url": inbox.url})
    for document, status in (
        ({"record_type": "Open", "message_id": "unknown"}, 404),
        ({"replay": "unknown"}, 404),
        ({**event, "record_type": "Opened"}, 400),
        ({**event, "times": 101}, 400),
        ({}, 400),
    ):
        assert (await client.call("POST", "/sandbox/webhooks", document)).status == status, document


async def test_webhook_faults(client: Client, inbox: Inbox) -> None:
    """Switches change the spelling of ServerID, omit Metadata and Tag, and repeat and delay events."""
    await client.faults(
        webhooks={
            "server_id_spelling": True,
            "missing_metadata": True,
            "missing_tag": True,
            "duplicate": {"count": 1},
            "reorder": 0.05,
        }
    )
    await client.call("PUT", "/sandbox/webhooks", {"url": inbox.url})
    await client.send(mail())
    first, second = await inbox.until(2)
    assert first == second
    assert "ServerId" in first
    assert not {"ServerID", "Metadata", "Tag"} & set(first)


@pytest.mark.soak
async def test_many_messages_need_no_tasks_of_their_own(session: aiohttp.ClientSession) -> None:
    """200 full batches (20 in the short form) are accepted and their events handled, without further tasks."""
    batches = 200 if is_long() else 20
    async with sandbox_with(session, SandboxConfig(pace=0, rates=QUIET)) as client:
        before = len(asyncio.all_tasks())
        for batch in range(batches):
            page = [
                mail(
                    f"p{batch}-{n}@example.com",
                    Metadata={"delivery": f"{batch}-{n}", "campaign": "c", "batch": str(batch)},
                )
                for n in range(500)
            ]
            assert len(await client.send(*page)) == 500
        await wait_for_counts(client, waiting=0, queued=0)
        assert len(asyncio.all_tasks()) <= before + 2
        summary = await client.summary()
        assert (summary["accepted"], summary["distinct_deliveries"]) == (500 * batches, 500 * batches)


async def test_changes_of_the_suppression_list_send_webhooks_on_request(client: Client, inbox: Inbox) -> None:
    """Manual changes of the list send webhooks without a message, like Postmark's; only on request."""
    await client.call("PUT", "/sandbox/webhooks", {"url": inbox.url})
    entry = {"email": "ada@example.com", "webhook": True}
    assert (await client.call("POST", "/sandbox/suppressions", {"email": "silent@example.com"})).status == 201
    assert (await client.call("POST", "/sandbox/suppressions", {**entry, "origin": "Admin"})).status == 201
    assert (await client.call("DELETE", "/sandbox/suppressions", entry)).status == 204
    events = sorted(await inbox.until(2), key=lambda event: not event["SuppressSending"])
    received_events = [
        (event["MessageID"], event["Recipient"], event["Origin"], event["SuppressionReason"]) for event in events
    ]
    assert received_events == [
        (None, "ada@example.com", "Admin", "ManualSuppression"),
        (None, "ada@example.com", "Customer", None),
    ]
