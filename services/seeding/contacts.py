from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert

from core.ids import id_at
from core.unit_of_work import UnitOfWork
from models.contacts import Contact, ContactStatus, ContactTag
from models.lists import ContactList, ListMembership
from services.seeding.people import DemoContact

_PAGE = 1_000
_UNSUBSCRIBED_EVERY = 40


async def seed_contacts(uow: UnitOfWork, people: Sequence[DemoContact], now: datetime) -> list[UUID]:
    """Insert the contacts, with their tags and a list of the customers; returns their ids, in order."""
    organization_id = uow.tenant.organization_id
    rows = [_contact_row(organization_id, person, number, now) for number, person in enumerate(people)]
    ids = [row["id"] for row in rows]
    tags: list[dict[str, Any]] = [
        {"organization_id": organization_id, "contact_id": contact_id, "tag": tag}
        for contact_id, person in zip(ids, people, strict=True)
        for tag in person.tags
    ]
    for start in range(0, len(rows), _PAGE):
        await uow.execute(insert(Contact), rows[start : start + _PAGE])
    for start in range(0, len(tags), _PAGE):
        await uow.execute(insert(ContactTag), tags[start : start + _PAGE])
    await _seed_list(uow, [tag["contact_id"] for tag in tags if tag["tag"] == "customer"], now)
    return ids


def _contact_row(organization_id: UUID, person: DemoContact, number: int, now: datetime) -> dict[str, Any]:
    """The row of one contact; every fortieth has unsubscribed."""
    since = now - timedelta(days=person.days_ago, minutes=number)
    unsubscribed = number % _UNSUBSCRIBED_EVERY == _UNSUBSCRIBED_EVERY - 1
    return {
        "id": id_at(int(since.timestamp() * 1000)),
        "organization_id": organization_id,
        "email": person.email,
        "email_norm": person.email,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "time_zone": person.time_zone,
        "custom_fields": person.custom_fields,
        "status": ContactStatus.UNSUBSCRIBED if unsubscribed else ContactStatus.SUBSCRIBED,
        "created_at": since,
        "updated_at": since,
        "subscribed_at": since,
        "unsubscribed_at": since + timedelta(days=7) if unsubscribed else None,
    }


async def _seed_list(uow: UnitOfWork, members: Sequence[UUID], now: datetime) -> None:
    """Insert the list of customers."""
    organization_id = uow.tenant.organization_id
    list_id = id_at(int(now.timestamp() * 1000))
    await uow.execute(
        insert(ContactList).values(
            id=list_id, organization_id=organization_id, name="Customers", description="Everybody who has bought."
        )
    )
    await uow.execute(
        insert(ListMembership),
        [{"organization_id": organization_id, "list_id": list_id, "contact_id": member} for member in members],
    )
