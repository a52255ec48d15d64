"""Tags of many contacts at once."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, select

from core.errors import ErrorCode, InvalidInput
from core.unit_of_work import UnitOfWork
from models.contacts import Contact, ContactTag
from services import audit
from services.contacts import storing
from services.contacts.fields import MAX_TAGS, tags, too_many_tags
from services.contacts.listing import CONTACTS

MAX_CONTACTS: Final = 1_000
CONTACT_IDS: Final = ("input", "contactIds")
TAGS: Final = ("input", "tags")


async def require_all(uow: UnitOfWork, contact_ids: Sequence[UUID | None]) -> list[UUID]:
    """The ids, each once, their contacts locked until the end.

    Raises `InvalidInput` above 1,000 of them, and `NotFound` naming the first that is no contact of the tenant's.
    """
    if len(contact_ids) > MAX_CONTACTS:
        raise InvalidInput(
            f"At most {MAX_CONTACTS} contacts at once; you named {len(contact_ids)}.",
            field=CONTACT_IDS,
            code=ErrorCode.TOO_MANY,
        )
    wanted = list(dict.fromkeys(contact_id for contact_id in contact_ids if contact_id is not None))
    locking = (
        select(Contact.id)
        .where(Contact.id.in_(wanted))
        .order_by(Contact.email_norm)  # the order in which upserts lock, so that they never deadlock
        .with_for_update(key_share=True)
    )
    found = {row[0] for row in await uow.rows(locking)} if wanted else set()
    for index, contact_id in enumerate(contact_ids):
        if contact_id not in found:
            raise CONTACTS.not_found((*CONTACT_IDS, str(index)))
    return wanted


def some_tags(given: Sequence[str]) -> list[str]:
    """The tags, checked; raises `InvalidInput`, also when there is none."""
    if not given:
        raise InvalidInput("Name at least one tag.", field=TAGS, code=ErrorCode.REQUIRED)
    return tags(given, TAGS)


async def add(uow: UnitOfWork, contact_ids: Sequence[UUID | None], given: Sequence[str]) -> list[UUID]:
    """Give every contact every tag; the ids. Raises `InvalidInput` or `NotFound`, and then changes nothing."""
    wanted = some_tags(given)
    ids = await require_all(uow, contact_ids)
    added = await storing.add_tags(uow, [(contact_id, tag) for contact_id in ids for tag in wanted])
    crowded = (
        select(ContactTag.contact_id)
        .where(ContactTag.contact_id.in_(ids))
        .group_by(ContactTag.contact_id)
        .having(func.count() > MAX_TAGS)
        .limit(1)
    )
    if await uow.rows(crowded):
        raise too_many_tags(TAGS)
    if added:
        await record(uow, "contact.tagged", ids, wanted)
    return ids


async def remove(uow: UnitOfWork, contact_ids: Sequence[UUID | None], given: Sequence[str]) -> list[UUID]:
    """Take every tag from every contact; the contacts' ids. Raises `InvalidInput` or `NotFound`."""
    wanted = some_tags(given)
    ids = await require_all(uow, contact_ids)
    removed = delete(ContactTag).where(ContactTag.contact_id.in_(ids), ContactTag.tag.in_(wanted))
    if (await uow.execute(removed)).rowcount:
        await record(uow, "contact.untagged", ids, wanted)
    return ids


async def record(uow: UnitOfWork, action: str, ids: Sequence[UUID], changed: Sequence[str]) -> None:
    """Write one audit record for all contacts."""
    await audit.record(uow, action, uow.tenant.organization_id, {"tags": list(changed), "contacts": len(ids)})
