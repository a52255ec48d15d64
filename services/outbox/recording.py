"""Writing down what the provider said of system mail, where the messages are still the batch's."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, update

from core.database.clock import now_plus
from core.leases import RELEASED, is_held
from core.unit_of_work import UnitOfWork
from integrations.mail import Answered, InDoubt, Message, NotSent, Receipt, Verdict
from models.outbox import OutboxMessage, OutboxStatus
from services.mailing.handover import TEXT_LENGTH, Handed
from services.outbox.submitting import Batch, put_off


async def record(uow: UnitOfWork, batch: Batch, handed: Sequence[Handed], *, request_seconds: float) -> None:
    """Write down what became of a batch; messages that somebody else has settled meanwhile stay as they are.

    One statement a message: a batch of system mail has 20 at most, and there is little of it.
    """
    for part in handed:
        outcome = part.outcome
        if isinstance(outcome, Answered):
            for message, receipt in zip(part.messages, outcome.receipts, strict=True):
                await _record_receipt(uow, batch, message, receipt)
        elif isinstance(outcome, InDoubt):
            await _doubt(uow, batch, part.messages, outcome, request_seconds)
        else:
            wanted = outcome.retry_after_seconds if isinstance(outcome, NotSent) else None
            await put_off(uow, _of(batch, part.messages), outcome.reason[:TEXT_LENGTH], at_least=wanted or 0.0)


async def _record_receipt(uow: UnitOfWork, batch: Batch, message: Message, receipt: Receipt) -> None:
    """Accepted, refused for good, or not now."""
    if receipt.verdict in (Verdict.NOT_NOW, Verdict.ACCOUNT):
        await put_off(uow, _of(batch, [message]), receipt.text[:TEXT_LENGTH])
        return
    accepted = receipt.verdict is Verdict.ACCEPTED
    await uow.execute(
        update(OutboxMessage)
        .where(_of(batch, [message]))
        .values(
            status=OutboxStatus.ACCEPTED if accepted else OutboxStatus.FAILED,
            message_id=receipt.message_id,
            error_code=None if accepted else receipt.code,
            error_message=None if accepted else receipt.text[:TEXT_LENGTH],
            finished_at=func.clock_timestamp(),
            **RELEASED,
        )
    )


async def _doubt(
    uow: UnitOfWork, batch: Batch, messages: Sequence[Message], outcome: InDoubt, request_seconds: float
) -> None:
    """May have been sent. A provider that has not even answered gets as long again before it is asked."""
    await uow.execute(
        update(OutboxMessage)
        .where(_of(batch, messages), OutboxMessage.status == OutboxStatus.SUBMITTING)
        .values(
            status=OutboxStatus.UNKNOWN,
            error_message=outcome.reason[:TEXT_LENGTH],
            lookups=0,
            due_at=now_plus(request_seconds if outcome.under_way else 0.0),
            **RELEASED,
        )
    )


def _of(batch: Batch, messages: Sequence[Message]) -> ColumnElement[bool]:
    """Messages that still wait for this batch's outcome: under our lease, or in doubt since it ended."""
    return and_(
        OutboxMessage.id.in_([UUID(message.delivery_id) for message in messages]),
        or_(
            and_(OutboxMessage.status == OutboxStatus.SUBMITTING, is_held(OutboxMessage, batch.token)),
            and_(OutboxMessage.status == OutboxStatus.UNKNOWN, OutboxMessage.batch_id == batch.batch_id),
        ),
    )
