"""Writing system mail to the outbox, in the caller's unit of work."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from core.database.scopes import Reader
from core.ids import new_id
from core.unit_of_work import UnitOfWork
from models.outbox import OutboxKind, OutboxMessage
from services.outbox.work import SendOutbox


async def enqueue(
    uow: UnitOfWork,
    kind: OutboxKind,
    target_id: UUID,
    email: str,
    *,
    expires_in: timedelta,
    dedupe_key: str | None = None,
) -> UUID | None:
    """Write a message about the row `target_id`, such as a sender, which is sent after COMMIT.

    Returns its id, or None if there is one with the same `dedupe_key`. A message that could not be sent within
    `expires_in` fails.
    """
    rows = await uow.rows(
        insert(OutboxMessage)
        .values(
            id=new_id(),
            organization_id=uow.tenant.organization_id,
            kind=kind,
            target_id=target_id,
            email=email,
            dedupe_key=dedupe_key,
            expires_at=func.now() + expires_in,
        )
        .on_conflict_do_nothing(index_elements=["organization_id", "dedupe_key"])
        .returning(OutboxMessage.id)
    )
    if not rows:
        return None
    uow.enqueue(SendOutbox(organization_id=uow.tenant.organization_id))
    return rows[0][0]


class Recent(NamedTuple):
    """How many messages were written within a time, and when the first of them was."""

    total: int
    first_at: datetime | None


async def recent(reads: Reader, kind: OutboxKind, within: timedelta, *, target_id: UUID | None = None) -> Recent:
    """The messages of the kind that the organization wrote within the time; with `target_id`, about that row only."""
    statement = select(func.count(), func.min(OutboxMessage.created_at)).where(
        OutboxMessage.organization_id == reads.tenant.organization_id,
        OutboxMessage.kind == kind,
        OutboxMessage.created_at > func.now() - within,
    )
    if target_id is not None:
        statement = statement.where(OutboxMessage.target_id == target_id)
    return Recent._make((await reads.rows(statement.select_from(OutboxMessage)))[0])
