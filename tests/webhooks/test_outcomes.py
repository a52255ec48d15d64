"""Every record type and bounce type, as documented and as observed, compared with its expected outcome."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import insert, select

from core.access.actor import Actor
from core.ids import new_id
from models.contact_events import ContactEvent
from models.contacts import Contact
from models.deliveries import EmailDelivery
from models.suppressions import Suppression
from runtime import Runtime
from sandbox.ledger import AcceptedMessage
from services.campaigns.progress import read_stats
from tests import factories
from tests.deliveries.conftest import Provider, sender_for
from tests.deliveries.worker import progress
from tests.inbox import apply_inbox, deliver
from tests.properties import is_long
from tests.webhooks.outcomes import AT, CASES, ODD_FIELDS, Case, Json, Outcome, with_changes
from tests.webhooks.test_events import send_campaign

EVENT_TIME = datetime(2022, 6, 5, 17, 17, 32, 123_456, UTC)


@dataclass(frozen=True, kw_only=True)
class Results:
    """The outcome of each case, and the campaign's counters before and after all of them."""

    outcomes: dict[str, Outcome]
    times: dict[str, list[datetime]]
    expected: Counter[str]
    figures: dict[str, int]
    others: dict[str, tuple[str, frozenset[str]]]
    """The contact's status and the reasons on the list of another organization that has the addresses."""


def about(message: AcceptedMessage, number: int, changes: Json) -> Json:
    """The ids that refer to a message: both of ours and the provider's, unless the case removes them."""
    return with_changes(
        {
            "ID": 900_000_000_000 + number,
            "MessageID": message.message_id,
            "ServerID": 23,
            "MessageStream": message.stream,
            "Recipient": message.recipients[0],
            "Email": message.recipients[0],
            "Tag": message.tag,
            "Metadata": message.metadata,
        },
        changes,
    )


async def apply_all(runtime: Runtime, provider: Provider, cases: dict[str, Case], start: int) -> Results:
    """Apply the events of all cases to a campaign with a message for each, and read the results."""
    sender = sender_for(runtime, provider)
    actor, campaign_id, messages = await send_campaign(runtime, provider, sender, len(cases))
    by_case = dict(zip(cases, messages, strict=True))
    other = await organization_with_contacts(runtime, [message.recipients[0] for message in messages])
    for number, (name, case) in enumerate(cases.items(), start):
        await deliver(runtime, {**about(by_case[name], number, case.about), **with_changes(case.event, case.about)})
    await apply_inbox(runtime)
    await progress(runtime, actor, campaign_id)
    stats = await read_stats(runtime.reads(actor.tenant), campaign_id)
    assert stats is not None
    deliveries = await read_deliveries(runtime, actor, campaign_id)
    others = await read_contacts(runtime, other)
    ids = {name: UUID(message.metadata["delivery"]) for name, message in by_case.items()}
    expected = Counter(case.outcome.delivery for case in cases.values())
    expected["unsubscribed"] = sum(case.outcome.unsubscribed for case in cases.values())
    counts = stats.counts
    return Results(
        outcomes={name: deliveries[ids[name]][0] for name in cases},
        times={name: deliveries[ids[name]][1] for name in cases},
        expected=expected,
        figures={
            "accepted": counts.accepted,
            "delivered": counts.delivered,
            "bounced": counts.bounced,
            "complained": counts.complained,
            "unsubscribed": stats.unsubscribed,
        },
        others={name: others[message.recipients[0]] for name, message in by_case.items()},
    )


async def organization_with_contacts(runtime: Runtime, emails: list[str]) -> Actor:
    """Another organization, with a contact at each of the addresses."""
    actor = await factories.organization(runtime)
    columns = {"organization_id": actor.organization_id}
    async with runtime.work.begin(actor) as uow:
        await uow.execute(
            insert(Contact), [{**columns, "id": new_id(), "email": email, "email_norm": email} for email in emails]
        )
    return actor


async def read_contacts(runtime: Runtime, actor: Actor) -> dict[str, tuple[str, frozenset[str]]]:
    """The status of every contact and the active reasons of its address, by address."""
    reads = runtime.reads(actor.tenant)
    reasons = await reads.rows(select(Suppression.email_norm, Suppression.reason).where(Suppression.is_active))
    return {
        row.email_norm: (row.status, frozenset(reason for norm, reason in reasons if norm == row.email_norm))
        for row in await reads.rows(select(Contact.email_norm, Contact.status))
    }


async def read_deliveries(
    runtime: Runtime, actor: Actor, campaign_id: UUID
) -> dict[UUID, tuple[Outcome, list[datetime]]]:
    """The outcome of every delivery, and the times in its contact's history and row."""
    reads = runtime.reads(actor.tenant)
    deliveries = await reads.rows(
        select(EmailDelivery.id, EmailDelivery.contact_id, EmailDelivery.email_norm, EmailDelivery.status).where(
            EmailDelivery.campaign_id == campaign_id
        )
    )
    contacts = {row.id: row for row in await reads.rows(select(Contact.id, Contact.status, Contact.unsubscribed_at))}
    marks = await reads.rows(select(EmailDelivery.id, EmailDelivery.unsubscribed_at))
    unsubscribed = {row.id: row.unsubscribed_at for row in marks}
    reasons = await reads.rows(select(Suppression.email_norm, Suppression.reason).where(Suppression.is_active))
    events = await reads.rows(
        select(ContactEvent.contact_id, ContactEvent.kind, ContactEvent.occurred_at).order_by(ContactEvent.kind)
    )
    outcomes_by_id = {}
    for row in deliveries:
        lines = [line for line in events if line.contact_id == row.contact_id]
        left_at = contacts[row.contact_id].unsubscribed_at
        outcome = Outcome(
            delivery=row.status,
            contact=contacts[row.contact_id].status,
            suppressed=frozenset(reason for norm, reason in reasons if norm == row.email_norm),
            history=tuple(line.kind for line in lines),
            unsubscribed=unsubscribed[row.id] is not None,
        )
        times = [line.occurred_at for line in lines]
        outcomes_by_id[row.id] = (outcome, [*times, *([left_at] if left_at else [])])
    return outcomes_by_id


@pytest.fixture(scope="module")
async def results(runtime: Runtime, shared_provider: Provider) -> Results:
    return await apply_all(runtime, shared_provider, CASES, 0)


@pytest.mark.parametrize("name", CASES)
async def test_every_kind_of_event_has_the_expected_outcome(results: Results, name: str) -> None:
    """Delivery, contact, suppressions, history and the time of unsubscribing are as in the table."""
    assert results.outcomes[name] == CASES[name].outcome


async def test_the_campaign_s_counters_are_as_expected(results: Results) -> None:
    """Bounced, complained, delivered and unsubscribed are the numbers of the table, each recipient once."""
    assert results.figures == {name: results.expected[name] for name in results.figures}


OF_ADDRESS = frozenset({"hard_bounce", "provider"})


@pytest.mark.parametrize("name", CASES)
async def test_other_organizations_get_the_facts_about_the_address(results: Results, name: str) -> None:
    """A hard bounce and an entry of the provider's list; not a recipient's decisions, nor soft bounces."""
    case = CASES[name]
    reasons = case.outcome.suppressed & OF_ADDRESS if case.event.get("Inactive") is not False else frozenset()
    assert results.others[name] == ("bounced" if reasons else "subscribed", reasons)


TIMED = [name for name, case in CASES.items() if AT in case.event.values()]


@pytest.mark.parametrize("name", TIMED)
async def test_times_are_those_of_the_event(results: Results, name: str) -> None:
    """The history and the contact's time of unsubscribing have the provider's time, with seven digits."""
    assert set(results.times[name]) <= {EVENT_TIME}
    assert len(results.times[name]) >= len(CASES[name].outcome.history)


SHARE = 7
"""Of the odd fields every so many are tried in a quick run: no divisor of how many oddities there are."""


@pytest.mark.differential
async def test_odd_values_in_other_fields_change_no_outcome(runtime: Runtime, shared_provider: Provider) -> None:
    """Any other field missing, null, of another type, huge, long, or with characters that PostgreSQL cannot store."""
    cases = ODD_FIELDS if is_long() else dict(list(ODD_FIELDS.items())[::SHARE])
    odd = await apply_all(runtime, shared_provider, cases, len(CASES))
    wrong = {name: outcome for name, outcome in odd.outcomes.items() if outcome != cases[name].outcome}
    assert wrong == {}
    assert odd.figures == {name: odd.expected[name] for name in odd.figures}
