"""The histories of contacts: their events, newest first."""

from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from core.listing.listing import Listing
from core.listing.orders import Order
from models.contact_events import ContactEvent


class EventRow(NamedTuple):
    """An event; `kind` is a value of `ContactEventKind`."""

    id: UUID
    contact_id: UUID
    kind: str
    occurred_at: datetime
    campaign_id: UUID | None
    data: dict[str, Any]


EVENTS: Final = Listing(
    EventRow,
    ContactEvent,
    noun="event",
    order=Order(ContactEvent.occurred_at, descending=True),
    parent=ContactEvent.contact_id,
)
