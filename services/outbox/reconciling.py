"""Looking up system mail in doubt; a message is sent again only after several lookups without finding it."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import case, func, select, update

from core.access.actor import Actor
from core.database.clock import now_plus
from core.leases import RELEASED, has_expired
from core.unit_of_work import UnitOfWork, Work
from integrations.mail import Mailer, Stream
from models.outbox import OutboxMessage, OutboxStatus
from services.mailing.lookups import MAX_LOOKUPS, RESERVED_SECONDS, WORKER_STOPPED, Lookup, UnknownMessage, look_up
from services.outbox.work import SendOutbox


async def expire_leases(uow: UnitOfWork) -> None:
    """Mark messages whose lease has expired as unknown: they may have been sent."""
    await uow.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.organization_id == uow.tenant.organization_id,
            OutboxMessage.status == OutboxStatus.SUBMITTING,
            has_expired(OutboxMessage),
        )
        .values(
            status=OutboxStatus.UNKNOWN,
            error_message=WORKER_STOPPED,
            lookups=0,
            due_at=func.clock_timestamp(),
            **RELEASED,
        )
    )


async def reconcile(work: Work, mailer: Mailer, actor: Actor, *, grace_seconds: float) -> int:
    """Look up the organization's messages that are due; returns how many."""

    async def reserve(uow: UnitOfWork, _: Sequence[UUID]) -> Lookup | None:
        return await reserve_due(uow)

    async def record(uow: UnitOfWork, lookup: Lookup, message_ids: Mapping[str, str]) -> None:
        await record_lookup(uow, lookup, message_ids, grace_seconds=grace_seconds)

    return await look_up(work, mailer, actor, stream=Stream.TRANSACTIONAL, reserve=reserve, record=record)


async def reserve_due(uow: UnitOfWork) -> Lookup | None:
    """Reserve the due messages of one batch; other workers skip them for a minute."""
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
    # Rows that another worker has locked are skipped, as the two could wait for each other.
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
    return Lookup(first[0].batch_id, [UnknownMessage(row.id, row.lookups, row.due_at) for row in rows])


async def record_lookup(
    uow: UnitOfWork, lookup: Lookup, message_ids: Mapping[str, str], *, grace_seconds: float
) -> None:
    """Record a lookup: found messages are accepted; absent ones wait for the next lookup, or are pending again.

    A lookup that outlasted its reservation, so that another worker has reserved the messages, has no effect on them.
    """
    for row in lookup.rows:
        message_id = message_ids.get(str(row.id))
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
        last = OutboxMessage.lookups + 1 >= MAX_LOOKUPS
        await uow.execute(
            update(OutboxMessage)
            .where(
                *same,
                OutboxMessage.batch_id == lookup.batch_id,
                OutboxMessage.lookups == row.lookups,
                OutboxMessage.due_at == row.due_at,
            )
            .values(
                status=case((last, str(OutboxStatus.PENDING)), else_=str(OutboxStatus.UNKNOWN)),
                lookups=case((last, 0), else_=OutboxMessage.lookups + 1),
                due_at=case((last, func.clock_timestamp()), else_=now_plus(grace_seconds / (MAX_LOOKUPS - 1))),
            )
        )
    uow.enqueue(SendOutbox(organization_id=uow.tenant.organization_id))
