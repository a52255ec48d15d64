"""The provider's events about an address: which contacts they concern, what lifts them, and in which order."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from core.access.actor import Actor
from core.ids import new_id
from core.listing.pages import page_request
from models.contact_events import ContactEvent
from models.contacts import Contact, ContactStatus
from models.deliveries import DeliveryStatus
from models.suppressions import Suppression
from models.webhooks import WebhookInbox
from runtime import Runtime
from sandbox.ledger import AcceptedMessage
from services.contacts import changing
from services.contacts.history import EVENTS, EventRow
from services.contacts.listing import CONTACTS, ContactRow
from services.deliveries.sending import CampaignSender
from services.suppressions.unsubscribing import UnsubscribeLink, unsubscribe
from tests import factories
from tests.deliveries.conftest import Provider
from tests.deliveries.worker import finish, progress, sending, statuses
from tests.inbox import deliver
from tests.webhooks.outcomes import bounce, change, complaint
from tests.webhooks.test_events import deliver_events, only_status, send_campaign

STREAM = "broadcast"
LONG_AGO = datetime(2022, 6, 5, 17, 17, 32, tzinfo=UTC)
BOUNCED, SUBSCRIBED = ContactStatus.BOUNCED, ContactStatus.SUBSCRIBED
HOUR = timedelta(hours=1)


async def with_contact(runtime: Runtime, email: str, *, subscribed: bool = True) -> tuple[Actor, UUID]:
    """A new organization with one contact of this address."""
    actor = await factories.organization(runtime)
    status = SUBSCRIBED if subscribed else ContactStatus.PENDING
    async with runtime.work.begin(actor) as uow:
        contact = await changing.create(uow, {"email": email}, status=status)
    return actor, contact.id


def address() -> str:
    """An address that no other test uses."""
    return f"someone-{new_id().hex}@example.com"


async def row_of(runtime: Runtime, actor: Actor, contact_id: UUID) -> ContactRow:
    """The contact."""
    row = await CONTACTS.get(runtime.reads(actor.tenant), contact_id)
    assert row is not None
    return row


async def history(runtime: Runtime, actor: Actor, contact_id: UUID) -> list[EventRow]:
    """The contact's history, newest first, without its subscribing."""
    reads = runtime.reads(actor.tenant)
    pages = await EVENTS.pages_of(reads, [contact_id], page_request())
    return [row for row in pages[contact_id].rows if row.kind != "subscribed"]


async def active(runtime: Runtime, actor: Actor) -> dict[str, str]:
    """The active reasons in an organization, and their sources."""
    rows = await runtime.reads(actor.tenant).rows(
        select(Suppression.reason, Suppression.source).where(Suppression.is_active)
    )
    return {row.reason: row.source for row in rows}


def at(moment: datetime) -> str:
    """A time, as Postmark writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.1234567Z"


def manual_suppression(email: str, moment: datetime, **changes: object) -> dict[str, Any]:
    """The customer adds an address to Postmark's list: without a message and metadata."""
    fields: dict[str, Any] = {
        "suppress": True,
        "reason": "ManualSuppression",
        "origin": "Customer",
        "MessageID": None,
        "Metadata": {},
        "Tag": None,
        "Recipient": email,
        "MessageStream": STREAM,
        "ChangedAt": at(moment),
    }
    return change(**{**fields, **changes})


def reactivation(email: str, moment: datetime, origin: str = "Customer", **changes: object) -> dict[str, Any]:
    """The address is removed from Postmark's list."""
    return manual_suppression(email, moment, suppress=False, reason=None, origin=origin, **changes)


@pytest.mark.parametrize("changes", [{}, {"origin": "Admin"}, {"MessageID": ""}, {"MessageStream": None}])
async def test_a_manual_suppression_is_attributed_by_the_address(runtime: Runtime, changes: dict[str, Any]) -> None:
    """It concerns every organization that has the address, and no other."""
    email = address()
    (first, one), (second, two) = await with_contact(runtime, email), await with_contact(runtime, email)
    other, three = await with_contact(runtime, address())
    await deliver_events(runtime, manual_suppression(email.upper(), LONG_AGO, **changes))
    for actor, contact_id in ((first, one), (second, two)):
        assert (await row_of(runtime, actor, contact_id)).status == ContactStatus.BOUNCED
        assert await active(runtime, actor) == {"provider": "provider"}
        [line] = await history(runtime, actor, contact_id)
        assert (line.kind, line.occurred_at.replace(microsecond=0), line.campaign_id) == (
            "suppressed",
            LONG_AGO,
            None,
        )
        assert line.data["SuppressionReason"] == "ManualSuppression"
    assert (await row_of(runtime, other, three)).status == ContactStatus.SUBSCRIBED
    assert await history(runtime, other, three) == []


async def test_a_suppression_of_another_stream_is_ignored(runtime: Runtime) -> None:
    """Postmark's lists are per stream: an address on another stream's list is still mailed."""
    email = address()
    actor, contact_id = await with_contact(runtime, email)
    await deliver(runtime, manual_suppression(email, LONG_AGO, MessageStream="outbound"))
    await deliver_events(runtime)
    assert (await row_of(runtime, actor, contact_id)).status == ContactStatus.SUBSCRIBED


@pytest.mark.parametrize(
    "event", [bounce("HardBounce", 1, inactive=True), bounce("HardBounce", 1, inactive=True, MessageID=None)]
)
async def test_events_of_the_test_button_are_ignored(runtime: Runtime, event: dict[str, Any]) -> None:
    """Postmark's test event has an id of zeros, and an address that may be a contact's."""
    email = address()
    actor, contact_id = await with_contact(runtime, email)
    zeros = "00000000-0000-0000-0000-000000000000"
    await deliver_events(runtime, {**event, "ID": 42, "MessageID": zeros, "Email": email, "MessageStream": STREAM})
    assert (await row_of(runtime, actor, contact_id)).status == ContactStatus.SUBSCRIBED


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("Customer", ContactStatus.BOUNCED),
        ("Admin", ContactStatus.BOUNCED),
        ("Recipient", ContactStatus.UNSUBSCRIBED),
        (None, ContactStatus.BOUNCED),
    ],
)
async def test_a_change_without_message_may_have_an_id_of_zeros(
    runtime: Runtime, origin: str | None, status: ContactStatus
) -> None:
    """It means no message, like a missing id or null: the change concerns its address."""
    email = address()
    actor, contact_id = await with_contact(runtime, email)
    zeros = "00000000-0000-0000-0000-000000000000"
    await deliver_events(runtime, manual_suppression(email, LONG_AGO, Origin=origin, MessageID=zeros, Metadata={}))
    assert (await row_of(runtime, actor, contact_id)).status == status


async def same_address(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> tuple[Actor, AcceptedMessage, Actor, UUID]:
    """A sender with an accepted message, and another organization that has the recipient's address as well."""
    actor, _, [message] = await send_campaign(runtime, provider, sender)
    return actor, message, *await with_contact(runtime, message.recipients[0])


def of(message: AcceptedMessage, event: dict[str, Any]) -> dict[str, Any]:
    """The event, about the message."""
    return {
        **event,
        "ID": int(new_id()) % 10**12,
        "MessageID": message.message_id,
        "Metadata": message.metadata,
        "MessageStream": message.stream,
        "Recipient": message.recipients[0],
        "Email": message.recipients[0],
    }


async def test_a_hard_bounce_concerns_all_organizations_with_the_address(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """The other organization gets the bounce, but no data of the message."""
    actor, message, other_owner, contact_id = await same_address(runtime, provider, sender)
    event = of(message, bounce("HardBounce", 1, inactive=True, Details="550 SECRET details"))
    await deliver_events(runtime, event, event)
    assert (await row_of(runtime, other_owner, contact_id)).status == ContactStatus.BOUNCED
    [line] = await history(runtime, other_owner, contact_id)
    assert (line.kind, line.campaign_id) == ("bounced", None)
    rows = await runtime.reads(other_owner.tenant).rows(select(WebhookInbox.payload))
    for secret in ("SECRET", message.message_id, "sender@example.com", message.metadata["campaign"], "Hello"):
        assert secret not in str([line, *rows])
    [own] = await runtime.reads(actor.tenant).rows(select(ContactEvent.kind, ContactEvent.data))
    assert (own.kind, own.data["Details"]) == ("bounced", "550 SECRET details")


@pytest.mark.parametrize(
    "event",
    [
        change(suppress=True, reason="ManualSuppression", origin="Recipient"),
        change(suppress=True, reason="SpamComplaint", origin="Recipient"),
        bounce("Unsubscribe", 16),
        complaint(),
        bounce("SoftBounce", 4096),
        bounce("HardBounce", 1, inactive=False),
    ],
    ids=str,
)
async def test_a_person_s_decision_concerns_one_organization(
    runtime: Runtime, provider: Provider, sender: CampaignSender, event: dict[str, Any]
) -> None:
    """Unsubscribing from one sender, or complaining about it, does not affect the other's contact."""
    _, message, other_owner, contact_id = await same_address(runtime, provider, sender)
    await deliver_events(runtime, of(message, event))
    assert (await row_of(runtime, other_owner, contact_id)).status == ContactStatus.SUBSCRIBED
    assert await history(runtime, other_owner, contact_id) == []
    assert await active(runtime, other_owner) == {}


async def test_unsubscribing_without_a_message(runtime: Runtime) -> None:
    """With one organization it unsubscribes there; with several, it is the provider's suppression for all."""
    alone, email = address(), address()
    only, one = await with_contact(runtime, alone)
    (first, two), (second, three) = await with_contact(runtime, email), await with_contact(runtime, email)
    await deliver_events(
        runtime, *(manual_suppression(each, LONG_AGO, origin="Recipient") for each in (alone, email))
    )
    left = await row_of(runtime, only, one)
    assert (left.status, left.unsubscribed_at) == (ContactStatus.UNSUBSCRIBED, LONG_AGO.replace(microsecond=123_456))
    for actor, contact_id in ((first, two), (second, three)):
        assert (await row_of(runtime, actor, contact_id)).status == ContactStatus.BOUNCED
        assert [line.kind for line in await history(runtime, actor, contact_id)] == ["suppressed"]


async def test_a_reactivation_lifts_the_provider_s_suppressions(runtime: Runtime) -> None:
    """The contact gets its former status; each step is in its history."""
    email = address()
    mine, one = await with_contact(runtime, email)
    other, two = await with_contact(runtime, email, subscribed=False)

    await deliver_events(runtime, manual_suppression(email, LONG_AGO), reactivation(email, LONG_AGO + HOUR))
    for actor, contact_id, status in ((mine, one, SUBSCRIBED), (other, two, ContactStatus.PENDING)):
        assert (await row_of(runtime, actor, contact_id)).status == status
        assert [line.kind for line in await history(runtime, actor, contact_id)] == ["reactivated", "suppressed"]
        assert await active(runtime, actor) == {}
    await deliver_events(runtime, manual_suppression(email, LONG_AGO + 2 * HOUR))
    assert (await row_of(runtime, mine, one)).status == ContactStatus.BOUNCED


ORDERS = ["suppressed first", "lifted first", "together"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("hours", "status"), [(1, SUBSCRIBED), (0, BOUNCED), (-1, BOUNCED)])
async def test_the_latest_event_decides(runtime: Runtime, order: str, hours: int, status: ContactStatus) -> None:
    """In any order of arrival; at the same time, the address stays suppressed."""
    email = address()
    actor, contact_id = await with_contact(runtime, email)
    events = [manual_suppression(email, LONG_AGO), reactivation(email, LONG_AGO + hours * HOUR)]
    if order == "lifted first":
        events.reverse()
    for group in [events] if order == "together" else [[one] for one in events]:
        await deliver_events(runtime, *group)
    assert (await row_of(runtime, actor, contact_id)).status == status
    assert sorted(line.kind for line in await history(runtime, actor, contact_id)) == [
        "reactivated",
        "suppressed",
    ]


@pytest.mark.parametrize("origin", ["Customer", "Admin", "Recipient"])
async def test_unsubscribing_by_our_link_is_never_lifted(
    runtime: Runtime, provider: Provider, sender: CampaignSender, origin: str
) -> None:
    """Even if the address has bounced before, and is reactivated now."""
    actor, campaign_id, [message] = await send_campaign(runtime, provider, sender)
    delivery_id = UUID(message.metadata["delivery"])
    [contact] = await runtime.reads(actor.tenant).rows(select(Contact.id))
    await deliver_events(runtime, of(message, bounce("HardBounce", 1, inactive=True)))
    assert await unsubscribe(
        runtime.work, UnsubscribeLink(actor.organization_id, campaign_id, delivery_id, contact.id)
    )
    before = await row_of(runtime, actor, contact.id)
    now = datetime.now(UTC) + timedelta(minutes=1)
    await deliver_events(runtime, reactivation(message.recipients[0], now, origin))
    assert (await row_of(runtime, actor, contact.id)) == before
    assert before.status == ContactStatus.UNSUBSCRIBED
    assert await active(runtime, actor) == {"unsubscribed": "own"}
    kinds = [line.kind for line in await history(runtime, actor, contact.id)]
    assert sorted(kinds) == ["bounced", "reactivated", "unsubscribed"]


@pytest.mark.parametrize(
    ("origin", "status"), [("Recipient", ContactStatus.SUBSCRIBED), ("Customer", ContactStatus.UNSUBSCRIBED)]
)
async def test_the_recipient_can_lift_unsubscribing_at_the_provider(
    runtime: Runtime, provider: Provider, sender: CampaignSender, origin: str, status: ContactStatus
) -> None:
    """Only the recipient, and only at the provider."""
    actor, _, [message] = await send_campaign(runtime, provider, sender)
    email = message.recipients[0]
    [contact] = await runtime.reads(actor.tenant).rows(select(Contact.id))
    left = change(suppress=True, reason="ManualSuppression", origin="Recipient", ChangedAt=at(LONG_AGO))
    await deliver_events(runtime, of(message, left), reactivation(email, LONG_AGO + HOUR, origin))
    row = await row_of(runtime, actor, contact.id)
    assert row.status == status
    back = status is ContactStatus.SUBSCRIBED
    assert (row.unsubscribed_at is None) is back
    if back:
        assert row.subscribed_at is not None
        assert row.subscribed_at.replace(microsecond=0) == LONG_AGO + HOUR


async def test_with_several_organizations_unsubscribing_is_not_lifted(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """The event does not show whose mail the recipient wants again."""
    actor, message, _, _ = await same_address(runtime, provider, sender)
    [contact] = await runtime.reads(actor.tenant).rows(select(Contact.id))
    left = change(suppress=True, reason="ManualSuppression", origin="Recipient", ChangedAt=at(LONG_AGO))
    await deliver_events(
        runtime, of(message, left), reactivation(message.recipients[0], LONG_AGO + HOUR, "Recipient")
    )
    assert (await row_of(runtime, actor, contact.id)).status == ContactStatus.UNSUBSCRIBED
    assert await active(runtime, actor) == {"unsubscribed": "provider"}


async def test_a_complaint_is_never_lifted(runtime: Runtime, provider: Provider, sender: CampaignSender) -> None:
    """Neither by the provider at any request, nor after the lifting of a bounce of the same address."""
    actor, _, [message] = await send_campaign(runtime, provider, sender)
    [contact] = await runtime.reads(actor.tenant).rows(select(Contact.id))
    await deliver_events(runtime, of(message, complaint()), of(message, bounce("HardBounce", 1, inactive=True)))
    for origin in ("Customer", "Admin", "Recipient"):
        await deliver_events(runtime, reactivation(message.recipients[0], datetime.now(UTC), origin))
    assert (await row_of(runtime, actor, contact.id)).status == ContactStatus.COMPLAINED
    assert await active(runtime, actor) == {"complaint": "own"}


async def test_an_inactive_recipient_is_suppressed_at_once(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """406 for one message: the contact is suppressed with the provider's text; the webhook adds nothing."""
    actor, ids, campaign_id = await sending(runtime, 3)
    email = (await row_of(runtime, actor, ids[1])).email_norm
    await provider.client.call("POST", "/sandbox/suppressions", {"email": email})
    now = await finish(runtime, sender, actor, campaign_id)
    assert (now.counts.rejected, now.counts.accepted) == (1, 2)
    assert [(await row_of(runtime, actor, one)).status for one in ids] == ["subscribed", "bounced", "subscribed"]
    assert await active(runtime, actor) == {"provider": "provider"}
    [line] = await history(runtime, actor, ids[1])
    assert (line.kind, line.campaign_id, line.data["code"]) == ("rejected", campaign_id, 406)
    assert email in line.data["message"]
    await deliver_events(runtime, manual_suppression(email, datetime.now(UTC)))
    assert (await row_of(runtime, actor, ids[1])).status == ContactStatus.BOUNCED
    async with runtime.work.begin(actor) as uow:
        again = await changing.create(uow, {"email": f"x{email}"})
        await changing.remove(uow, ids[1])
        recreated = await changing.create(uow, {"email": email})
    assert (again.status, recreated.status) == ("subscribed", "bounced")


async def test_other_refusals_are_in_the_history_only(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """A message refused for another reason is in the contact's history; the contact stays subscribed."""
    actor, ids, campaign_id = await sending(runtime, 2)
    email = (await row_of(runtime, actor, ids[0])).email_norm
    fault = {"pattern": email, "error_code": 300, "message": "Invalid\u202e 'To'\x07 address." + "!" * 600}
    await provider.fail(item_error=fault)
    await finish(runtime, sender, actor, campaign_id)
    assert (await statuses(runtime, actor, campaign_id))[ids[0]] is DeliveryStatus.REJECTED
    row = await row_of(runtime, actor, ids[0])
    assert row.status == ContactStatus.SUBSCRIBED
    [line] = await history(runtime, actor, ids[0])
    assert (line.kind, line.data["code"]) == ("rejected", 300)
    assert line.data["message"].startswith("Invalid 'To' address.")
    assert len(line.data["message"]) == 500


async def test_a_bounce_and_the_change_of_the_list_are_one_line(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """Postmark reports both: the history has the bounce, in either order."""
    for order in (("bounce", "change"), ("change", "bounce")):
        actor, campaign_id, [message] = await send_campaign(runtime, provider, sender)
        [contact] = await runtime.reads(actor.tenant).rows(select(Contact.id))
        events = {
            "bounce": of(message, bounce("HardBounce", 1, inactive=True)),
            "change": of(message, change(suppress=True, reason="HardBounce", origin="Recipient")),
        }
        for name in order:
            await deliver_events(runtime, events[name])
            assert await only_status(runtime, actor, campaign_id) is DeliveryStatus.BOUNCED
        [line] = await history(runtime, actor, contact.id)
        assert line.data["Type"] == "HardBounce"
        await progress(runtime, actor, campaign_id)
