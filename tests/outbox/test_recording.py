"""Recording the outcome of a batch of system mail: in its own rows, and in no others."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row, update

from core.access.actor import Actor
from integrations.mail import (
    AccountRefused,
    BatchHeader,
    BatchProcessed,
    InDoubt,
    NotSent,
    Outcome,
    Stream,
    SubmissionResult,
    SubmissionStatus,
)
from integrations.recording import RecordingMailer
from models.outbox import OutboxMessage, OutboxStatus
from runtime import Runtime
from services.mailing.handover import RequestOutcome
from services.outbox.reconciling import record_lookup, reserve_due
from services.outbox.recording import record
from services.outbox.submitting import OutboxBatch, submit
from services.outbox.work import SendOutbox
from tests import factories
from tests.deliveries.model import ModelMailer
from tests.outbox.mailing import expire_all, outbox_of, put, rows, statuses

PENDING, SUBMITTING, UNKNOWN, ACCEPTED, FAILED, CANCELLED = OutboxStatus
LONG = "x" * 600
SLOW_DOWN = SubmissionResult(SubmissionStatus.RETRY_LATER, None, 429, "Slow down.")


async def submit_batch(runtime: Runtime, actor: Actor, how_many: int) -> OutboxBatch:
    """Submit so many new messages of the organization as one batch."""
    await put(runtime, actor, how_many)
    async with runtime.work.begin(actor) as uow:
        (batch,) = await submit(uow, outbox_of(runtime, ModelMailer()).composers, limit=20, lease_seconds=60) or []
    assert len(batch.messages) == how_many
    return batch


async def record_outcome(
    runtime: Runtime, actor: Actor, batch: OutboxBatch, outcome: Outcome, request_seconds: float = 0
) -> None:
    """Record one outcome of a whole batch."""
    async with runtime.work.begin(actor) as uow:
        await record(uow, batch, [RequestOutcome(batch.messages, outcome)], request_seconds=request_seconds)


async def by_id(runtime: Runtime, actor: Actor) -> dict[UUID, Row[Any]]:
    """The organization's rows by id."""
    return {row.id: row for row in await rows(runtime, actor)}


def ids_of(batch: OutboxBatch) -> list[UUID]:
    """The ids of a batch's messages."""
    return [UUID(message.delivery_id) for message in batch.messages]


@pytest.mark.parametrize(
    "outcome",
    [
        BatchProcessed(results=[SubmissionResult(SubmissionStatus.REFUSED, None, 300, LONG)]),
        BatchProcessed(results=[SubmissionResult(SubmissionStatus.RETRY_LATER, None, 429, LONG)]),
        NotSent(reason=LONG),
        AccountRefused(code=401, reason=LONG),
        InDoubt(reason=LONG),
    ],
)
async def test_500_characters_of_the_provider_s_text_are_stored(runtime: Runtime, outcome: Outcome) -> None:
    """Even if the response was a long HTML page."""
    actor = await factories.organization(runtime)
    await record_outcome(runtime, actor, await submit_batch(runtime, actor, 1), outcome)
    assert [row.error_message for row in await rows(runtime, actor)] == [LONG[:500]]


async def test_an_accepted_message_has_no_error(runtime: Runtime) -> None:
    """Its attempts stay counted; the lease has ended."""
    actor = await factories.organization(runtime)
    await put(runtime, actor)
    mailer = RecordingMailer(lambda *_: BatchProcessed(results=[SLOW_DOWN]))
    await outbox_of(runtime, mailer).send_due(actor)
    (row,) = await rows(runtime, actor)
    assert (row.status, row.error_message, row.batch_id, row.lease_token) == (PENDING, "Slow down.", None, None)
    mailer.answer = None
    await expire_all(runtime, actor)
    await outbox_of(runtime, mailer).send_due(actor)
    (row,) = await rows(runtime, actor)
    assert (row.status, row.error_code, row.error_message, row.attempts) == (ACCEPTED, None, None, 1)
    assert (row.lease_token, row.finished_at is None, row.submitted_at is None) == (None, False, False)


async def test_each_message_is_recorded_by_its_result(runtime: Runtime) -> None:
    """Accepted, refused, retry later; messages of another batch, or of none, stay as they were."""
    actor = await factories.organization(runtime)
    other = await submit_batch(runtime, actor, 1)
    batch = await submit_batch(runtime, actor, 3)
    (waiting,) = await put(runtime, actor)
    before = await by_id(runtime, actor)
    results = [
        SubmissionResult(SubmissionStatus.ACCEPTED, "m-1"),
        SubmissionResult(SubmissionStatus.REFUSED, None, 300, "No."),
        SLOW_DOWN,
    ]
    await record_outcome(runtime, actor, batch, BatchProcessed(results=results))
    after = await by_id(runtime, actor)
    assert [(after[one].status, after[one].message_id, after[one].error_message) for one in ids_of(batch)] == [
        (ACCEPTED, "m-1", None),
        (FAILED, None, "No."),
        (PENDING, None, "Slow down."),
    ]
    assert [after[one].finished_at is None for one in ids_of(batch)] == [False, False, True]
    assert [after[one] for one in (*ids_of(other), waiting)] == [before[one] for one in (*ids_of(other), waiting)]


@pytest.mark.parametrize("outcome", [NotSent(reason="429"), InDoubt(reason="500")])
async def test_an_outcome_is_recorded_for_its_batch_alone(runtime: Runtime, outcome: Outcome) -> None:
    """Another batch in flight, and pending messages, stay as they were."""
    actor = await factories.organization(runtime)
    other = await submit_batch(runtime, actor, 1)
    batch = await submit_batch(runtime, actor, 2)
    (waiting,) = await put(runtime, actor)
    before = await by_id(runtime, actor)
    await record_outcome(runtime, actor, batch, outcome)
    after = await by_id(runtime, actor)
    expected = PENDING if isinstance(outcome, NotSent) else UNKNOWN
    assert {(after[one].status, after[one].lease_token) for one in ids_of(batch)} == {(expected, None)}
    assert [after[one] for one in (*ids_of(other), waiting)] == [before[one] for one in (*ids_of(other), waiting)]


@pytest.mark.parametrize("in_progress", [True, False])
async def test_a_request_in_progress_delays_the_first_lookup(runtime: Runtime, *, in_progress: bool) -> None:
    """By the time that a request may take."""
    actor = await factories.organization(runtime)
    batch = await submit_batch(runtime, actor, 1)
    await record_outcome(
        runtime, actor, batch, InDoubt(reason="No answer.", in_progress=in_progress), request_seconds=30
    )
    assert await statuses(runtime, actor) == [UNKNOWN]
    async with runtime.work.begin(actor) as uow:
        assert (await reserve_due(uow) is None) is in_progress


@pytest.mark.parametrize(
    "outcome",
    [
        BatchProcessed(results=[SubmissionResult(SubmissionStatus.REFUSED, None, 300, "No.")]),
        NotSent(reason="429"),
        InDoubt(reason="500"),
    ],
)
async def test_a_late_outcome_does_not_change_a_found_message(runtime: Runtime, outcome: Outcome) -> None:
    """A lookup has found the message: it counts as sent, with any outcome that the worker records later."""
    actor = await factories.organization(runtime)
    batch = await submit_batch(runtime, actor, 1)
    await expire_all(runtime, actor)
    mailer = ModelMailer()
    header = BatchHeader(sender="a@b.example", batch_id=str(batch.batch_id), tag="t", stream=Stream.TRANSACTIONAL)
    mailer.accept(header, batch.messages[0])
    await outbox_of(runtime, mailer).reconcile(actor)
    before = await rows(runtime, actor)
    assert [row.status for row in before] == [ACCEPTED]
    await record_outcome(runtime, actor, batch, outcome)
    assert await rows(runtime, actor) == before


async def test_a_late_doubt_does_not_restart_the_lookups(runtime: Runtime) -> None:
    """A worker whose lease has expired reports doubt, but the message is in doubt already, with its lookups."""
    actor = await factories.organization(runtime)
    batch = await submit_batch(runtime, actor, 1)
    await expire_all(runtime, actor)
    await outbox_of(runtime, ModelMailer(), grace=600.0).reconcile(actor)
    before = await rows(runtime, actor)
    assert [(row.status, row.lookups) for row in before] == [(UNKNOWN, 1)]
    await record_outcome(runtime, actor, batch, InDoubt(reason="Late."))
    assert await rows(runtime, actor) == before


async def test_a_lookup_is_recorded_for_each_message_of_its_batch(runtime: Runtime) -> None:
    """A found message is accepted with its id, an absent one is looked up again; other batches stay as they were."""
    actor = await factories.organization(runtime)
    batch = await submit_batch(runtime, actor, 3)
    await record_outcome(runtime, actor, batch, InDoubt(reason="500"))
    other = await submit_batch(runtime, actor, 1)
    await record_outcome(runtime, actor, other, InDoubt(reason="500"))
    before = await by_id(runtime, actor)
    async with runtime.work.begin(actor) as uow:
        lookup = await reserve_due(uow)
    assert lookup is not None
    assert (lookup.batch_id, {row.id for row in lookup.rows}) == (batch.batch_id, set(ids_of(batch)))
    first, second, third = ids_of(batch)
    async with runtime.work.begin(actor) as uow:
        await record_lookup(uow, lookup, {str(first): "m-1", str(second): "m-2"}, grace_seconds=600)
        assert uow.jobs == [SendOutbox(organization_id=actor.organization_id)]
    after = await by_id(runtime, actor)
    results = [(row.status, row.message_id, row.error_message) for row in (after[first], after[second], after[third])]
    assert results == [(ACCEPTED, "m-1", None), (ACCEPTED, "m-2", None), (UNKNOWN, None, "500")]
    assert [after[one].finished_at is None for one in (first, second, third)] == [False, False, True]
    assert after[third].lookups == 1
    assert [after[one] for one in ids_of(other)] == [before[one] for one in ids_of(other)]


async def test_the_longest_due_is_sent_first(runtime: Runtime) -> None:
    """Also if it was written later: postponed messages follow it."""
    actor = await factories.organization(runtime)
    first, second = await put(runtime, actor, 2)
    async with runtime.work.begin(actor) as uow:
        earlier = OutboxMessage.due_at - timedelta(seconds=1)
        await uow.execute(update(OutboxMessage).where(OutboxMessage.id == second).values(due_at=earlier))
    composers = outbox_of(runtime, ModelMailer()).composers
    sent = []
    for _ in range(2):
        async with runtime.work.begin(actor) as uow:
            (batch,) = await submit(uow, composers, limit=1, lease_seconds=60) or []
        sent += ids_of(batch)
    assert sent == [second, first]
