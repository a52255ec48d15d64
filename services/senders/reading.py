from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from core.database.prepared import prepare
from core.database.scopes import Reads
from core.errors import NotFound
from core.listing import pages
from core.listing.pages import Order, Page, PageRequest
from models.outbox import OutboxKind, OutboxMessage, OutboxStatus
from models.senders import Sender

SENDER_FIELD: Final = ("input", "senderId")


class SenderRow(NamedTuple):
    """A sender."""

    id: UUID
    email: str
    name: str
    confirmed_at: datetime | None
    is_default: bool
    created_at: datetime


COLUMNS: Final = tuple(getattr(Sender, name) for name in SenderRow._fields)
BY_EMAIL: Final = Order(name="senders.email", key=Sender.email, id=Sender.id, keys=pages.TEXTS)
EVERY_SENDER: Final = pages.WholeList(select(*COLUMNS))
BY_IDS: Final = prepare(select(*COLUMNS).where(Sender.id == func.any(bindparam("wanted", type_=ARRAY(Uuid)))))
DEFAULT: Final = select(*COLUMNS).where(Sender.is_default)
HOW_MANY: Final = prepare(select(func.count().label("how_many")).select_from(Sender))
LATEST_MAILS: Final = prepare(
    select(OutboxMessage.target_id, OutboxMessage.status, OutboxMessage.error_message)
    .where(
        OutboxMessage.kind == OutboxKind.SENDER_CONFIRMATION,
        OutboxMessage.target_id == func.any(bindparam("wanted", type_=ARRAY(Uuid))),
    )
    .ext(distinct_on(OutboxMessage.target_id))
    .order_by(OutboxMessage.target_id, OutboxMessage.created_at.desc(), OutboxMessage.id.desc())
)


async def by_ids(reads: Reads, sender_ids: Sequence[UUID]) -> dict[UUID, SenderRow]:
    """The tenant's senders among these ids, in one statement."""
    rows = await reads.rows_as(SenderRow, BY_IDS, {"wanted": list(sender_ids)})
    return {row.id: row for row in rows}


async def demand(reads: Reads, sender_id: UUID | None, field: tuple[str, ...] = SENDER_FIELD) -> SenderRow:
    """The tenant's sender with this id; raises `NotFound`."""
    found = (await by_ids(reads, [sender_id])).get(sender_id) if sender_id else None
    if found is None:
        raise NotFound("There is no such sender.", field=field)
    return found


async def get_default(reads: Reads) -> SenderRow | None:
    """The tenant's default sender, if there is one."""
    rows = await reads.rows_as(SenderRow, DEFAULT)
    return rows[0] if rows else None


async def page(reads: Reads, request: PageRequest) -> Page[SenderRow]:
    """A page of the senders by address; raises `CursorInvalid`."""
    statement = EVERY_SENDER.paged(BY_EMAIL, request)
    rows = await reads.rows_as(SenderRow, statement, pages.positions(BY_EMAIL, request))
    return pages.page_of(rows, BY_EMAIL, request)


async def count(reads: Reads) -> int:
    """How many senders there are."""
    return int((await reads.rows(HOW_MANY))[0][0])


async def confirmed_among(reads: Reads, norms: Sequence[str]) -> set[str]:
    """Those of the addresses that are confirmed senders of the tenant."""
    confirmed = select(Sender.email_norm).where(Sender.confirmed_at.is_not(None), Sender.email_norm.in_(norms))
    return {row[0] for row in await reads.rows(confirmed)}


async def confirmation_problems(reads: Reads, sender_ids: Sequence[UUID]) -> dict[UUID, str | None]:
    """Why each sender's last confirmation was not sent, or not yet; None where nothing is wrong with it."""
    rows: Sequence[Any] = await reads.rows(LATEST_MAILS, {"wanted": list(sender_ids)})
    found = {row[0]: row[2] or "It could not be sent in time." for row in rows if row[1] == OutboxStatus.FAILED}
    found |= {row[0]: row[2] for row in rows if row[1] == OutboxStatus.PENDING and row[2]}
    return {sender_id: found.get(sender_id) for sender_id in sender_ids}
