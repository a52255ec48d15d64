"""Tagging many contacts in one call."""

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

_MAX_CONTACTS: Final = 1_000
_CONTACT_IDS: Final = ("input", "contactIds")
_TAGS: Final = ("input", "tags")


async def require_all(uow: UnitOfWork, contact_ids: Sequence[UUID | None]) -> list[UUID]:
    """The ids without duplicates; locks the contacts until the transaction ends.

    Raises `InvalidInput` for more than 1,000, and `NotFound` for the first id that is not a contact of the tenant.
    """
    if len(contact_ids) > _MAX_CONTACTS:
        raise InvalidInput(
            f"At most {_MAX_CONTACTS} contacts in one call; this call has {len(contact_ids)}.",
            field=_CONTACT_IDS,
            code=ErrorCode.TOO_MANY,
        )
    requested = list(dict.fromkeys(contact_id for contact_id in contact_ids if contact_id is not None))
    locking = (
        select(Contact.id)
        .where(Contact.id.in_(requested))
        .order_by(Contact.email_norm)  # upserts lock in the same order, so that they never deadlock
        .with_for_update(key_share=True)
    )
    existing = {row[0] for row in await uow.rows(locking)} if requested else set()
    for index, contact_id in enumerate(contact_ids):
        if contact_id not in existing:
            raise CONTACTS.not_found((*_CONTACT_IDS, str(index)))
    return requested


def _require_tags(tag_names: Sequence[str]) -> list[str]:
    """The validated tags; raises `InvalidInput`, also if there is none."""
    if not tag_names:
        raise InvalidInput("At least one tag is required.", field=_TAGS, code=ErrorCode.REQUIRED)
    return tags(tag_names, _TAGS)


async def add(uow: UnitOfWork, contact_ids: Sequence[UUID | None], tag_names: Sequence[str]) -> list[UUID]:
    """Add each tag to each contact; returns the contacts' ids. Raises `InvalidInput` or `NotFound`."""
    tags_to_add = _require_tags(tag_names)
    ids = await require_all(uow, contact_ids)
    added = await storing.add_tags(uow, [(contact_id, tag) for contact_id in ids for tag in tags_to_add])
    over_limit = (
        select(ContactTag.contact_id)
        .where(ContactTag.contact_id.in_(ids))
        .group_by(ContactTag.contact_id)
        .having(func.count() > MAX_TAGS)
        .limit(1)
    )
    if await uow.rows(over_limit):
        raise too_many_tags(_TAGS)
    if added:
        await _record(uow, "contact.tagged", ids, tags_to_add)
    return ids


async def remove(uow: UnitOfWork, contact_ids: Sequence[UUID | None], tag_names: Sequence[str]) -> list[UUID]:
    """Remove each tag from each contact; returns the contacts' ids. Raises `InvalidInput` or `NotFound`."""
    tags_to_remove = _require_tags(tag_names)
    ids = await require_all(uow, contact_ids)
    removed = delete(ContactTag).where(ContactTag.contact_id.in_(ids), ContactTag.tag.in_(tags_to_remove))
    if (await uow.execute(removed)).rowcount:
        await _record(uow, "contact.untagged", ids, tags_to_remove)
    return ids


async def _record(uow: UnitOfWork, action: str, ids: Sequence[UUID], changed: Sequence[str]) -> None:
    """Write one audit record for all contacts."""
    await audit.record(uow, action, uow.tenant.organization_id, {"tags": list(changed), "contacts": len(ids)})
