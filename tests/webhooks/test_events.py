"""Events of the provider: stored, attributed, and applied once, in any order."""

import io
from datetime import timedelta
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import orjson
import pytest
from sqlalchemy import select, text, update

from core import clock
from core.access.actor import Actor
from models.contact_events import ContactEvent
from models.contacts import Contact, ContactStatus
from models.deliveries import DeliveryStatus, EmailDelivery
from models.suppressions import Suppression, SuppressionReason
from models.webhooks import WebhookInbox
from runtime import Runtime
from sandbox.events import WebhookEvent, payload
from sandbox.ledger import AcceptedMessage
from services.campaigns.progress import read_stats
from services.deliveries.sending import CampaignSender
from services.webhooks.attributing import attribute_events
from tests.deliveries.conftest import Provider
from tests.deliveries.worker import drain, progress, sending, statuses, sweep
from tests.inbox import apply_inbox, deliver

Json = dict[str, Any]


GOOD = aiohttp.encode_basic_auth("postmark", "test-webhook-password")


async def post(http: aiohttp.ClientSession, base_url: str, body: bytes, auth: str | None = GOOD) -> int:
    """Post a webhook; the status."""
    headers = {"authorization": auth} if auth else {}
    async with http.post(f"{base_url}/webhooks/postmark", data=io.BytesIO(body), headers=headers) as answer:
        assert answer.content_type == "application/json"
        return answer.status


async def deliver_events(runtime: Runtime, *events: Json) -> None:
    """Let the provider send events, and apply them."""
    for event in events:
        await deliver(runtime, event)
    await apply_inbox(runtime)


async def send_campaign(
    runtime: Runtime, provider: Provider, sender: CampaignSender, how_many: int = 1
) -> tuple[Actor, UUID, list[AcceptedMessage]]:
    """A campaign whose messages the provider has accepted."""
    actor, _, campaign_id = await sending(runtime, how_many)
    await drain(sender, actor, campaign_id)
    return actor, campaign_id, await messages_of(provider, campaign_id)


async def messages_of(provider: Provider, campaign_id: UUID) -> list[AcceptedMessage]:
    """The provider's messages of a campaign."""
    return [AcceptedMessage(**entry) for entry in await provider.messages(campaign_id)]  # type: ignore[arg-type]


def event(kind: str, message: AcceptedMessage, **changes: object) -> Json:
    """An event, as Postmark sends it."""
    return {**payload(WebhookEvent(kind=kind, message=message, recipient=message.recipients[0])), **changes}


async def only_status(runtime: Runtime, actor: Actor, campaign_id: UUID) -> DeliveryStatus:
    """The status of a campaign's only delivery."""
    [status] = (await statuses(runtime, actor, campaign_id)).values()
    return status


async def outcome(runtime: Runtime, actor: Actor) -> list[str | None]:
    """The outcomes of the events about an organization's messages."""
    rows = await runtime.reads(actor.tenant).rows(
        select(WebhookInbox.outcome)
        .where(WebhookInbox.organization_id == actor.organization_id, WebhookInbox.email_norm.is_(None))
        .order_by(WebhookInbox.id)
    )
    return [row.outcome for row in rows]


async def test_wrong_credentials_store_nothing(runtime: Runtime, base_url: str, http: aiohttp.ClientSession) -> None:
    """Missing, wrong, or malformed credentials get a 401, and never a 403, after which Postmark stops sending."""
    body = b'{"RecordType": "Delivery", "MessageID": "never-stored"}'
    wrong = aiohttp.encode_basic_auth("postmark", "wrong"), aiohttp.encode_basic_auth("x", "test-webhook-password")
    for auth in (None, *wrong, "Basic %%%", "Bearer token"):
        assert await post(http, base_url, body, auth) == 401
    assert not await count_stored(runtime, "never-stored")


async def count_stored(runtime: Runtime, message_id: str) -> int:
    """How many events of a message are in the inbox, attributed or not."""
    url = runtime.settings.database.migrator_url
    assert url is not None
    connection = await asyncpg.connect(url.get_secret_value().replace("postgresql+asyncpg", "postgresql"))
    try:
        await connection.execute("SET ROLE nudge_definer")
        return int(
            await connection.fetchval(
                "SELECT count(*) FROM webhook_inbox WHERE payload->>'MessageID' = $1", message_id
            )
        )
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"not json", 400), (b'["an", "array"]', 400), (b'"text"', 400), (b"", 400), (b" " * 1_048_577, 413)],
)
async def test_a_body_that_is_no_event_is_refused(
    base_url: str, http: aiohttp.ClientSession, body: bytes, status: int
) -> None:
    """Anything but one JSON object, or more than 1 MiB, is refused with a reason."""
    assert await post(http, base_url, body) == status


async def test_an_event_with_nul_characters_is_stored(
    runtime: Runtime, base_url: str, http: aiohttp.ClientSession
) -> None:
    """PostgreSQL's jsonb cannot store NUL; the rest of the event is stored."""
    body = b'{"RecordType": "Open", "MessageID": "nul-1", "UserAgent": "a\\u0000b"}'
    assert await post(http, base_url, body) == 200
    assert await count_stored(runtime, "nul-1") == 1


async def test_a_deeply_nested_event_is_refused(base_url: str, http: aiohttp.ClientSession) -> None:
    """With a reason, and not with an internal error."""
    assert await post(http, base_url, b'{"a":' * 900 + b"1" + b"}" * 900) == 400


async def test_a_repeated_event_counts_once(
    runtime: Runtime, provider: Provider, sender: CampaignSender, base_url: str, http: aiohttp.ClientSession
) -> None:
    """The same delivery and open three times give one row each; a second open is another event."""
    actor, campaign_id, [message] = await send_campaign(runtime, provider, sender)
    first = event("Open", message)
    second = {**first, "ReceivedAt": "2026-01-02T03:04:05.1234567Z"}
    for sent in [event("Delivery", message), first, second] * 3:
        assert await post(http, base_url, orjson.dumps(sent)) == 200
    await apply_inbox(runtime)
    rows = await runtime.reads(actor.tenant).rows(select(ContactEvent.kind))
    assert sorted(row.kind for row in rows) == ["delivered", "opened", "opened"]
    stats = await read_stats(runtime.reads(actor.tenant), campaign_id)
    assert stats is not None
    assert (stats.counts.delivered, stats.reached, stats.opened, stats.clicked) == (1, 1, 1, 0)
    assert await only_status(runtime, actor, campaign_id) is DeliveryStatus.DELIVERED


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+05:00", "1999-12-31T23:59:59Z", "9999-12-31T23:59:59-05:00"]
)
async def test_an_impossible_time_is_replaced_by_the_time_of_receipt(
    runtime: Runtime, provider: Provider, sender: CampaignSender, time: str
) -> None:
    """A placeholder date, or one that cannot be stored, does not prevent the event."""
    began = clock.now()
    actor, campaign_id, [message] = await send_campaign(runtime, provider, sender)
    await deliver_events(runtime, {**event("Open", message), "ReceivedAt": time})
    rows = await runtime.reads(actor.tenant).rows(select(ContactEvent.kind, ContactEvent.occurred_at))
    assert [row.kind for row in rows] == ["opened"]
    assert began <= rows[0].occurred_at <= clock.now()
    stats = await read_stats(runtime.reads(actor.tenant), campaign_id)
    assert stats is not None
    assert stats.opened == 1


async def test_a_clock_may_be_a_few_minutes_ahead(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """A time within the next minutes is stored as it is; a later one is replaced by the time of receipt."""
    actor, _, [message] = await send_campaign(runtime, provider, sender)
    now = clock.now().replace(microsecond=0)
    sent = [now + timedelta(minutes=minutes) for minutes in (3, 8)]
    for number, time in enumerate(sent):
        link = f"https://shop.example/{number}"
        await deliver_events(runtime, event("Click", message, ReceivedAt=time.isoformat(), OriginalLink=link))
    rows = await runtime.reads(actor.tenant).rows(select(ContactEvent.occurred_at).order_by(ContactEvent.occurred_at))
    replaced, second = [row.occurred_at for row in rows]
    assert second == sent[0]
    assert now <= replaced <= clock.now()


async def test_a_status_only_advances(runtime: Runtime, provider: Provider, sender: CampaignSender) -> None:
    """Events out of order leave the furthest status, with the times of all."""
    actor, campaign_id, [message] = await send_campaign(runtime, provider, sender)
    for kind in ("SpamComplaint", "HardBounce", "Delivery", "Open", "Click"):
        await deliver_events(runtime, event(kind, message))
        assert await only_status(runtime, actor, campaign_id) is DeliveryStatus.COMPLAINED
    stats = await read_stats(runtime.reads(actor.tenant), campaign_id)
    assert stats is not None
    assert (stats.reached, stats.opened, stats.clicked) == (1, 1, 1)
    await progress(runtime, actor, campaign_id)


EFFECTS: dict[str, tuple[Json, SuppressionReason | None, ContactStatus]] = {
    "HardBounce": ({}, SuppressionReason.HARD_BOUNCE, ContactStatus.BOUNCED),
    "SpamComplaint": ({}, SuppressionReason.COMPLAINT, ContactStatus.COMPLAINED),
    "SubscriptionChange": ({}, SuppressionReason.UNSUBSCRIBED, ContactStatus.UNSUBSCRIBED),
    "SoftBounce": ({}, None, ContactStatus.SUBSCRIBED),
    "Unknown": ({"Type": "Transient"}, None, ContactStatus.SUBSCRIBED),
    "Blocked": ({"Type": "AutoResponder"}, None, ContactStatus.SUBSCRIBED),
    "Delivery": ({}, None, ContactStatus.SUBSCRIBED),
    "Open": ({"ReceivedAt": "not a time"}, None, ContactStatus.SUBSCRIBED),
}


@pytest.mark.parametrize("kind", EFFECTS)
async def test_which_events_suppress_an_address(
    runtime: Runtime, provider: Provider, sender: CampaignSender, kind: str
) -> None:
    """Hard bounces, complaints and unsubscribing suppress the address and change the contact; others do not."""
    changes, reason, contact = EFFECTS[kind]
    actor, _, [message] = await send_campaign(runtime, provider, sender)
    await deliver_events(runtime, event(kind, message, **changes))
    reads = runtime.reads(actor.tenant)
    assert [row.reason for row in await reads.rows(select(Suppression.reason))] == ([reason] if reason else [])
    assert [row.status for row in await reads.rows(select(Contact.status))] == [contact]
    assert await outcome(runtime, actor) == ["applied"]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("HardBounce", ContactStatus.SUBSCRIBED),
        ("SpamComplaint", ContactStatus.COMPLAINED),
        ("SubscriptionChange", ContactStatus.UNSUBSCRIBED),
    ],
)
async def test_a_bounce_of_a_former_address(
    runtime: Runtime, provider: Provider, sender: CampaignSender, kind: str, status: ContactStatus
) -> None:
    """It does not affect a contact with a new address; a complaint does, as it is the recipient's decision."""
    actor, _, [message] = await send_campaign(runtime, provider, sender)
    moved = f"moved-{actor.organization_id}@example.com"
    async with runtime.work.begin(actor) as uow:
        [before] = await uow.rows(select(Contact.email_norm))
        await uow.execute(update(Contact).values(email=moved, email_norm=moved))
    await deliver_events(runtime, event(kind, message))
    reads = runtime.reads(actor.tenant)
    assert [row.email_norm for row in await reads.rows(select(Suppression.email_norm))] == [before.email_norm]
    assert [row.status for row in await reads.rows(select(Contact.status))] == [status]


async def test_events_without_metadata_are_attributed_by_message_id(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """Postmark sometimes omits Metadata and Tag, and writes ServerId instead of ServerID."""
    actor, campaign_id, [message] = await send_campaign(runtime, provider, sender)
    bare = event("Delivery", message)
    for name in ("Metadata", "Tag", "ServerID"):
        del bare[name]
    await deliver_events(runtime, {**bare, "ServerId": 1})
    assert await only_status(runtime, actor, campaign_id) is DeliveryStatus.DELIVERED


async def test_an_event_accepts_a_delivery_in_doubt(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """It proves that the provider accepted the message, and has its message id."""
    actor, _, campaign_id = await sending(runtime, 1)
    await provider.fail(server_error_after_accept={"count": 1})
    await drain(sender, actor, campaign_id)
    assert await only_status(runtime, actor, campaign_id) is DeliveryStatus.UNKNOWN
    [message] = await messages_of(provider, campaign_id)
    await deliver_events(runtime, event("Open", message))
    assert await only_status(runtime, actor, campaign_id) is DeliveryStatus.ACCEPTED
    await sweep(runtime, sender.mailer, actor, campaign_id)
    now = await progress(runtime, actor, campaign_id)
    assert now.counts.accepted == 1
    assert len(await provider.messages(campaign_id)) == 1


async def test_an_invalid_event_does_not_block_others(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """Events that are not known, or that the database refuses, get an outcome; the others are applied."""
    actor, campaign_id, messages = await send_campaign(runtime, provider, sender, 3)
    foreign_event = event("Delivery", messages[0], MessageID=messages[1].message_id)
    foreign_event["Metadata"] = {**messages[2].metadata, "delivery": messages[2].metadata["delivery"]}
    async with runtime.work.begin(actor) as uow:
        await uow.connection.execute(
            text("UPDATE email_deliveries SET message_id = NULL WHERE message_id = :one"),
            {"one": messages[2].message_id},
        )
    await deliver_events(
        runtime,
        event("Delivery", messages[0], RecordType="Gossip", MessageID="gossip"),
        foreign_event,
        event("Delivery", messages[0]),
        event("Delivery", messages[1]),
    )
    now = await progress(runtime, actor, campaign_id)
    assert (now.counts.delivered, now.counts.accepted) == (2, 1)
    outcomes = await outcome(runtime, actor)
    assert outcomes.count("applied") == 2
    assert any((one or "").startswith("failed") for one in outcomes)
    assert any((one or "").startswith("ignored") for one in outcomes)


POISONS: list[Json] = [
    {"RecordType": "Bounce", "Type": {}},
    {"RecordType": []},
    {"RecordType": {"a": 1}},
    {"RecordType": "Bounce", "Type": ["HardBounce"], "Inactive": {}},
    {"RecordType": "SubscriptionChange", "SuppressSending": True, "SuppressionReason": []},
    {"RecordType": "Click", "ReceivedAt": {}, "OriginalLink": [], "ClickLocation": {"x": [1]}},
    {"RecordType": "Open", "ReceivedAt": "0001-01-01T00:00:00+14:00"},
]


@pytest.mark.parametrize("poison", POISONS)
async def test_an_event_with_wrong_types_does_not_block_others(
    runtime: Runtime, provider: Provider, sender: CampaignSender, poison: Json
) -> None:
    """Fields of wrong types affect neither other events nor the job."""
    actor, campaign_id, [message] = await send_campaign(runtime, provider, sender)
    bad = {**event("Open", message, MessageID="bad"), **poison}
    await deliver_events(runtime, bad, event("SpamComplaint", message))
    assert await only_status(runtime, actor, campaign_id) is DeliveryStatus.COMPLAINED
    assert "applied" in await outcome(runtime, actor)
    assert None not in await outcome(runtime, actor)


async def test_an_unexpected_error_is_recorded(runtime: Runtime, provider: Provider, sender: CampaignSender) -> None:
    """A stored event that fails with any other error is recorded as failed, and the others are applied."""
    actor, campaign_id, [message] = await send_campaign(runtime, provider, sender)
    await deliver(runtime, event("Open", message))
    await attribute_events(runtime.system)
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(WebhookInbox).values(payload=["no", "object"]))
    await deliver_events(runtime, event("Delivery", message))
    assert await only_status(runtime, actor, campaign_id) is DeliveryStatus.DELIVERED
    assert await outcome(runtime, actor) == ["failed: AttributeError", "applied"]


async def test_events_of_another_tenant_change_nothing(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """An event with another tenant's campaign, or an unknown delivery, changes no delivery."""
    actor, campaign_id, [message] = await send_campaign(runtime, provider, sender)
    other_owner, other_id, [other] = await send_campaign(runtime, provider, sender)
    await deliver_events(
        runtime,
        event("HardBounce", message, MessageID="x", Metadata={**message.metadata, "campaign": str(other_id)}),
        event("HardBounce", other, MessageID="y", Metadata={**other.metadata, "delivery": "no uuid"}),
    )
    for who, campaign in ((actor, campaign_id), (other_owner, other_id)):
        assert await only_status(runtime, who, campaign) is DeliveryStatus.ACCEPTED
    assert await outcome(runtime, other_owner) == ["no such delivery", "no such delivery"]


TIMES = {
    "Delivery": ("delivered_at", "DeliveredAt"),
    "Open": ("opened_at", "ReceivedAt"),
    "Click": ("clicked_at", "ReceivedAt"),
    "HardBounce": ("bounced_at", "BouncedAt"),
    "SpamComplaint": ("complained_at", "BouncedAt"),
    "SubscriptionChange": ("unsubscribed_at", "ChangedAt"),
}


@pytest.mark.parametrize("kind", TIMES)
async def test_the_earliest_time_of_several_events_stays(
    runtime: Runtime, provider: Provider, sender: CampaignSender, kind: str
) -> None:
    """The delivery's time is that of the event; of several the earliest, in any order."""
    actor, _, [message] = await send_campaign(runtime, provider, sender)
    column, name = TIMES[kind]
    days = [3, 1, 2]
    for day in days:
        sent = {**event(kind, message), name: f"2024-05-0{day}T10:00:00.1234567+02:00"}
        # There is one Delivery event for each recipient, so the others are about messages with other ids.
        sent = {**sent, "MessageID": f"{message.message_id}-{day}"} if kind == "Delivery" else {**sent, "ID": day}
        await deliver_events(runtime, sent)
    [row] = await runtime.reads(actor.tenant).rows(select(getattr(EmailDelivery, column)))
    assert row[0].isoformat() == "2024-05-01T08:00:00.123456+00:00"
