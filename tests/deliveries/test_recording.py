"""Recording the outcome of a batch: in its own rows, and in no others."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row, select, update

from core.access.actor import Actor
from core.pubsub import campaign_topic
from integrations.mail import (
    AccountRefused,
    BatchProcessed,
    InDoubt,
    Message,
    NotSent,
    Outcome,
    SubmissionResult,
    SubmissionStatus,
)
from models.deliveries import DeliveryStatus, EmailDelivery
from runtime import Runtime
from services.deliveries.claiming import START, Claim, claim
from services.deliveries.reconciling import reconcile, record_lookup, reserve_due
from services.deliveries.recording import record
from services.deliveries.rendering import render_batch
from services.deliveries.sending import CampaignSender
from services.deliveries.submitting import submit
from services.deliveries.sweeping import advance_campaign
from services.mailing.handover import RequestOutcome
from tests.deliveries.model import ModelMailer
from tests.deliveries.worker import expire_leases, sending

PENDING, SUBMITTING, UNKNOWN = DeliveryStatus.PENDING, DeliveryStatus.SUBMITTING, DeliveryStatus.UNKNOWN
ACCEPTED, REJECTED = DeliveryStatus.ACCEPTED, DeliveryStatus.REJECTED
LONG = "x" * 600
SLOW_DOWN = SubmissionResult(SubmissionStatus.RETRY_LATER, None, 429, "Slow down.")
REFUSED = SubmissionResult(SubmissionStatus.REFUSED, None, 300, "No.")


class Batch:
    """Submitted messages of a campaign."""

    def __init__(self, claimed: Claim, messages: Sequence[Message]) -> None:
        self.claim = claimed
        self.messages = messages
        self.ids = [UUID(message.delivery_id) for message in messages]


async def submit_batch(
    runtime: Runtime, sender: CampaignSender, actor: Actor, campaign_id: UUID, how_many: int
) -> Batch:
    """Submit a batch of so many messages."""
    content = await sender.content_of(actor, campaign_id)
    assert content is not None
    claimed = await sender.claim_batch(actor, content, how_many)
    rendered = await render_batch(claimed, content, signer=sender.signer, public_url="https://x.example")
    async with runtime.work.begin(actor) as uow:
        batch = Batch(claimed, await submit(uow, claimed, rendered, sender.times))
    assert len(batch.messages) == how_many
    return batch


async def expired_batch(runtime: Runtime, sender: CampaignSender) -> tuple[Actor, UUID, Batch]:
    """A campaign whose single message was submitted under an expired lease, and its batch."""
    actor, _, campaign_id = await sending(runtime, 1)
    batch = await submit_batch(runtime, sender, actor, campaign_id, 1)
    await expire_leases(runtime, actor, campaign_id)
    await advance_campaign(runtime.work, actor, campaign_id)
    return actor, campaign_id, batch


async def record_outcome(runtime: Runtime, actor: Actor, batch: Batch, outcome: Outcome) -> None:
    """Record one outcome of a whole batch; progress is published."""
    async with runtime.work.begin(actor) as uow:
        await record(uow, batch.claim, [RequestOutcome(batch.messages, outcome)], request_seconds=0)
        assert list(uow.signals) == [campaign_topic(actor.organization_id, batch.claim.campaign_id)]


async def deliveries_by_id(runtime: Runtime, actor: Actor) -> dict[UUID, Row[Any]]:
    """The organization's deliveries by id."""
    columns = EmailDelivery.__table__.c
    rows = await runtime.reads(actor.tenant).rows(select(*columns).order_by(columns.id))
    return {row.id: row for row in rows}


async def test_each_message_is_recorded_by_its_result(runtime: Runtime, scripted_sender: CampaignSender) -> None:
    """Accepted, refused, retry later; messages of another batch, or of none, stay as they were."""
    actor, _, campaign_id = await sending(runtime, 5)
    other = await submit_batch(runtime, scripted_sender, actor, campaign_id, 1)
    batch = await submit_batch(runtime, scripted_sender, actor, campaign_id, 3)
    before = await deliveries_by_id(runtime, actor)
    results = [SubmissionResult(SubmissionStatus.ACCEPTED, "m-1"), REFUSED, SLOW_DOWN]
    await record_outcome(runtime, actor, batch, BatchProcessed(results=results))
    after = await deliveries_by_id(runtime, actor)
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
async def test_an_outcome_is_recorded_for_its_batch_alone(
    runtime: Runtime, scripted_sender: CampaignSender, outcome: NotSent | InDoubt
) -> None:
    """Another batch in flight, and pending messages, stay as they were."""
    actor, _, campaign_id = await sending(runtime, 5)
    await submit_batch(runtime, scripted_sender, actor, campaign_id, 1)
    batch = await submit_batch(runtime, scripted_sender, actor, campaign_id, 3)
    before = await deliveries_by_id(runtime, actor)
    await record_outcome(runtime, actor, batch, outcome)
    after = await deliveries_by_id(runtime, actor)
    status, batch_id = (PENDING, None) if isinstance(outcome, NotSent) else (UNKNOWN, batch.claim.batch_id)
    mine = {(after[one].status, after[one].batch_id, after[one].error_message) for one in batch.ids}
    assert mine == {(status, batch_id, outcome.reason)}
    assert {(after[one].lease_token, after[one].lease_until) for one in batch.ids} == {(None, None)}
    others = after.keys() - set(batch.ids)
    assert {one: after[one] for one in others} == {one: before[one] for one in others}


@pytest.mark.parametrize(
    "outcome",
    [
        BatchProcessed(results=[SubmissionResult(SubmissionStatus.RETRY_LATER, None, 429, LONG)]),
        NotSent(reason=LONG),
        AccountRefused(code=401, reason=LONG),
        InDoubt(reason=LONG),
    ],
)
async def test_500_characters_of_the_provider_s_text_are_stored(
    runtime: Runtime, scripted_sender: CampaignSender, outcome: Outcome
) -> None:
    """Even if the response was a long HTML page."""
    actor, _, campaign_id = await sending(runtime, 1)
    await record_outcome(runtime, actor, await submit_batch(runtime, scripted_sender, actor, campaign_id, 1), outcome)
    assert [row.error_message for row in (await deliveries_by_id(runtime, actor)).values()] == [LONG[:500]]


LATE: tuple[Outcome, ...] = (
    BatchProcessed(results=[SubmissionResult(SubmissionStatus.ACCEPTED, "late")]),
    BatchProcessed(results=[REFUSED]),
    NotSent(reason="429"),
    InDoubt(reason="500"),
)


@pytest.mark.parametrize("outcome", LATE)
async def test_a_late_record_does_not_affect_another_worker_s_batch(
    runtime: Runtime, scripted_sender: CampaignSender, outcome: Outcome
) -> None:
    """A worker that continues after its messages were leased to another one changes nothing."""
    actor, _, campaign_id = await sending(runtime, 1)
    late = await submit_batch(runtime, scripted_sender, actor, campaign_id, 1)
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(EmailDelivery).values(status=PENDING))
    await submit_batch(runtime, scripted_sender, actor, campaign_id, 1)
    before = await deliveries_by_id(runtime, actor)
    assert [(row.status, row.attempts) for row in before.values()] == [(SUBMITTING, 2)]
    await record_outcome(runtime, actor, late, outcome)
    assert await deliveries_by_id(runtime, actor) == before


@pytest.mark.parametrize("outcome", LATE)
async def test_a_late_outcome_does_not_change_a_found_message(
    runtime: Runtime, scripted_sender: CampaignSender, outcome: Outcome
) -> None:
    """A lookup has found the message: it counts as sent, with any outcome that the worker records later."""
    actor, campaign_id, batch = await expired_batch(runtime, scripted_sender)
    async with runtime.work.begin(actor) as uow:
        lookup = await reserve_due(uow, campaign_id)
        assert lookup is not None
        await record_lookup(uow, campaign_id, lookup, {str(batch.ids[0]): "found"}, grace_seconds=600)
    before = await deliveries_by_id(runtime, actor)
    assert [(row.status, row.message_id, row.error_message) for row in before.values()] == [(ACCEPTED, "found", None)]
    await record_outcome(runtime, actor, batch, outcome)
    assert await deliveries_by_id(runtime, actor) == before


async def test_a_late_doubt_does_not_restart_the_lookups(runtime: Runtime, scripted_sender: CampaignSender) -> None:
    """A worker whose lease has expired reports doubt, but the message is in doubt already, with its lookups."""
    actor, campaign_id, batch = await expired_batch(runtime, scripted_sender)
    await reconcile(runtime.work, ModelMailer(), actor, campaign_id, grace_seconds=600)
    before = await deliveries_by_id(runtime, actor)
    assert [(row.status, row.lookups) for row in before.values()] == [(UNKNOWN, 1)]
    await record_outcome(runtime, actor, batch, InDoubt(reason="Late."))
    assert await deliveries_by_id(runtime, actor) == before


async def test_a_late_outcome_counts_while_the_message_is_in_doubt(
    runtime: Runtime, scripted_sender: CampaignSender
) -> None:
    """The lease has expired, and no lookup has found the message: it is pending again."""
    actor, campaign_id, batch = await expired_batch(runtime, scripted_sender)
    await record_outcome(runtime, actor, batch, NotSent(reason="429"))
    (row,) = (await deliveries_by_id(runtime, actor)).values()
    assert (row.status, row.batch_id, row.submitted_at, row.next_lookup_at) == (PENDING, None, None, None)
    again = await submit_batch(runtime, scripted_sender, actor, campaign_id, 1)
    await record_outcome(
        runtime, actor, again, BatchProcessed(results=[SubmissionResult(SubmissionStatus.ACCEPTED, "m-2")])
    )
    (row,) = (await deliveries_by_id(runtime, actor)).values()
    assert (row.status, row.attempts, row.message_id, row.error_message) == (ACCEPTED, 2, "m-2", None)
    assert row.batch_id == again.claim.batch_id


async def test_claims_are_in_the_order_of_the_audience(runtime: Runtime) -> None:
    """From the first pending delivery, or after the last claim; a claim publishes progress, unless it is empty."""
    actor, _, campaign_id = await sending(runtime, 5)
    order = sorted(await deliveries_by_id(runtime, actor))
    claimed: list[UUID] = []
    for limit, after in ((2, START), (2, order[2]), (2, order[2]), (5, START)):
        async with runtime.work.begin(actor) as uow:
            claimed_page = await claim(uow, campaign_id, limit=limit, lease_seconds=60, after=after)
            topics = [campaign_topic(actor.organization_id, campaign_id)]
            assert list(uow.signals) == (topics if claimed_page.rows else [])
        claimed += sorted(row[0] for row in claimed_page.rows)
    assert claimed == [order[0], order[1], order[3], order[4], order[2]]
