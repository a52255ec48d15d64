"""Creating, changing, deleting and unsubscribing one contact."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError

from core.errors import Conflict, ErrorCode, InputErrors, InvalidInput, NudgeError
from core.ids import new_id
from core.unit_of_work import UnitOfWork
from models.contact_events import ContactEventKind
from models.contacts import Contact, ContactStatus, ContactTag
from models.suppressions import SuppressionReason, SuppressionSource
from services import audit, lists
from services.contacts import storing
from services.contacts.fields import CheckedFields, UncheckedFields, check, is_same_value, merge
from services.contacts.listing import CONTACTS, ContactRow
from services.suppressions import suppressing
from services.suppressions.facts import HistoryEntry, SuppressionFact
from services.suppressions.statuses import status_at_new_address

_INPUT: Final = ("input",)
_LIST_IDS: Final = (*_INPUT, "listIds")
MAX_LISTS: Final = 100
_CREATABLE: Final = (ContactStatus.SUBSCRIBED, ContactStatus.PENDING, ContactStatus.UNSUBSCRIBED)


class EmailTaken(NudgeError):
    """Another contact of the organization has the address."""

    code = ErrorCode.TAKEN


async def create(
    uow: UnitOfWork,
    unchecked: UncheckedFields,
    *,
    status: ContactStatus = ContactStatus.SUBSCRIBED,
    list_ids: Sequence[UUID | None] = (),
) -> ContactRow:
    """Create a contact and add it to lists. For a suppressed address the suppression decides the status.

    Raises `InputErrors` with all invalid fields, `NotFound` for an unknown list, `EmailTaken`.
    """
    fields, errors = check({"email": None, **unchecked}, _INPUT)
    if status not in _CREATABLE:
        errors.append(
            InvalidInput(
                f"A contact cannot be created with the status {status.name}.",
                field=("input", "status"),
                suggestion=f"Use one of {', '.join(each.name for each in _CREATABLE)}.",
            )
        )
    if len(list_ids) > MAX_LISTS:
        errors.append(
            InvalidInput(
                f"At most {MAX_LISTS} lists in one call; this call has {len(list_ids)}.",
                field=_LIST_IDS,
                code=ErrorCode.TOO_MANY,
                suggestion="Add the contact to the others with `addToList`.",
            )
        )
    if errors:
        raise InputErrors(errors)
    existing_lists = await lists.require_all(uow, list_ids, _LIST_IDS)
    inserted = await storing.insert_new(uow, [storing.new_record(_new_contact_values(fields), status=status)])
    if not inserted:
        raise _email_taken()
    contact = inserted[0]
    await storing.add_tags(uow, [(contact.id, tag) for tag in fields.get("tags", [])])
    if existing_lists:
        await lists.add_members(uow, existing_lists, [contact.id])
    if contact.status == ContactStatus.SUBSCRIBED:
        await storing.add_events(uow, ContactEventKind.SUBSCRIBED, [contact.id])
    if contact.status == ContactStatus.UNSUBSCRIBED:
        await _suppress(uow, contact.id, contact.email_norm, contact.created_at)
    filled = sorted(key for key, value in unchecked.items() if value)
    await audit.record(
        uow, "contact.created", contact.id, {"status": contact.status, "fields": filled, "lists": len(existing_lists)}
    )
    return contact


def _new_contact_values(fields: CheckedFields) -> dict[str, Any]:
    """The columns of a new contact, without the custom fields that are null."""
    return {**fields, "custom_fields": merge({}, fields.get("custom_fields"), (*_INPUT, "customFields"))}


def _email_taken() -> EmailTaken:
    """The error for an address that another contact has."""
    return EmailTaken(
        "Another contact has this address.",
        field=("input", "email"),
        suggestion="Change that contact with `updateContact`, or use `upsertContacts`, which creates or changes it.",
    )


async def change(uow: UnitOfWork, contact_id: UUID | None, unchecked: UncheckedFields) -> ContactRow:
    """Change the given fields. Custom fields are merged, tags are replaced.

    The status is never set to subscribed; for a suppressed address the suppression decides it. Raises `NotFound`,
    `EmailTaken`, or `InputErrors` with all invalid fields.
    """
    contact = await CONTACTS.lock(uow, contact_id)
    fields, errors = check(unchecked, _INPUT)
    if errors:
        raise InputErrors(errors)
    values: dict[str, Any] = {key: value for key, value in fields.items() if key != "tags"}
    if "custom_fields" in fields:
        values["custom_fields"] = merge(contact.custom_fields, fields["custom_fields"], (*_INPUT, "customFields"))
    if values.get("email_norm", contact.email_norm) != contact.email_norm:
        values |= await status_at_new_address(
            uow, ContactStatus(contact.status), contact.unsubscribed_at, values["email_norm"]
        )
    changed = {key for key, value in values.items() if not is_same_value(getattr(contact, key), value)}
    row = await _update_row(uow, contact.id, values) if changed else contact
    if "tags" in fields and await _replace_tags(uow, contact.id, fields["tags"]):
        changed.add("tags")
    if changed:
        await audit.record(uow, "contact.updated", contact.id, {"changed": sorted(changed - {"email_norm"})})
    return row


async def _update_row(uow: UnitOfWork, contact_id: UUID, values: dict[str, Any]) -> ContactRow:
    """Update the row; raises `EmailTaken`."""
    try:
        return await _update_contact(uow, contact_id, values)
    except IntegrityError:  # the unique address is the only constraint that these values can break
        raise _email_taken() from None


async def _update_contact(uow: UnitOfWork, contact_id: UUID, values: dict[str, Any]) -> ContactRow:
    """Update the row."""
    changed = update(Contact).where(Contact.id == contact_id).values(**values, updated_at=func.clock_timestamp())
    return ContactRow._make((await uow.rows(changed.returning(*CONTACTS.columns)))[0])


async def _replace_tags(uow: UnitOfWork, contact_id: UUID, tags: Sequence[str]) -> bool:
    """Replace the contact's tags; returns whether that changed anything."""
    delete_others = delete(ContactTag).where(ContactTag.contact_id == contact_id, ContactTag.tag.not_in(tags))
    removed = (await uow.execute(delete_others)).rowcount
    added = await storing.add_tags(uow, [(contact_id, tag) for tag in tags])
    return bool(removed or added)


async def remove(uow: UnitOfWork, contact_id: UUID | None) -> ContactRow:
    """Delete the contact with its tags and memberships, and return it; suppressions and deliveries stay."""
    if contact_id is None:
        raise CONTACTS.not_found()
    rows = await uow.rows(delete(Contact).where(Contact.id == contact_id).returning(*CONTACTS.columns))
    if not rows:
        raise CONTACTS.not_found()
    contact = ContactRow._make(rows[0])
    await audit.record(uow, "contact.deleted", contact_id, {"status": contact.status})
    return contact


async def unsubscribe(uow: UnitOfWork, contact_id: UUID | None) -> ContactRow:
    """Unsubscribe the contact and suppress its address, with an event; idempotent.

    A contact that complained keeps that status. Raises `NotFound`, or `Conflict` if the address changes concurrently.
    """
    # Read without a lock: all transactions lock suppressions before contacts.
    rows = await uow.rows(select(Contact.email_norm, func.now().label("now")).where(Contact.id == contact_id))
    if contact_id is None or not rows:
        raise CONTACTS.not_found()
    changed = await _suppress(uow, contact_id, rows[0].email_norm, rows[0].now)
    contact = await CONTACTS.lock(uow, contact_id)
    if contact.email_norm != rows[0].email_norm:
        raise Conflict(
            "The contact's address was changed by another request, so this call changed nothing.",
            field=CONTACTS.id_field,
            suggestion="Repeat the call, so that the new address is suppressed.",
        )
    if changed:
        await audit.record(uow, "contact.unsubscribed", contact_id)
    return contact


async def _suppress(uow: UnitOfWork, contact_id: UUID, email_norm: str, now: datetime) -> set[UUID]:
    """Suppress the contact's address as unsubscribed; returns the contacts whose row changed."""
    entry = HistoryEntry(kind=ContactEventKind.UNSUBSCRIBED, dedupe_key=f"unsubscribe:{new_id()}", only_if_new=True)
    fact = SuppressionFact(
        email_norm=email_norm,
        reason=SuppressionReason.UNSUBSCRIBED,
        source=SuppressionSource.OWN,
        at=now,
        entry=entry,
        contact_id=contact_id,
    )
    return await suppressing.suppress(uow, [fact])
