"""What is written down of a batch: in the rows that it is about, and in no others."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row, select, update

from core.access.actor import Actor
from core.pubsub import campaign_topic
from integrations.mail import AccountRefused, Answered, InDoubt, Message, NotSent, Outcome, Receipt, ReceiptStatus
from models.deliveries import DeliveryStatus, EmailDelivery
from runtime import Runtime
from services.deliveries.claiming import START, Claim, claim
from services.deliveries.composing import compose
from services.deliveries.reconciling import reconcile, record_lookup, reserve_due
from services.deliveries.recording import record
from services.deliveries.sending import Sender
from services.deliveries.submitting import submit
from services.deliveries.sweeping import advance_campaign
from services.mailing.handover import RequestOutcome
from tests.deliveries.model import ModelMailer
from tests.deliveries.worker import expire_leases, sending

PENDING, SUBMITTING, UNKNOWN = DeliveryStatus.PENDING, DeliveryStatus.SUBMITTING, DeliveryStatus.UNKNOWN
ACCEPTED, REJECTED = DeliveryStatus.ACCEPTED, DeliveryStatus.REJECTED
LONG = "x" * 600
SLOW_DOWN = Receipt(ReceiptStatus.RETRY_LATER, None, 429, "Slow down.")
REFUSED = Receipt(ReceiptStatus.REFUSED, None, 300, "No.")


class Batch:
    """Messages of a campaign, past the point of no return."""

    def __init__(self, claimed: Claim, messages: Sequence[Message]) -> None:
        self.claim = claimed
        self.messages = messages
        self.ids = [UUID(message.delivery_id) for message in messages]


async def submitted(runtime: Runtime, sender: Sender, actor: Actor, campaign_id: UUID, how_many: int) -> Batch:
    """A batch of so many messages, as a worker hands it over."""
    mail = await sender.mail_of(actor, campaign_id)
    assert mail is not None
    claimed = await sender.claim_batch(actor, mail, how_many)
    composed = await compose(claimed, mail, signer=sender.signer, public_url="https://x.example")
    async with runtime.work.begin(actor) as uow:
        batch = Batch(claimed, await submit(uow, claimed, composed, sender.times))
    assert len(batch.messages) == how_many
    return batch


async def in_doubt(runtime: Runtime, sender: Sender) -> tuple[Actor, UUID, Batch]:
    """A campaign whose one message was submitted under a lease that is over, and its batch."""
    actor, _, campaign_id = await sending(runtime, 1)
    batch = await submitted(runtime, sender, actor, campaign_id, 1)
    await expire_leases(runtime, actor, campaign_id)
    await advance_campaign(runtime.work, actor, campaign_id)
    return actor, campaign_id, batch


async def write_down(runtime: Runtime, actor: Actor, batch: Batch, outcome: Outcome) -> None:
    """Record one outcome of a whole batch; whoever watches the campaign is told."""
    async with runtime.work.begin(actor) as uow:
        await record(uow, batch.claim, [RequestOutcome(batch.messages, outcome)], request_seconds=0)
        assert list(uow.events) == [campaign_topic(actor.organization_id, batch.claim.campaign_id)]


async def ledger(runtime: Runtime, actor: Actor) -> dict[UUID, Row[Any]]:
    """The organization's deliveries by their ids."""
    columns = EmailDelivery.__table__.c
    rows = await runtime.reads(actor.tenant).rows(select(*columns).order_by(columns.id))
    return {row.id: row for row in rows}


async def test_each_message_of_a_batch_has_its_own_receipt(runtime: Runtime, scripted_sender: Sender) -> None:
    """Accepted, refused, not now: and the messages of another batch, or of none, stay as they were."""
    actor, _, campaign_id = await sending(runtime, 5)
    other = await submitted(runtime, scripted_sender, actor, campaign_id, 1)
    batch = await submitted(runtime, scripted_sender, actor, campaign_id, 3)
    before = await ledger(runtime, actor)
    receipts = [Receipt(ReceiptStatus.ACCEPTED, "m-1"), REFUSED, SLOW_DOWN]
    await write_down(runtime, actor, batch, Answered(receipts=receipts))
    after = await ledger(runtime, actor)
    mine = [after[one] for one in batch.ids]
    assert [(row.status, row.message_id, row.error_code, row.error_message) for row in mine] == [
        (ACCEPTED, "m-1", None, None),
        (REJECTED, None, 300, "No."),
        (PENDING, None, None, "Slow down."),
    ]
    assert [(row.batch_id, row.submitted_at is None) for row in mine] == [
        (batch.claim.batch_id, False),
        (batch.claim.batch_id, False),
        (None, True),
    ]
    assert {(row.lease_token, row.lease_until, row.next_lookup_at) for row in mine} == {(None, None, None)}
    others = after.keys() - set(batch.ids)
    assert len(others) == 2
    assert other.ids[0] in others
    assert {one: after[one] for one in others} == {one: before[one] for one in others}


@pytest.mark.parametrize("outcome", [NotSent(reason="429"), InDoubt(reason="500")])
async def test_an_outcome_is_that_of_its_batch(
    runtime: Runtime, scripted_sender: Sender, outcome: NotSent | InDoubt
) -> None:
    """Another batch that is under way, and what waits, stay as they were."""
    actor, _, campaign_id = await sending(runtime, 5)
    await submitted(runtime, scripted_sender, actor, campaign_id, 1)
    batch = await submitted(runtime, scripted_sender, actor, campaign_id, 3)
    before = await ledger(runtime, actor)
    await write_down(runtime, actor, batch, outcome)
    after = await ledger(runtime, actor)
    status, batch_id = (PENDING, None) if isinstance(outcome, NotSent) else (UNKNOWN, batch.claim.batch_id)
    mine = {(after[one].status, after[one].batch_id, after[one].error_message) for one in batch.ids}
    assert mine == {(status, batch_id, outcome.reason)}
    assert {(after[one].lease_token, after[one].lease_until) for one in batch.ids} == {(None, None)}
    others = after.keys() - set(batch.ids)
    assert {one: after[one] for one in others} == {one: before[one] for one in others}


@pytest.mark.parametrize(
    "outcome",
    [
        Answered(receipts=[Receipt(ReceiptStatus.RETRY_LATER, None, 429, LONG)]),
        NotSent(reason=LONG),
        AccountRefused(code=401, reason=LONG),
        InDoubt(reason=LONG),
    ],
)
async def test_500_characters_of_the_providers_words_are_stored(
    runtime: Runtime, scripted_sender: Sender, outcome: Outcome
) -> None:
    """Whatever they are about: no page of an error in HTML fills the ledger."""
    actor, _, campaign_id = await sending(runtime, 1)
    await write_down(runtime, actor, await submitted(runtime, scripted_sender, actor, campaign_id, 1), outcome)
    assert [row.error_message for row in (await ledger(runtime, actor)).values()] == [LONG[:500]]


LATE: tuple[Outcome, ...] = (
    Answered(receipts=[Receipt(ReceiptStatus.ACCEPTED, "late")]),
    Answered(receipts=[REFUSED]),
    NotSent(reason="429"),
    InDoubt(reason="500"),
)


@pytest.mark.parametrize("outcome", LATE)
async def test_a_late_record_leaves_another_workers_batch_alone(
    runtime: Runtime, scripted_sender: Sender, outcome: Outcome
) -> None:
    """A worker that wakes up when its messages are under way with another changes nothing of them."""
    actor, _, campaign_id = await sending(runtime, 1)
    late = await submitted(runtime, scripted_sender, actor, campaign_id, 1)
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(EmailDelivery).values(status=PENDING))
    await submitted(runtime, scripted_sender, actor, campaign_id, 1)
    before = await ledger(runtime, actor)
    assert [(row.status, row.attempts) for row in before.values()] == [(SUBMITTING, 2)]
    await write_down(runtime, actor, late, outcome)
    assert await ledger(runtime, actor) == before


@pytest.mark.parametrize("outcome", LATE)
async def test_what_is_told_late_of_a_message_that_was_found_changes_nothing(
    runtime: Runtime, scripted_sender: Sender, outcome: Outcome
) -> None:
    """The provider's search has shown it since: whatever the worker took it for, it has been sent."""
    actor, campaign_id, batch = await in_doubt(runtime, scripted_sender)
    async with runtime.work.begin(actor) as uow:
        lookup = await reserve_due(uow, campaign_id)
        assert lookup is not None
        await record_lookup(uow, campaign_id, lookup, {str(batch.ids[0]): "found"}, grace_seconds=600)
    before = await ledger(runtime, actor)
    assert [(row.status, row.message_id, row.error_message) for row in before.values()] == [(ACCEPTED, "found", None)]
    await write_down(runtime, actor, batch, outcome)
    assert await ledger(runtime, actor) == before


async def test_doubt_that_is_told_late_does_not_begin_the_lookups_anew(
    runtime: Runtime, scripted_sender: Sender
) -> None:
    """A worker whose lease is over says that it does not know: that is known, and was asked about since."""
    actor, campaign_id, batch = await in_doubt(runtime, scripted_sender)
    await reconcile(runtime.work, ModelMailer(), actor, campaign_id, grace_seconds=600)
    before = await ledger(runtime, actor)
    assert [(row.status, row.lookups) for row in before.values()] == [(UNKNOWN, 1)]
    await write_down(runtime, actor, batch, InDoubt(reason="Late."))
    assert await ledger(runtime, actor) == before


async def test_a_word_that_comes_late_is_as_good_while_the_message_is_in_doubt(
    runtime: Runtime, scripted_sender: Sender
) -> None:
    """The lease is over, and nobody has found the message since: what the worker knows counts; it is tried again."""
    actor, campaign_id, batch = await in_doubt(runtime, scripted_sender)
    await write_down(runtime, actor, batch, NotSent(reason="429"))
    (row,) = (await ledger(runtime, actor)).values()
    assert (row.status, row.batch_id, row.submitted_at, row.next_lookup_at) == (PENDING, None, None, None)
    again = await submitted(runtime, scripted_sender, actor, campaign_id, 1)
    await write_down(runtime, actor, again, Answered(receipts=[Receipt(ReceiptStatus.ACCEPTED, "m-2")]))
    (row,) = (await ledger(runtime, actor)).values()
    assert (row.status, row.attempts, row.message_id, row.error_message) == (ACCEPTED, 2, "m-2", None)
    assert row.batch_id == again.claim.batch_id


async def test_claims_are_in_the_order_of_the_audience(runtime: Runtime) -> None:
    """From the front, and beyond the last claim; whoever watches the campaign is told, of an empty claim nothing."""
    actor, _, campaign_id = await sending(runtime, 5)
    order = sorted(await ledger(runtime, actor))
    claimed: list[UUID] = []
    for limit, after in ((2, START), (2, order[2]), (2, order[2]), (5, START)):
        async with runtime.work.begin(actor) as uow:
            found = await claim(uow, campaign_id, limit=limit, lease_seconds=60, after=after)
            topics = [campaign_topic(actor.organization_id, campaign_id)]
            assert list(uow.events) == (topics if found.rows else [])
        claimed += sorted(row[0] for row in found.rows)
    assert claimed == [order[0], order[1], order[3], order[4], order[2]]
