"""Writing the histories of contacts."""

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
# How far the provider's times may differ when it reports the same thing by two kinds of events.
_MAX_TIME_DIFFERENCE: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactLine:
    """A line of a contact's history; a second one with the same key and time is not written.

    `is_repeat` marks a line that duplicates, with less detail, another line about the same message.
    """

    contact_id: UUID
    kind: ContactEventKind
    at: datetime
    dedupe_key: str
    campaign_id: UUID | None = None
    delivery_id: UUID | None = None
    data: dict[str, Any] = field(default_factory=dict)
    is_repeat: bool = False


async def write_lines(uow: UnitOfWork, lines: Sequence[ContactLine]) -> None:
    """Insert the lines, in one round trip."""
    rows = [
        {
            "organization_id": uow.tenant.organization_id,
            "occurred_at": line.at,
            "id": new_id(),
            "contact_id": line.contact_id,
            "campaign_id": line.campaign_id,
            "delivery_id": line.delivery_id,
            "kind": line.kind,
            "dedupe_key": f"{_REPEAT}{line.dedupe_key}" if line.is_repeat else line.dedupe_key,
            "data": line.data,
        }
        for line in lines
    ]
    if rows:
        await uow.execute(insert(ContactEvent).on_conflict_do_nothing(), rows)


async def remove_repeats(uow: UnitOfWork, lines: Sequence[ContactLine]) -> None:
    """Delete the stored repeats of these lines, which arrived later and have more detail."""
    better = [line for line in lines if line.delivery_id is not None and not line.is_repeat]
    if not better:
        return
    contacts = bindparam("contacts", sorted({line.contact_id for line in better}), type_=ARRAY(Uuid))
    ids = sorted({line.delivery_id for line in better if line.delivery_id is not None})
    deliveries = bindparam("deliveries", ids, type_=ARRAY(Uuid))
    kinds = bindparam("kinds", sorted({str(line.kind) for line in better}), type_=ARRAY(Text))
    await uow.execute(
        delete(ContactEvent).where(
            ContactEvent.organization_id == uow.tenant.organization_id,
            ContactEvent.occurred_at >= min(line.at for line in better) - _MAX_TIME_DIFFERENCE,
            ContactEvent.occurred_at <= max(line.at for line in better) + _MAX_TIME_DIFFERENCE,
            ContactEvent.contact_id == any_(contacts),
            ContactEvent.delivery_id == any_(deliveries),
            ContactEvent.kind == any_(kinds),
            ContactEvent.dedupe_key.startswith(_REPEAT),
        )
    )
