from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from core.database.prepared import prepare
from core.database.scopes import Reader
from core.listing.listing import Listing
from core.listing.orders import Order
from models.outbox import OutboxKind, OutboxMessage, OutboxStatus
from models.senders import Sender


class SenderRow(NamedTuple):
    """A sender; `confirmed_at` is None until its address was confirmed."""

    id: UUID
    email: str
    name: str
    confirmed_at: datetime | None
    is_default: bool
    created_at: datetime


SENDERS: Final = Listing(SenderRow, Sender, noun="sender", id_field=("input", "senderId"), order=Order(Sender.email))
_DEFAULT: Final = SENDERS.select.where(Sender.is_default)
_LATEST_CONFIRMATIONS: Final = prepare(
    select(OutboxMessage.target_id, OutboxMessage.status, OutboxMessage.error_message)
    .where(
        OutboxMessage.kind == OutboxKind.SENDER_CONFIRMATION,
        OutboxMessage.target_id == func.any(bindparam("wanted", type_=ARRAY(Uuid))),
    )
    .ext(distinct_on(OutboxMessage.target_id))
    .order_by(OutboxMessage.target_id, OutboxMessage.created_at.desc(), OutboxMessage.id.desc())
)


async def get_default(reads: Reader) -> SenderRow | None:
    """The tenant's default sender; None without one."""
    rows = await reads.rows_as(SenderRow, _DEFAULT)
    return rows[0] if rows else None


async def confirmed_among(reads: Reader, norms: Sequence[str]) -> set[str]:
    """Those of the normalized addresses that are confirmed senders of the tenant."""
    confirmed = select(Sender.email_norm).where(Sender.confirmed_at.is_not(None), Sender.email_norm.in_(norms))
    return {row[0] for row in await reads.rows(confirmed)}


async def confirmation_problems(reads: Reader, sender_ids: Sequence[UUID]) -> dict[UUID, str | None]:
    """Why each sender's latest confirmation mail was not sent, or not yet; None where there is no problem."""
    rows: Sequence[Any] = await reads.rows(_LATEST_CONFIRMATIONS, {"wanted": list(sender_ids)})
    problems = {
        row[0]: row[2] or "The e-mail could not be sent in time." for row in rows if row[1] == OutboxStatus.FAILED
    }
    problems |= {row[0]: row[2] for row in rows if row[1] == OutboxStatus.PENDING and row[2]}
    return {sender_id: problems.get(sender_id) for sender_id in sender_ids}
