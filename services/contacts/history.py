"""What happened to contacts, newest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Select, Uuid, bindparam, column, func, select, true

from core.database.prepared import prepare
from core.database.scopes import Reads
from core.listing import pages
from core.listing.pages import Order, Page, PageRequest
from models.contact_events import ContactEvent


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
WANTED: Final = (
    func.unnest(bindparam("wanted", type_=ARRAY(Uuid)))
    .table_valued(column("contact_id", Uuid), name="wanted")
    .render_derived()
)


def of_each(page: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """The page of each of the wanted contacts."""
    events = page.correlate(WANTED).lateral("events")
    return select(events).select_from(WANTED.join(events, true()))


EVENTS: Final = pages.WholeList(select(*COLUMNS).where(ContactEvent.contact_id == WANTED.c.contact_id), of_each)


async def events_of(reads: Reads, contact_ids: Sequence[UUID], request: PageRequest) -> dict[UUID, Page[EventRow]]:
    """The same page of each contact's events, in one statement; raises `CursorInvalid`."""
    given = {"wanted": list(contact_ids), **pages.positions(NEWEST, request)}
    found: dict[UUID, list[EventRow]] = {contact_id: [] for contact_id in contact_ids}
    for row in await reads.rows_as(EventRow, EVENTS.paged(NEWEST, request), given):
        found[row.contact_id].append(row)
    return {contact_id: pages.page_of(events_, NEWEST, request) for contact_id, events_ in found.items()}


BY_IDS: Final = prepare(
    select(*COLUMNS).where(
        ContactEvent.organization_id == bindparam("organization", type_=Uuid),
        ContactEvent.id == func.any(bindparam("wanted", type_=ARRAY(Uuid))),
    )
)


async def events_by_ids(reads: Reads, event_ids: Sequence[UUID]) -> dict[UUID, EventRow]:
    """The tenant's events among the ids."""
    wanted = {"organization": reads.tenant.organization_id, "wanted": list(event_ids)}
    return {row.id: row for row in await reads.rows_as(EventRow, BY_IDS, wanted)}
