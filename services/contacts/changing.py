"""Changes of one contact."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from core.errors import ErrorCode, InvalidInput, NudgeError, Refusals
from core.unit_of_work import UnitOfWork
from models.contacts import (
    Contact,
    ContactEventKind,
    ContactStatus,
    ContactTag,
    Suppression,
    SuppressionReason,
)
from services import audit, lists
from services.contacts import storing
from services.contacts.fields import Fields, GivenFields, check, merged, same
from services.contacts.reading import COLUMNS, ContactRow, no_such_contact

INPUT: Final = ("input",)
CREATABLE: Final = (ContactStatus.SUBSCRIBED, ContactStatus.PENDING, ContactStatus.UNSUBSCRIBED)


class EmailTaken(NudgeError):
    """Another contact of the organisation has the address."""

    code = ErrorCode.TAKEN


async def create(
    uow: UnitOfWork,
    given: GivenFields,
    *,
    status: ContactStatus = ContactStatus.SUBSCRIBED,
    list_ids: Sequence[UUID | None] = (),
) -> ContactRow:
    """A new contact, on the lists; an address on the suppression list gets the status it calls for.

    Raises `Refusals` with all that is wrong with the fields, `NotFound` for an unknown list, `EmailTaken`.
    """
    fields, errors = check({"email": None, **given}, INPUT)
    if status not in CREATABLE:
        errors.append(
            InvalidInput(
                f"A contact can't be created as {status.name}.",
                field=("input", "status"),
                suggestion=f"One of {', '.join(each.name for each in CREATABLE)}.",
            )
        )
    if errors:
        raise Refusals(errors)
    known = await lists.demand_all(uow, list_ids, ("input", "listIds"))
    inserted = await storing.insert_new(uow, [storing.new_record(stored(fields), status=status)])
    if not inserted:
        raise email_taken()
    contact = inserted[0]
    await storing.add_tags(uow, [(contact.id, tag) for tag in fields.get("tags", [])])
    for list_id in known:
        await lists.add_members(uow, list_id, [contact.id])
    if contact.status == ContactStatus.SUBSCRIBED:
        await storing.note(uow, ContactEventKind.SUBSCRIBED, [contact.id])
    if contact.status == ContactStatus.UNSUBSCRIBED:
        await suppress(uow, contact.email_norm)
    return contact


def stored(fields: Fields) -> dict[str, Any]:
    """Checked fields of a contact that is new, where a null of a custom field has nothing to remove."""
    return {**fields, "custom_fields": merged({}, fields.get("custom_fields"), (*INPUT, "customFields"))}


def email_taken() -> EmailTaken:
    """The refusal of an address that is taken."""
    return EmailTaken(
        "Another contact has this address.",
        field=("input", "email"),
        suggestion="Change that contact with updateContact, or use upsertContacts, which does either.",
    )


async def locked(uow: UnitOfWork, contact_id: UUID | None) -> ContactRow:
    """The contact, locked until the end; raises `NotFound`."""
    statement = select(*COLUMNS).where(Contact.id == contact_id).with_for_update(key_share=True)
    rows = await uow.rows(statement) if contact_id else ()
    if not rows:
        raise no_such_contact()
    return ContactRow._make(rows[0])


async def change(uow: UnitOfWork, contact_id: UUID | None, given: GivenFields) -> ContactRow:
    """Change the fields that are given: custom fields merge, tags replace.

    Nobody is subscribed by it again; an address on the suppression list takes the status it calls for.
    Raises `NotFound`, `EmailTaken`, or `Refusals` with all that is wrong with the fields.
    """
    contact = await locked(uow, contact_id)
    fields, errors = check(given, INPUT)
    if errors:
        raise Refusals(errors)
    values: dict[str, Any] = {key: value for key, value in fields.items() if key != "tags"}
    if "custom_fields" in fields:
        values["custom_fields"] = merged(contact.custom_fields, fields["custom_fields"], (*INPUT, "customFields"))
    if values.get("email_norm", contact.email_norm) != contact.email_norm:
        values |= await status_for(uow, values["email_norm"])
    if "tags" in fields:
        await replace_tags(uow, contact.id, fields["tags"])
    return await write(uow, contact, values)


async def status_for(uow: UnitOfWork, email_norm: str) -> dict[str, str]:
    """The status that the suppression list calls for, if the address is on it."""
    rows = await uow.rows(select(Suppression.reason).where(Suppression.email_norm == email_norm))
    return {"status": storing.STATUS_OF_SUPPRESSED[rows[0][0]]} if rows else {}


async def write(uow: UnitOfWork, contact: ContactRow, values: dict[str, Any]) -> ContactRow:
    """Update the row, if any value differs."""
    if all(same(getattr(contact, key), value) for key, value in values.items()):
        return contact
    try:
        return await store(uow, contact.id, values)
    except IntegrityError:  # the unique address is the only constraint that these values can break
        raise email_taken() from None


async def store(uow: UnitOfWork, contact_id: UUID, values: dict[str, Any]) -> ContactRow:
    """Update the row."""
    changed = update(Contact).where(Contact.id == contact_id).values(**values, updated_at=func.clock_timestamp())
    return ContactRow._make((await uow.rows(changed.returning(*COLUMNS)))[0])


async def replace_tags(uow: UnitOfWork, contact_id: UUID, tags: Sequence[str]) -> None:
    """Put the tags in place of the contact's."""
    await uow.execute(delete(ContactTag).where(ContactTag.contact_id == contact_id, ContactTag.tag.not_in(tags)))
    await storing.add_tags(uow, [(contact_id, tag) for tag in tags])


async def remove(uow: UnitOfWork, contact_id: UUID | None) -> ContactRow:
    """Delete the contact with its tags and memberships; suppressions and mail records stay. The row as it was."""
    if contact_id is None:
        raise no_such_contact()
    rows = await uow.rows(delete(Contact).where(Contact.id == contact_id).returning(*COLUMNS))
    if not rows:
        raise no_such_contact()
    await audit.record(uow, "contact.deleted", contact_id)
    return ContactRow._make(rows[0])


async def unsubscribe(uow: UnitOfWork, contact_id: UUID | None) -> ContactRow:
    """Never mail the contact again: its status, the suppression list, an event. A second time changes nothing.

    A contact that bounced or complained keeps that status. Raises `NotFound`.
    """
    contact = await locked(uow, contact_id)
    await suppress(uow, contact.email_norm)
    if contact.status not in {ContactStatus.SUBSCRIBED, ContactStatus.PENDING}:
        return contact
    await storing.note(uow, ContactEventKind.UNSUBSCRIBED, [contact.id])
    await audit.record(uow, "contact.unsubscribed", contact.id)
    return await store(uow, contact.id, {"status": ContactStatus.UNSUBSCRIBED, "unsubscribed_at": func.now()})


async def suppress(uow: UnitOfWork, email_norm: str) -> None:
    """Put the address on the suppression list, unless a reason is there already."""
    values = {
        "organization_id": uow.tenant.organization_id,
        "email_norm": email_norm,
        "reason": SuppressionReason.UNSUBSCRIBED,
    }
    await uow.execute(insert(Suppression).values(values).on_conflict_do_nothing())
