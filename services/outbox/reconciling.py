"""System mail in doubt: the provider is asked, and only what it provably does not have is sent again."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import case, func, select, update

from core.access.actor import Actor
from core.database.clock import now_plus
from core.leases import RELEASED, has_expired
from core.telemetry import logger
from core.unit_of_work import UnitOfWork, Work
from integrations.mail import Mailer, SearchFailed, Stream
from models.outbox import OutboxMessage, OutboxStatus
from services.mailing.lookups import BATCHES_A_ROUND, LOOKUPS, RESERVED_SECONDS

LOST_WORKER = "The worker stopped while the message was on its way."
log = logger(__name__)


class Doubtful(NamedTuple):
    """A message to ask about, and what its row said when it was reserved for that."""

    id: UUID
    lookups: int
    due_at: datetime


class Look(NamedTuple):
    """The messages of one batch that are asked about together."""

    batch_id: UUID
    rows: Sequence[Doubtful]


async def expire_leases(uow: UnitOfWork) -> None:
    """What was submitted under a lease that has ended may have been sent."""
    await uow.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.organization_id == uow.tenant.organization_id,
            OutboxMessage.status == OutboxStatus.SUBMITTING,
            has_expired(OutboxMessage),
        )
        .values(
            status=OutboxStatus.UNKNOWN,
            error_message=LOST_WORKER,
            lookups=0,
            due_at=func.clock_timestamp(),
            **RELEASED,
        )
    )


async def reconcile(work: Work, mailer: Mailer, actor: Actor, *, grace_seconds: float) -> None:
    """Ask about every batch in doubt that is due for a look."""
    for _ in range(BATCHES_A_ROUND):
        async with work.begin(actor) as uow:
            look = await reserve_due(uow)
        if look is None:
            return
        try:
            found = await mailer.find(str(look.batch_id), Stream.TRANSACTIONAL)
        except SearchFailed as error:
            log.warning("no answer about system mail", batch_id=str(look.batch_id), error=str(error))
            continue
        async with work.begin(actor) as uow:
            await settle(uow, look, found, grace_seconds=grace_seconds)


async def reserve_due(uow: UnitOfWork) -> Look | None:
    """The due messages of one batch; nobody else asks about them within the minute."""
    in_doubt = (
        OutboxMessage.organization_id == uow.tenant.organization_id,
        OutboxMessage.status == OutboxStatus.UNKNOWN,
        OutboxMessage.due_at <= func.clock_timestamp(),
    )
    first = await uow.rows(
        select(OutboxMessage.batch_id)
        .where(*in_doubt)
        .order_by(OutboxMessage.due_at, OutboxMessage.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if not first or first[0].batch_id is None:
        return None
    # What another worker has locked is left to it: each would wait for the other's rows.
    unlocked = (
        select(OutboxMessage.id)
        .where(*in_doubt, OutboxMessage.batch_id == first[0].batch_id)
        .with_for_update(skip_locked=True)
    )
    rows = await uow.rows(
        update(OutboxMessage)
        .where(OutboxMessage.id.in_(unlocked))
        .values(due_at=now_plus(RESERVED_SECONDS))
        .returning(OutboxMessage.id, OutboxMessage.lookups, OutboxMessage.due_at)
    )
    return Look(first[0].batch_id, [Doubtful(row.id, row.lookups, row.due_at) for row in rows])


async def settle(uow: UnitOfWork, look: Look, found: Mapping[str, str], *, grace_seconds: float) -> None:
    """Write down a look: found messages are accepted; absent ones wait for the next look, or are pending again.

    A look that took so long that somebody else has reserved its messages since counts for nothing.
    """
    for row in look.rows:
        message_id = found.get(str(row.id))
        same = (OutboxMessage.id == row.id, OutboxMessage.status == OutboxStatus.UNKNOWN)
        if message_id is not None:
            await uow.execute(
                update(OutboxMessage)
                .where(*same)
                .values(
                    status=OutboxStatus.ACCEPTED,
                    message_id=message_id,
                    error_message=None,
                    finished_at=func.clock_timestamp(),
                )
            )
            continue
        last = OutboxMessage.lookups + 1 >= LOOKUPS
        await uow.execute(
            update(OutboxMessage)
            .where(
                *same,
                OutboxMessage.batch_id == look.batch_id,
                OutboxMessage.lookups == row.lookups,
                OutboxMessage.due_at == row.due_at,
            )
            .values(
                status=case((last, str(OutboxStatus.PENDING)), else_=str(OutboxStatus.UNKNOWN)),
                lookups=case((last, 0), else_=OutboxMessage.lookups + 1),
                due_at=case((last, func.clock_timestamp()), else_=now_plus(grace_seconds / (LOOKUPS - 1))),
            )
        )
