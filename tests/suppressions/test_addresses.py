"""What the provider tells of an address: whose contacts it concerns, what lifts it, and in which order."""

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
from sandbox.ledger import Message
from services.contacts import changing
from services.contacts.history import EVENTS, EventRow
from services.contacts.listing import CONTACTS, ContactRow
from services.deliveries.sending import Sender
from services.suppressions.unsubscribing import UnsubscribeLink, unsubscribe
from tests import factories
from tests.deliveries.conftest import Provider
from tests.deliveries.worker import finish, progress, sending, statuses
from tests.inbox import deliver
from tests.webhooks.outcomes import bounce, change, complaint
from tests.webhooks.test_events import accepted, only_status, tell

STREAM = "broadcast"
LONG_AGO = datetime(2022, 6, 5, 17, 17, 32, tzinfo=UTC)
BOUNCED, SUBSCRIBED = ContactStatus.BOUNCED, ContactStatus.SUBSCRIBED
HOUR = timedelta(hours=1)


async def with_contact(runtime: Runtime, email: str, *, subscribed: bool = True) -> tuple[Actor, UUID]:
    """A new organization with one contact of this address."""
    actor = await factories.organization(runtime)
    status = ContactStatus.SUBSCRIBED if subscribed else ContactStatus.PENDING
    async with runtime.work.begin(actor) as uow:
        made = await changing.create(uow, {"email": email}, status=status)
    return actor, made.id


def address() -> str:
    """An address that no other test has."""
    return f"someone-{new_id().hex}@example.com"


async def row_of(runtime: Runtime, actor: Actor, contact_id: UUID) -> ContactRow:
    """The contact."""
    found = await CONTACTS.get(runtime.reads(actor.tenant), contact_id)
    assert found is not None
    return found


async def history(runtime: Runtime, actor: Actor, contact_id: UUID) -> list[EventRow]:
    """The contact's history, newest first, less its subscribing."""
    reads = runtime.reads(actor.tenant)
    found = await EVENTS.pages_of(reads, [contact_id], page_request())
    return [row for row in found[contact_id].rows if row.kind != "subscribed"]


async def active(runtime: Runtime, actor: Actor) -> dict[str, str]:
    """The reasons that hold in an organization, and their sources."""
    rows = await runtime.reads(actor.tenant).rows(
        select(Suppression.reason, Suppression.source).where(Suppression.is_active)
    )
    return {row.reason: row.source for row in rows}


def at(moment: datetime) -> str:
    """A time as Postmark writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.1234567Z"


def listed(email: str, moment: datetime, **changes: object) -> dict[str, Any]:
    """Somebody at the customer puts an address on Postmark's list: no message, no metadata."""
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


def reactivated(email: str, moment: datetime, origin: str = "Customer", **changes: object) -> dict[str, Any]:
    """The address is taken off Postmark's list."""
    return listed(email, moment, suppress=False, reason=None, origin=origin, **changes)


@pytest.mark.parametrize("changes", [{}, {"origin": "Admin"}, {"MessageID": ""}, {"MessageStream": None}])
async def test_a_manual_suppression_is_found_by_the_address(runtime: Runtime, changes: dict[str, Any]) -> None:
    """Without a message the address tells whom it concerns, in every organization that has it, and nobody else."""
    email = address()
    (mine, one), (theirs, two) = await with_contact(runtime, email), await with_contact(runtime, email)
    other, three = await with_contact(runtime, address())
    await tell(runtime, listed(email.upper(), LONG_AGO, **changes))
    for actor, contact_id in ((mine, one), (theirs, two)):
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


async def test_another_streams_suppression_concerns_nobody(runtime: Runtime) -> None:
    """Postmark's lists are of a stream: an address that another stream does not mail is mailed by ours."""
    email = address()
    actor, contact_id = await with_contact(runtime, email)
    await deliver(runtime, listed(email, LONG_AGO, MessageStream="outbound"))
    await tell(runtime)
    assert (await row_of(runtime, actor, contact_id)).status == ContactStatus.SUBSCRIBED


@pytest.mark.parametrize(
    "event", [bounce("HardBounce", 1, inactive=True), bounce("HardBounce", 1, inactive=True, MessageID=None)]
)
async def test_the_test_button_tells_of_nobody(runtime: Runtime, event: dict[str, Any]) -> None:
    """Postmark's own test payload has an id of zeros, and the address of somebody who may be a contact."""
    email = address()
    actor, contact_id = await with_contact(runtime, email)
    zeros = "00000000-0000-0000-0000-000000000000"
    await tell(runtime, {**event, "ID": 42, "MessageID": zeros, "Email": email, "MessageStream": STREAM})
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
    """Zeros are no message, as a missing id or null: the change tells of its address."""
    email = address()
    actor, contact_id = await with_contact(runtime, email)
    zeros = "00000000-0000-0000-0000-000000000000"
    await tell(runtime, listed(email, LONG_AGO, Origin=origin, MessageID=zeros, Metadata={}))
    assert (await row_of(runtime, actor, contact_id)).status == status


async def same_address(runtime: Runtime, provider: Provider, sender: Sender) -> tuple[Actor, Message, Actor, UUID]:
    """A sender with an accepted message, and a stranger who has the recipient's address as well."""
    actor, _, [message] = await accepted(runtime, provider, sender)
    stranger, contact_id = await with_contact(runtime, message.recipients[0])
    return actor, message, stranger, contact_id


def of(message: Message, event: dict[str, Any]) -> dict[str, Any]:
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


async def test_a_dead_mailbox_is_dead_for_all_who_share_the_stream(
    runtime: Runtime, provider: Provider, sender: Sender
) -> None:
    """The other organization learns that the address bounces, and nothing of whose message it was or what it said."""
    actor, message, stranger, contact_id = await same_address(runtime, provider, sender)
    told = of(message, bounce("HardBounce", 1, inactive=True, Details="550 says MORE than others may know"))
    await tell(runtime, told, told)
    assert (await row_of(runtime, stranger, contact_id)).status == ContactStatus.BOUNCED
    [line] = await history(runtime, stranger, contact_id)
    assert (line.kind, line.campaign_id) == ("bounced", None)
    rows = await runtime.reads(stranger.tenant).rows(select(WebhookInbox.payload))
    for secret in ("MORE", message.message_id, "sender@example.com", message.metadata["campaign"], "Hello"):
        assert secret not in str([line, *rows])
    [own] = await runtime.reads(actor.tenant).rows(select(ContactEvent.kind, ContactEvent.data))
    assert (own.kind, own.data["Details"]) == ("bounced", "550 says MORE than others may know")


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
async def test_what_a_person_says_is_said_to_one_sender(
    runtime: Runtime, provider: Provider, sender: Sender, event: dict[str, Any]
) -> None:
    """Unsubscribing from one sender, and complaining of them, leaves the other's contact as it is."""
    _, message, stranger, contact_id = await same_address(runtime, provider, sender)
    await tell(runtime, of(message, event))
    assert (await row_of(runtime, stranger, contact_id)).status == ContactStatus.SUBSCRIBED
    assert await history(runtime, stranger, contact_id) == []
    assert await active(runtime, stranger) == {}


async def test_unsubscribing_without_a_message_is_the_only_senders_or_the_providers(runtime: Runtime) -> None:
    """Where one organization has the address it is meant; where several have it, the provider mails it for none."""
    alone, email = address(), address()
    only, one = await with_contact(runtime, alone)
    (first, two), (second, three) = await with_contact(runtime, email), await with_contact(runtime, email)
    await tell(runtime, listed(alone, LONG_AGO, origin="Recipient"), listed(email, LONG_AGO, origin="Recipient"))
    left = await row_of(runtime, only, one)
    assert (left.status, left.unsubscribed_at) == (ContactStatus.UNSUBSCRIBED, LONG_AGO.replace(microsecond=123_456))
    for actor, contact_id in ((first, two), (second, three)):
        assert (await row_of(runtime, actor, contact_id)).status == ContactStatus.BOUNCED
        assert [line.kind for line in await history(runtime, actor, contact_id)] == ["suppressed"]


async def test_a_reactivation_lifts_what_the_provider_had_set(runtime: Runtime) -> None:
    """The contact is mailed again, as what it was before; each step is in its history."""
    email = address()
    mine, one = await with_contact(runtime, email)
    theirs, two = await with_contact(runtime, email, subscribed=False)

    await tell(runtime, listed(email, LONG_AGO), reactivated(email, LONG_AGO + HOUR))
    for actor, contact_id, status in ((mine, one, SUBSCRIBED), (theirs, two, ContactStatus.PENDING)):
        assert (await row_of(runtime, actor, contact_id)).status == status
        assert [line.kind for line in await history(runtime, actor, contact_id)] == ["reactivated", "suppressed"]
        assert await active(runtime, actor) == {}
    await tell(runtime, listed(email, LONG_AGO + 2 * HOUR))
    assert (await row_of(runtime, mine, one)).status == ContactStatus.BOUNCED


ORDERS = ["suppressed first", "lifted first", "together"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("hours", "status"), [(1, SUBSCRIBED), (0, BOUNCED), (-1, BOUNCED)])
async def test_late_events_undo_nothing_newer(
    runtime: Runtime, order: str, hours: int, status: ContactStatus
) -> None:
    """What the provider said last counts, in whatever order it arrives; of the same moment, nobody is mailed."""
    email = address()
    actor, contact_id = await with_contact(runtime, email)
    events = [listed(email, LONG_AGO), reactivated(email, LONG_AGO + hours * HOUR)]
    if order == "lifted first":
        events.reverse()
    for told in [events] if order == "together" else [[one] for one in events]:
        await tell(runtime, *told)
    assert (await row_of(runtime, actor, contact_id)).status == status
    assert sorted(line.kind for line in await history(runtime, actor, contact_id)) == [
        "reactivated",
        "suppressed",
    ]


@pytest.mark.parametrize("origin", ["Customer", "Admin", "Recipient"])
async def test_our_own_unsubscribe_is_never_lifted(
    runtime: Runtime, provider: Provider, sender: Sender, origin: str
) -> None:
    """Who used our link stays unsubscribed, even when the address had bounced before and is mailed again now."""
    actor, campaign_id, [message] = await accepted(runtime, provider, sender)
    delivery_id = UUID(message.metadata["delivery"])
    [contact] = await runtime.reads(actor.tenant).rows(select(Contact.id))
    await tell(runtime, of(message, bounce("HardBounce", 1, inactive=True)))
    assert await unsubscribe(
        runtime.work, UnsubscribeLink(actor.organization_id, campaign_id, delivery_id, contact.id)
    )
    before = await row_of(runtime, actor, contact.id)
    now = datetime.now(UTC) + timedelta(minutes=1)
    await tell(runtime, reactivated(message.recipients[0], now, origin))
    assert (await row_of(runtime, actor, contact.id)) == before
    assert before.status == ContactStatus.UNSUBSCRIBED
    assert await active(runtime, actor) == {"unsubscribed": "own"}
    kinds = [line.kind for line in await history(runtime, actor, contact.id)]
    assert sorted(kinds) == ["bounced", "reactivated", "unsubscribed"]


@pytest.mark.parametrize(
    ("origin", "status"), [("Recipient", ContactStatus.SUBSCRIBED), ("Customer", ContactStatus.UNSUBSCRIBED)]
)
async def test_who_unsubscribed_with_the_provider_can_come_back_there(
    runtime: Runtime, provider: Provider, sender: Sender, origin: str, status: ContactStatus
) -> None:
    """Only the recipient takes back what the recipient has said, and where they have said it."""
    actor, _, [message] = await accepted(runtime, provider, sender)
    email = message.recipients[0]
    [contact] = await runtime.reads(actor.tenant).rows(select(Contact.id))
    left = change(suppress=True, reason="ManualSuppression", origin="Recipient", ChangedAt=at(LONG_AGO))
    await tell(runtime, of(message, left), reactivated(email, LONG_AGO + HOUR, origin))
    row = await row_of(runtime, actor, contact.id)
    assert row.status == status
    back = status is ContactStatus.SUBSCRIBED
    assert (row.unsubscribed_at is None) is back
    if back:
        assert row.subscribed_at is not None
        assert row.subscribed_at.replace(microsecond=0) == LONG_AGO + HOUR


async def test_where_several_have_the_address_nobody_comes_back(
    runtime: Runtime, provider: Provider, sender: Sender
) -> None:
    """Whose mail the recipient wants again is not told, so that what was said to one sender stands."""
    actor, message, _, _ = await same_address(runtime, provider, sender)
    [contact] = await runtime.reads(actor.tenant).rows(select(Contact.id))
    left = change(suppress=True, reason="ManualSuppression", origin="Recipient", ChangedAt=at(LONG_AGO))
    await tell(runtime, of(message, left), reactivated(message.recipients[0], LONG_AGO + HOUR, "Recipient"))
    assert (await row_of(runtime, actor, contact.id)).status == ContactStatus.UNSUBSCRIBED
    assert await active(runtime, actor) == {"unsubscribed": "provider"}


async def test_a_complaint_is_never_lifted(runtime: Runtime, provider: Provider, sender: Sender) -> None:
    """Not by the provider, whoever asked it to, and not after a bounce of the same address was."""
    actor, _, [message] = await accepted(runtime, provider, sender)
    [contact] = await runtime.reads(actor.tenant).rows(select(Contact.id))
    await tell(runtime, of(message, complaint()), of(message, bounce("HardBounce", 1, inactive=True)))
    for origin in ("Customer", "Admin", "Recipient"):
        await tell(runtime, reactivated(message.recipients[0], datetime.now(UTC), origin))
    assert (await row_of(runtime, actor, contact.id)).status == ContactStatus.COMPLAINED
    assert await active(runtime, actor) == {"complaint": "own"}


async def test_an_inactive_recipient_is_marked_as_the_webhook_would(
    runtime: Runtime, provider: Provider, sender: Sender
) -> None:
    """406 for one item: the contact may not be mailed, with the provider's words; the webhook adds nothing."""
    actor, ids, campaign_id = await sending(runtime, 3)
    rows = {one: await row_of(runtime, actor, one) for one in ids}
    email = rows[ids[1]].email_norm
    await provider.client.call("POST", "/sandbox/suppressions", {"email": email})
    now = await finish(runtime, sender, actor, campaign_id)
    assert (now.counts.rejected, now.counts.accepted) == (1, 2)
    assert [(await row_of(runtime, actor, one)).status for one in ids] == ["subscribed", "bounced", "subscribed"]
    assert await active(runtime, actor) == {"provider": "provider"}
    [line] = await history(runtime, actor, ids[1])
    assert (line.kind, line.campaign_id, line.data["code"]) == ("rejected", campaign_id, 406)
    assert email in line.data["message"]
    await tell(runtime, listed(email, datetime.now(UTC)))
    assert (await row_of(runtime, actor, ids[1])).status == ContactStatus.BOUNCED
    async with runtime.work.begin(actor) as uow:
        again = await changing.create(uow, {"email": f"x{email}"})
        await changing.remove(uow, ids[1])
        recreated = await changing.create(uow, {"email": email})
    assert (again.status, recreated.status) == ("subscribed", "bounced")


async def test_other_refusals_are_in_the_history_and_suppress_nobody(
    runtime: Runtime, provider: Provider, sender: Sender
) -> None:
    """An item refused for another reason tells it in the contact's history; the contact stays subscribed."""
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


async def test_the_list_after_the_bounce_is_told_once(runtime: Runtime, provider: Provider, sender: Sender) -> None:
    """Postmark tells a bounce and the change of its list: one line, the bounce's, whichever comes first."""
    for order in (("bounce", "change"), ("change", "bounce")):
        actor, campaign_id, [message] = await accepted(runtime, provider, sender)
        [contact] = await runtime.reads(actor.tenant).rows(select(Contact.id))
        events = {
            "bounce": of(message, bounce("HardBounce", 1, inactive=True)),
            "change": of(message, change(suppress=True, reason="HardBounce", origin="Recipient")),
        }
        for name in order:
            await tell(runtime, events[name])
            assert await only_status(runtime, actor, campaign_id) is DeliveryStatus.BOUNCED
        [line] = await history(runtime, actor, contact.id)
        assert line.data["Type"] == "HardBounce"
        await progress(runtime, actor, campaign_id)
