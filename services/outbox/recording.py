"""Recording the outcome of a batch of system mail, as far as the messages still belong to the batch."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, update

from core.database.clock import now_plus
from core.leases import RELEASED, is_held
from core.unit_of_work import UnitOfWork
from integrations.mail import BatchProcessed, InDoubt, Message, NotSent, SubmissionResult, SubmissionStatus
from models.outbox import OutboxMessage, OutboxStatus
from services.mailing.handover import MAX_REASON_LENGTH, RequestOutcome
from services.outbox.submitting import OutboxBatch, postpone


async def record(
    uow: UnitOfWork, batch: OutboxBatch, outcomes: Sequence[RequestOutcome], *, request_seconds: float
) -> None:
    """Record the outcome of a batch; messages that no longer belong to it are not changed.

    One statement per message, as a batch of system mail has at most 20.
    """
    for messages, outcome in outcomes:
        if isinstance(outcome, BatchProcessed):
            for message, result in zip(messages, outcome.results, strict=True):
                await _record_result(uow, batch, message, result)
        elif isinstance(outcome, InDoubt):
            await _mark_unknown(uow, batch, messages, outcome, request_seconds)
        else:
            retry_after = outcome.retry_after_seconds if isinstance(outcome, NotSent) else None
            await postpone(
                uow, _is_of_batch(batch, messages), outcome.reason[:MAX_REASON_LENGTH], at_least=retry_after or 0.0
            )


async def _record_result(uow: UnitOfWork, batch: OutboxBatch, message: Message, result: SubmissionResult) -> None:
    """Accept a message, fail it, or postpone it."""
    if result.status in (SubmissionStatus.RETRY_LATER, SubmissionStatus.ACCOUNT_REFUSED):
        await postpone(uow, _is_of_batch(batch, [message]), result.text[:MAX_REASON_LENGTH])
        return
    accepted = result.status is SubmissionStatus.ACCEPTED
    await uow.execute(
        update(OutboxMessage)
        .where(_is_of_batch(batch, [message]))
        .values(
            status=OutboxStatus.ACCEPTED if accepted else OutboxStatus.FAILED,
            message_id=result.message_id,
            error_code=None if accepted else result.code,
            error_message=None if accepted else result.text[:MAX_REASON_LENGTH],
            finished_at=func.clock_timestamp(),
            **RELEASED,
        )
    )


async def _mark_unknown(
    uow: UnitOfWork, batch: OutboxBatch, messages: Sequence[Message], outcome: InDoubt, request_seconds: float
) -> None:
    """Mark messages that may have been sent.

    Where the request may still be processed, the first lookup waits for as long as a request may take.
    """
    await uow.execute(
        update(OutboxMessage)
        .where(_is_of_batch(batch, messages), OutboxMessage.status == OutboxStatus.SUBMITTING)
        .values(
            status=OutboxStatus.UNKNOWN,
            error_message=outcome.reason[:MAX_REASON_LENGTH],
            lookups=0,
            due_at=now_plus(request_seconds if outcome.in_progress else 0.0),
            **RELEASED,
        )
    )


def _is_of_batch(batch: OutboxBatch, messages: Sequence[Message]) -> ColumnElement[bool]:
    """The condition on messages that still wait for this batch's outcome: under our lease, or in doubt since then."""
    return and_(
        OutboxMessage.id.in_([UUID(message.delivery_id) for message in messages]),
        or_(
            and_(OutboxMessage.status == OutboxStatus.SUBMITTING, is_held(OutboxMessage, batch.token)),
            and_(OutboxMessage.status == OutboxStatus.UNKNOWN, OutboxMessage.batch_id == batch.batch_id),
        ),
    )
