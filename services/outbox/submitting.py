"""Claiming and submitting due system mail in one transaction, as composing it is fast, unlike rendering campaigns."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update

from cancellation.backoff import Backoff
from core.clock import since_boot
from core.database import backoff
from core.database.clock import now_plus
from core.database.scopes import savepoint
from core.ids import new_id
from core.leases import RELEASED, lease_values
from core.telemetry import logger
from core.unit_of_work import UnitOfWork
from integrations.mail import Message
from models.outbox import OutboxKind, OutboxMessage, OutboxStatus

_BACKOFF = Backoff(initial=5.0, maximum=300.0)
log = logger(__name__)


class OutboxItem(NamedTuple):
    """A message to compose; `target_id` is the row that it is about, for example a sender."""

    id: UUID
    kind: OutboxKind
    target_id: UUID
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedMail:
    """Subject and content of a message, as it is sent."""

    subject: str
    text: str
    html: str


Composer = Callable[[UnitOfWork, OutboxItem], Awaitable[ComposedMail | None]]
"""Composes a message in the transaction that submits it; None when it is no longer needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxBatch:
    """Leased messages of one kind; the lease ends not before `deadline` (`since_boot` seconds)."""

    kind: OutboxKind
    token: UUID
    batch_id: UUID
    deadline: float
    messages: list[Message]


async def count_due(uow: UnitOfWork, limit: int) -> int:
    """Count the due messages of the organization, up to `limit`."""
    due = select(OutboxMessage.id).where(*_due_conditions(uow.tenant.organization_id)).limit(limit).subquery()
    return int((await uow.rows(select(func.count()).select_from(due)))[0][0])


def _due_conditions(organization_id: UUID) -> tuple[ColumnElement[bool], ...]:
    """The conditions for a message that must be sent now."""
    return (
        OutboxMessage.organization_id == organization_id,
        OutboxMessage.status == OutboxStatus.PENDING,
        OutboxMessage.due_at <= func.clock_timestamp(),
    )


async def submit(
    uow: UnitOfWork, composers: Mapping[OutboxKind, Composer], *, limit: int, lease_seconds: float
) -> list[OutboxBatch] | None:
    """Submit at most `limit` due messages; returns those to hand to the provider after COMMIT, None when none is due.

    A message that is no longer needed is cancelled, and an expired one fails.
    """
    deadline = since_boot() + lease_seconds
    rows = await uow.rows(
        select(
            OutboxMessage.id,
            OutboxMessage.kind,
            OutboxMessage.target_id,
            OutboxMessage.email,
            (OutboxMessage.expires_at <= func.now()).label("is_expired"),
        )
        .where(*_due_conditions(uow.tenant.organization_id))
        .order_by(OutboxMessage.due_at, OutboxMessage.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if not rows:
        return None
    await _finish(uow, [row.id for row in rows if row.is_expired], OutboxStatus.FAILED)
    batches: dict[OutboxKind, OutboxBatch] = {}
    for row in rows:
        item = OutboxItem(row.id, OutboxKind(row.kind), row.target_id, row.email)
        mail = None if row.is_expired else await _compose(uow, composers, item)
        if mail is not None:
            batch = batches.setdefault(item.kind, _empty_batch(item.kind, deadline))
            batch.messages.append(Message(str(item.id), item.email, mail.subject, mail.html, mail.text))
    for batch in batches.values():
        await _mark_submitting(uow, batch, lease_seconds)
    return list(batches.values())


def _empty_batch(kind: OutboxKind, deadline: float) -> OutboxBatch:
    return OutboxBatch(kind=kind, token=new_id(), batch_id=new_id(), deadline=deadline, messages=[])


async def _compose(
    uow: UnitOfWork, composers: Mapping[OutboxKind, Composer], item: OutboxItem
) -> ComposedMail | None:
    """Compose a message; None when it was cancelled, or postponed after an error."""
    try:
        async with savepoint(uow.connection):
            mail = await composers[item.kind](uow, item)
    except Exception:
        # A message that cannot be composed must not delay the organization's other messages.
        log.exception("message not composed", outbox_id=str(item.id), kind=item.kind)
        await postpone(uow, OutboxMessage.id == item.id, "The message could not be composed.")
        return None
    if mail is None:
        await _finish(uow, [item.id], OutboxStatus.CANCELLED)
    return mail


async def _mark_submitting(uow: UnitOfWork, batch: OutboxBatch, lease_seconds: float) -> None:
    """Mark messages as being submitted: after COMMIT they may have been sent."""
    await uow.execute(
        update(OutboxMessage)
        .where(OutboxMessage.id.in_([UUID(message.delivery_id) for message in batch.messages]))
        .values(
            status=OutboxStatus.SUBMITTING,
            **lease_values(batch.token, lease_seconds),
            batch_id=batch.batch_id,
            submitted_at=func.clock_timestamp(),
        )
    )


async def _finish(uow: UnitOfWork, ids: list[UUID], status: OutboxStatus) -> None:
    if ids:
        await uow.execute(
            update(OutboxMessage)
            .where(OutboxMessage.id.in_(ids))
            .values(status=status, finished_at=func.clock_timestamp())
        )


async def postpone(uow: UnitOfWork, condition: ColumnElement[bool], reason: str, *, at_least: float = 0.0) -> None:
    """Make messages that were certainly not sent pending again, with exponential back-off."""
    delay = func.greatest(at_least, backoff.delay(_BACKOFF, OutboxMessage.attempts + 1))
    await uow.execute(
        update(OutboxMessage)
        .where(condition)
        .values(
            status=OutboxStatus.PENDING,
            attempts=OutboxMessage.attempts + 1,
            due_at=now_plus(delay),
            error_message=reason,
            **RELEASED,
            batch_id=None,
        )
    )
