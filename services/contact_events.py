"""Writing the events of contacts' histories."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, any_, bindparam, delete
from sqlalchemy.dialects.postgresql import insert

from core.ids import new_id
from core.unit_of_work import UnitOfWork
from models.contact_events import ContactEvent, ContactEventKind

_REPEAT: Final = "repeat:"
# How far the provider's times may differ when it reports one occurrence by two kinds of events.
_MAX_TIME_DIFFERENCE: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewContactEvent:
    """An event to be added to a contact's history; a second one with the same key and time is not written.

    `is_repeat` marks an event that duplicates, with less detail, another one about the same message.
    """

    contact_id: UUID
    kind: ContactEventKind
    at: datetime
    dedupe_key: str
    campaign_id: UUID | None = None
    delivery_id: UUID | None = None
    data: dict[str, Any] = field(default_factory=dict)
    is_repeat: bool = False


async def write_contact_events(uow: UnitOfWork, events: Sequence[NewContactEvent]) -> None:
    """Insert events, in one round trip."""
    rows = [
        {
            "organization_id": uow.tenant.organization_id,
            "occurred_at": event.at,
            "id": new_id(),
            "contact_id": event.contact_id,
            "campaign_id": event.campaign_id,
            "delivery_id": event.delivery_id,
            "kind": event.kind,
            "dedupe_key": f"{_REPEAT}{event.dedupe_key}" if event.is_repeat else event.dedupe_key,
            "data": event.data,
        }
        for event in events
    ]
    if rows:
        await uow.execute(insert(ContactEvent).on_conflict_do_nothing(), rows)


async def remove_repeats(uow: UnitOfWork, events: Sequence[NewContactEvent]) -> None:
    """Delete the stored repeats of events that arrived later and have more detail."""
    detailed = [event for event in events if event.delivery_id is not None and not event.is_repeat]
    if not detailed:
        return
    contacts = bindparam("contacts", sorted({event.contact_id for event in detailed}), type_=ARRAY(Uuid))
    ids = sorted({event.delivery_id for event in detailed if event.delivery_id is not None})
    deliveries = bindparam("deliveries", ids, type_=ARRAY(Uuid))
    kinds = bindparam("kinds", sorted({str(event.kind) for event in detailed}), type_=ARRAY(Text))
    await uow.execute(
        delete(ContactEvent).where(
            ContactEvent.organization_id == uow.tenant.organization_id,
            ContactEvent.occurred_at >= min(event.at for event in detailed) - _MAX_TIME_DIFFERENCE,
            ContactEvent.occurred_at <= max(event.at for event in detailed) + _MAX_TIME_DIFFERENCE,
            ContactEvent.contact_id == any_(contacts),
            ContactEvent.delivery_id == any_(deliveries),
            ContactEvent.kind == any_(kinds),
            ContactEvent.dedupe_key.startswith(_REPEAT),
        )
    )
