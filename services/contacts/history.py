"""What happened to contacts, newest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, column, func, select, true

from core.db import Reads
from models.contacts import ContactEvent
from services import pages
from services.pages import Order, Page, PageRequest


class EventRow(NamedTuple):
    """An event; `kind` is a value of `ContactEventKind`."""

    id: UUID
    contact_id: UUID
    kind: str
    occurred_at: datetime
    campaign_id: UUID | None
    data: dict[str, Any]


COLUMNS: Final = tuple(getattr(ContactEvent, name) for name in EventRow._fields)
NEWEST: Final = Order(
    name="events.occurred",
    key=ContactEvent.occurred_at,
    id=ContactEvent.id,
    keys=pages.MOMENTS,
    descending=True,
)


async def events_of(reads: Reads, contact_ids: Sequence[UUID], request: PageRequest) -> dict[UUID, Page[EventRow]]:
    """The same page of each contact's events, in one statement; raises `CursorInvalid`."""
    wanted = (
        func.unnest(bindparam("contact_ids", contact_ids, type_=ARRAY(Uuid)))
        .table_valued(column("contact_id", Uuid), name="wanted")
        .render_derived()
    )
    of_one = select(*COLUMNS).where(ContactEvent.contact_id == wanted.c.contact_id)
    events = pages.paged(of_one, NEWEST, request).correlate(wanted).lateral("events")
    rows = await reads.rows(select(events).select_from(wanted.join(events, true())))
    found: dict[UUID, list[EventRow]] = {contact_id: [] for contact_id in contact_ids}
    for row in map(EventRow._make, rows):
        found[row.contact_id].append(row)
    return {contact_id: pages.page_of(events_, NEWEST, request) for contact_id, events_ in found.items()}
