"""Facts about addresses may come late, twice and in any order: docs/consent.md has the rules."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any, Final
from uuid import UUID

import pytest
from sqlalchemy import Row, select

from core.access.actor import Actor
from core.ids import new_id
from models.contact_events import ContactEvent, ContactEventKind
from models.contacts import Contact, ContactStatus
from models.deliveries import EmailDelivery
from models.suppressions import Suppression, SuppressionReason, SuppressionSource
from runtime import Runtime
from services.campaigns.progress import read_stats
from services.campaigns.recipients import count_mailable, has_mailable
from services.contact_events import NewContactEvent, remove_repeats, write_contact_events
from services.contacts import changing, upserting
from services.deliveries.sending import CampaignSender
from services.suppressions.facts import HistoryEntry, Reactivation, SuppressionFact
from services.suppressions.lifting import lift
from services.suppressions.suppressing import suppress
from services.suppressions.unsubscribing import UnsubscribeLink, unsubscribe
from tests import factories
from tests.deliveries.conftest import Provider
from tests.deliveries.worker import drain, recipients, sending, start
from tests.suppressions.test_addresses import address, row_of, with_contact

COMPLAINT, UNSUBSCRIBED = SuppressionReason.COMPLAINT, SuppressionReason.UNSUBSCRIBED
HARD_BOUNCE, PROVIDER = SuppressionReason.HARD_BOUNCE, SuppressionReason.PROVIDER
OWN, BY_PROVIDER = SuppressionSource.OWN, SuppressionSource.PROVIDER
FIRST: Final = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
# The table of docs/consent.md, a reason and the status that it gives, the main_reason first.
STATUSES: Final = {
    COMPLAINT: ContactStatus.COMPLAINED,
    UNSUBSCRIBED: ContactStatus.UNSUBSCRIBED,
    HARD_BOUNCE: ContactStatus.BOUNCED,
    PROVIDER: ContactStatus.BOUNCED,
}
KINDS: Final = {
    COMPLAINT: ContactEventKind.COMPLAINED,
    UNSUBSCRIBED: ContactEventKind.UNSUBSCRIBED,
    HARD_BOUNCE: ContactEventKind.BOUNCED,
    PROVIDER: ContactEventKind.SUPPRESSED,
}


def fact(
    email: str,
    reason: SuppressionReason,
    at: datetime = FIRST,
    *,
    source: SuppressionSource = BY_PROVIDER,
    only_if_new: bool = False,
    **about: UUID,
) -> SuppressionFact:
    """A fact about an address, with its own key."""
    entry = HistoryEntry(kind=KINDS[reason], dedupe_key=f"fact:{new_id()}", only_if_new=only_if_new)
    return SuppressionFact(email_norm=email, reason=reason, source=source, at=at, entry=entry, **about)


def reactivation(email: str, at: datetime, *, by_recipient: bool = False) -> Reactivation:
    """The provider reactivates the address."""
    entry = HistoryEntry(kind=ContactEventKind.REACTIVATED, dedupe_key=f"fact:{new_id()}")
    return Reactivation(email_norm=email, at=at, entry=entry, by_recipient=by_recipient)


async def apply_facts(
    runtime: Runtime, actor: Actor, facts: Sequence[SuppressionFact | Reactivation], *, together: bool
) -> None:
    """Apply facts in one transaction, or each in its own."""
    for part in [facts] if together else [[one] for one in facts]:
        async with runtime.work.begin(actor) as uow:
            await suppress(uow, [one for one in part if isinstance(one, SuppressionFact)])
            await lift(uow, [one for one in part if isinstance(one, Reactivation)])


async def rows_of(runtime: Runtime, actor: Actor) -> dict[str, Row[str, str, datetime | None, datetime | None]]:
    """The organization's suppressions by reason."""
    rows = await runtime.reads(actor.tenant).rows(
        select(Suppression.reason, Suppression.source, Suppression.occurred_at, Suppression.lifted_at)
    )
    return {row.reason: row for row in rows}


async def contacts_of(runtime: Runtime, actor: Actor) -> dict[UUID, Row[Any]]:
    """The organization's contacts by id."""
    rows = await runtime.reads(actor.tenant).rows(select(*Contact.__table__.c))
    return {row.id: row for row in rows}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_the_latest_time_and_source_own_stay(
    runtime: Runtime, order: tuple[int, ...], *, together: bool
) -> None:
    """Reported to us at some time, and by the provider before and after: the provider does not lift it any more."""
    email = address()
    actor, contact_id = await with_contact(runtime, email)
    facts = [
        fact(email, UNSUBSCRIBED, FIRST),
        fact(email, UNSUBSCRIBED, FIRST + HOUR, source=OWN),
        fact(email, UNSUBSCRIBED, FIRST + 2 * HOUR),
    ]
    await apply_facts(runtime, actor, [facts[place] for place in order], together=together)
    row = (await rows_of(runtime, actor))[UNSUBSCRIBED]
    assert (row.source, row.occurred_at) == (OWN, FIRST + 2 * HOUR)
    contact = await row_of(runtime, actor, contact_id)
    assert (contact.status, contact.unsubscribed_at) == (ContactStatus.UNSUBSCRIBED, FIRST)
    await apply_facts(runtime, actor, [reactivation(email, FIRST + 3 * HOUR, by_recipient=True)], together=together)
    assert (await row_of(runtime, actor, contact_id)).status == ContactStatus.UNSUBSCRIBED


@pytest.mark.parametrize("together", [True, False])
async def test_a_contact_has_the_status_of_its_main_reason(runtime: Runtime, *, together: bool) -> None:
    """In any order of the facts; other contacts of the organization are not changed."""
    weight = list(STATUSES)
    for pair in permutations(STATUSES, 2):
        email = address()
        actor, contact_id = await with_contact(runtime, email)
        await factories.contacts(runtime, actor, 2)
        before = await contacts_of(runtime, actor)
        await apply_facts(runtime, actor, [fact(email, reason) for reason in pair], together=together)
        after = await contacts_of(runtime, actor)
        mine = after.pop(contact_id)
        assert mine.status == STATUSES[min(pair, key=weight.index)]
        assert mine.updated_at > before.pop(contact_id).updated_at
        assert after == before


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_the_latest_reactivation_decides(runtime: Runtime, order: tuple[int, ...], *, together: bool) -> None:
    """Earlier facts have no effect if they are reported late; those of the same time or later have."""
    email = address()
    actor, contact_id = await with_contact(runtime, email)
    facts: list[SuppressionFact | Reactivation] = [
        reactivation(email, FIRST + 2 * HOUR),
        reactivation(email, FIRST),
        fact(email, HARD_BOUNCE, FIRST + HOUR),
    ]
    await apply_facts(runtime, actor, [facts[place] for place in order], together=together)
    row = (await rows_of(runtime, actor))[HARD_BOUNCE]
    assert (row.occurred_at, row.lifted_at) == (FIRST + HOUR, FIRST + 2 * HOUR)
    assert (await row_of(runtime, actor, contact_id)).status == ContactStatus.SUBSCRIBED
    await apply_facts(runtime, actor, [fact(email, HARD_BOUNCE, FIRST + 2 * HOUR)], together=together)
    assert (await row_of(runtime, actor, contact_id)).status == ContactStatus.BOUNCED


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_a_message_keeps_the_earliest_time_of_unsubscribing(
    runtime: Runtime, order: tuple[int, ...], *, together: bool
) -> None:
    """It counts once; other recipients' messages stay as they were."""
    actor, _, campaign_id = await sending(runtime, 2)
    columns = EmailDelivery.__table__.c
    query = select(*columns).where(columns.campaign_id == campaign_id).order_by(columns.id)
    mine, other = await runtime.reads(actor.tenant).rows(query)
    about = {"contact_id": mine.contact_id, "campaign_id": campaign_id, "delivery_id": mine.id}
    facts = [fact(mine.email_norm, UNSUBSCRIBED, FIRST + number * HOUR, **about) for number in range(2)]
    await apply_facts(runtime, actor, [facts[place] for place in order], together=together)
    after = await runtime.reads(actor.tenant).rows(query)
    assert (after[0].unsubscribed_at, after[1]) == (FIRST, other)
    stats = await read_stats(runtime.reads(actor.tenant), campaign_id)
    assert stats is not None
    assert stats.unsubscribed == 1
    contact = await row_of(runtime, actor, mine.contact_id)
    assert contact.unsubscribed_at == FIRST


async def test_each_message_counts_once_as_unsubscribed(runtime: Runtime) -> None:
    """The links of two campaigns, each followed twice: one event and one count for each campaign."""
    actor, [contact_id], first = await sending(runtime, 1)
    second = await factories.campaign(runtime, actor)
    await start(runtime, actor, second)
    reads = runtime.reads(actor.tenant)
    rows = await reads.rows(select(EmailDelivery.campaign_id, EmailDelivery.id).order_by(EmailDelivery.campaign_id))
    for row in (*rows, *rows):
        assert await unsubscribe(
            runtime.work, UnsubscribeLink(actor.organization_id, row.campaign_id, row.id, contact_id)
        )
    events = await reads.rows(select(ContactEvent.campaign_id).where(ContactEvent.kind == "unsubscribed"))
    assert sorted(event.campaign_id for event in events) == sorted([first, second])
    for campaign_id in (first, second):
        stats = await read_stats(reads, campaign_id)
        assert stats is not None
        assert stats.unsubscribed == 1


async def test_of_repeats_in_one_transaction_the_first_is_recorded(runtime: Runtime) -> None:
    """One event in the history, of the first of them."""
    email = address()
    actor, contact_id = await with_contact(runtime, email)
    facts = [fact(email, UNSUBSCRIBED, FIRST + number * HOUR, only_if_new=True) for number in range(3)]
    await apply_facts(runtime, actor, facts, together=True)
    events = await runtime.reads(actor.tenant).rows(
        select(ContactEvent.contact_id, ContactEvent.occurred_at).where(ContactEvent.kind == "unsubscribed")
    )
    assert [tuple(event) for event in events] == [(contact_id, FIRST)]


async def test_a_new_contact_has_the_status_of_its_main_reason(runtime: Runtime) -> None:
    """Of two active reasons, in either order; a lifted one does not count."""
    weight = list(STATUSES)
    actor = await factories.organization(runtime)
    for pair in permutations(STATUSES, 2):
        email = address()
        await apply_facts(runtime, actor, [fact(email, reason) for reason in pair], together=False)
        async with runtime.work.begin(actor) as uow:
            contact = await changing.create(uow, {"email": email})
        assert contact.status == STATUSES[min(pair, key=weight.index)]
        assert contact.unsubscribed_at == (FIRST if contact.status == ContactStatus.UNSUBSCRIBED else None)
    lifted = [fact(address(), HARD_BOUNCE) for _ in range(2)]
    await apply_facts(runtime, actor, lifted, together=True)
    await apply_facts(runtime, actor, [reactivation(one.email_norm, FIRST + HOUR) for one in lifted], together=True)
    async with runtime.work.begin(actor) as uow:
        contact = await changing.create(uow, {"email": lifted[0].email_norm})
        (upserted,) = await upserting.upsert(uow, [{"email": lifted[1].email_norm}])
    assert upserted.contact is not None
    assert contact.status == upserted.contact.status == ContactStatus.SUBSCRIBED


async def test_an_address_whose_suppression_was_lifted_is_mailed_again(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """It counts as mailable, is pending in a new campaign, and can be submitted."""
    email = address()
    actor, _ = await with_contact(runtime, email)
    await apply_facts(runtime, actor, [fact(email, HARD_BOUNCE), reactivation(email, FIRST + HOUR)], together=False)
    campaign_id = await factories.campaign(runtime, actor)
    assert await count_mailable(runtime.reads(actor.tenant), campaign_id) == 1
    assert await has_mailable(runtime.reads(actor.tenant), campaign_id)
    await start(runtime, actor, campaign_id)
    await drain(sender, actor, campaign_id)
    assert recipients(await provider.messages(campaign_id)) == [email]


async def test_each_reactivation_is_in_the_history_of_its_address(runtime: Runtime) -> None:
    """For two addresses in one call; a repeat is recorded only if it had an effect."""
    emails = [address() for _ in range(3)]
    actor = await factories.organization(runtime)
    async with runtime.work.begin(actor) as uow:
        contact_ids = [(await changing.create(uow, {"email": email})).id for email in emails]
    await apply_facts(runtime, actor, [fact(email, HARD_BOUNCE) for email in emails[:2]], together=True)
    lifts = [reactivation(email, FIRST + HOUR) for email in emails]
    repeated = [replace(one, entry=replace(one.entry, only_if_new=True)) for one in (lifts[1], lifts[2])]
    await apply_facts(runtime, actor, [lifts[0], *repeated], together=True)
    events = await runtime.reads(actor.tenant).rows(
        select(ContactEvent.contact_id).where(ContactEvent.kind == "reactivated")
    )
    assert sorted(event.contact_id for event in events) == sorted(contact_ids[:2])


async def test_a_bounce_is_in_the_history_of_every_contact_concerned(runtime: Runtime) -> None:
    """Of the contact that got the message, which has another address now, and of the one that has the address."""
    email = address()
    actor, first = await with_contact(runtime, email)
    async with runtime.work.begin(actor) as uow:
        await changing.change(uow, first, {"email": address()})
        second = (await changing.create(uow, {"email": email})).id
    await apply_facts(runtime, actor, [fact(email, HARD_BOUNCE, contact_id=first)], together=True)
    events = await runtime.reads(actor.tenant).rows(
        select(ContactEvent.contact_id).where(ContactEvent.kind == "bounced")
    )
    assert sorted(event.contact_id for event in events) == sorted([first, second])
    assert (await row_of(runtime, actor, first)).status == ContactStatus.SUBSCRIBED
    assert (await row_of(runtime, actor, second)).status == ContactStatus.BOUNCED


async def test_a_link_unsubscribes_the_address_of_the_message(runtime: Runtime) -> None:
    """Also if the contact has another address now, which is not suppressed itself; the contact is unsubscribed."""
    actor, [contact_id], campaign_id = await sending(runtime, 1)
    (row,) = await runtime.reads(actor.tenant).rows(select(EmailDelivery.id, EmailDelivery.email_norm))
    async with runtime.work.begin(actor) as uow:
        await changing.change(uow, contact_id, {"email": address()})
    assert await unsubscribe(runtime.work, UnsubscribeLink(actor.organization_id, campaign_id, row.id, contact_id))
    suppressed = await runtime.reads(actor.tenant).rows(select(Suppression.email_norm, Suppression.reason))
    assert [tuple(each) for each in suppressed] == [(row.email_norm, UNSUBSCRIBED)]
    assert (await row_of(runtime, actor, contact_id)).status == ContactStatus.UNSUBSCRIBED


@pytest.mark.parametrize("of_test", [False, True])
async def test_each_recipient_has_a_separate_link(runtime: Runtime, *, of_test: bool) -> None:
    """Of a campaign to several contacts, and of a test message without a delivery: the link is for the contact."""
    actor, contacts, campaign_id = await sending(runtime, 3)
    rows = await runtime.reads(actor.tenant).rows(
        select(EmailDelivery.id, EmailDelivery.contact_id, EmailDelivery.email_norm)
    )
    recipient = max(rows, key=lambda row: row.id)
    link = UnsubscribeLink(
        actor.organization_id, campaign_id, new_id() if of_test else recipient.id, recipient.contact_id
    )
    assert await unsubscribe(runtime.work, link)
    suppressed = await runtime.reads(actor.tenant).rows(select(Suppression.email_norm))
    assert [row.email_norm for row in suppressed] == [recipient.email_norm]
    statuses = {one: (await row_of(runtime, actor, one)).status for one in contacts}
    assert statuses == dict.fromkeys(contacts, "subscribed") | {recipient.contact_id: "unsubscribed"}


async def test_only_repeats_are_removed_from_the_history(runtime: Runtime) -> None:
    """The repeat of the same message, contact and kind within a day; all other events stay."""
    actor = await factories.organization(runtime)
    contact, other, delivery, another = (new_id() for _ in range(4))
    bounced, complained = ContactEventKind.BOUNCED, ContactEventKind.COMPLAINED

    def event(
        kind: ContactEventKind = bounced,
        at: datetime = FIRST,
        *,
        contact_id: UUID = contact,
        delivery_id: UUID | None = delivery,
        is_repeat: bool = True,
    ) -> NewContactEvent:
        key = f"event:{new_id()}"
        return NewContactEvent(
            contact_id=contact_id, kind=kind, at=at, dedupe_key=key, delivery_id=delivery_id, is_repeat=is_repeat
        )

    repeats = [event(at=FIRST - 24 * HOUR), event(), event(at=FIRST + 24 * HOUR)]
    others = [
        event(is_repeat=False),
        event(complained),
        event(contact_id=other),
        event(delivery_id=another),
        event(delivery_id=None),
        event(at=FIRST - 25 * HOUR),
        event(at=FIRST + 25 * HOUR),
    ]
    keys = select(ContactEvent.dedupe_key)
    async with runtime.work.begin(actor) as uow:
        await write_contact_events(uow, [*repeats, *others])
        await remove_repeats(uow, [event(), event(is_repeat=False, delivery_id=None)])
        assert len(await uow.rows(keys)) == 10
        await remove_repeats(uow, [event(is_repeat=False)])
        left = {row.dedupe_key.removeprefix("repeat:") for row in await uow.rows(keys)}
    assert left == {each.dedupe_key for each in others}
