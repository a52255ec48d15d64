"""Lists: named sets of contacts that a campaign can be sent to."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, delete, func, join, literal, select, true
from sqlalchemy.dialects.postgresql import insert

from core import texts
from core.database.prepared import prepare
from core.database.scopes import Reader
from core.errors import ErrorCode, InputErrors, InvalidInput, NudgeError
from core.ids import new_id
from core.listing.listing import Listing
from core.listing.orders import Order
from core.unit_of_work import UnitOfWork
from models.contacts import Contact
from models.lists import ContactList, ListMembership
from services import audit

_MAX_NAME: Final = 100
_MAX_DESCRIPTION: Final = 1_000


class ListRow(NamedTuple):
    """A contact list, without its members."""

    id: UUID
    name: str
    description: str | None
    created_at: datetime


LISTS: Final = Listing(ListRow, ContactList, noun="list", id_field=("input", "listId"), order=Order(ContactList.name))
_ANY_WANTED: Final = func.any(bindparam("wanted", type_=ARRAY(Uuid)))
_COUNT_MEMBERS: Final = prepare(
    select(ListMembership.list_id, func.count().label("members"))
    .where(ListMembership.list_id == _ANY_WANTED)
    .group_by(ListMembership.list_id)
)
_OF_CONTACTS: Final = prepare(
    select(ListMembership.contact_id, *LISTS.columns)
    .join(ContactList, ContactList.id == ListMembership.list_id)
    .where(ListMembership.contact_id == _ANY_WANTED)
    .order_by(ContactList.name)
)


class ListNameTaken(NudgeError):
    """The organization already has a list of this name."""

    code = ErrorCode.TAKEN


async def create(uow: UnitOfWork, name: str, description: str | None = None) -> ListRow:
    """Create an empty list; raises `InputErrors` or `ListNameTaken`."""
    errors: list[NudgeError] = []
    values: dict[str, Any] = {"id": new_id(), "organization_id": uow.tenant.organization_id}
    try:
        values["name"] = texts.clean_line(name, field=("input", "name"), max_length=_MAX_NAME)
        if not values["name"]:
            errors.append(InvalidInput("A list needs a name.", field=("input", "name"), code=ErrorCode.REQUIRED))
    except InvalidInput as error:
        errors.append(error)
    try:
        described = texts.clean_prose(description or "", field=("input", "description"), max_length=_MAX_DESCRIPTION)
        values["description"] = described.strip() or None
    except InvalidInput as error:
        errors.append(error)
    if errors:
        raise InputErrors(errors)
    rows = await uow.rows(insert(ContactList).values(values).on_conflict_do_nothing().returning(*LISTS.columns))
    if not rows:
        raise ListNameTaken("A list with this name already exists.", field=("input", "name"))
    await audit.record(uow, "list.created", rows[0].id, {"name": values["name"]})
    return ListRow._make(rows[0])


async def require_all(reads: Reader, list_ids: Sequence[UUID | None], field: tuple[str, ...]) -> list[UUID]:
    """The ids without duplicates; raises `NotFound` for the first id that is not a list of the tenant."""
    requested = [list_id for list_id in list_ids if list_id is not None]
    rows = await reads.rows(select(ContactList.id).where(ContactList.id.in_(requested))) if requested else ()
    existing = {row[0] for row in rows}
    for index, list_id in enumerate(list_ids):
        if list_id not in existing:
            raise LISTS.not_found((*field, str(index)))
    return list(dict.fromkeys(requested))


async def member_counts(reads: Reader, list_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many contacts are on each list, in one statement."""
    rows = await reads.rows(_COUNT_MEMBERS, {"wanted": list(list_ids)})
    counted = {row[0]: row[1] for row in rows}
    return {list_id: counted.get(list_id, 0) for list_id in list_ids}


async def of_contacts(reads: Reader, contact_ids: Sequence[UUID]) -> dict[UUID, list[ListRow]]:
    """The lists of each contact, ordered by name, in one statement."""
    rows = await reads.rows_as(tuple, _OF_CONTACTS, {"wanted": list(contact_ids)})
    lists: dict[UUID, list[ListRow]] = {contact_id: [] for contact_id in contact_ids}
    for contact_id, *values in rows:
        lists[contact_id].append(ListRow._make(values))
    return lists


async def add_members(uow: UnitOfWork, list_ids: Sequence[UUID], contact_ids: Sequence[UUID]) -> int:
    """Add each contact to each list, in one statement; returns how many memberships are new."""
    source = (
        select(literal(uow.tenant.organization_id), ContactList.id, Contact.id)
        .select_from(join(ContactList, Contact, true()))
        .where(ContactList.id == func.any(list(list_ids)), Contact.id == func.any(list(contact_ids)))
        .order_by(ContactList.id, Contact.id)  # always in this order, so that concurrent calls do not deadlock
    )
    statement = insert(ListMembership).from_select(["organization_id", "list_id", "contact_id"], source)
    added = await uow.rows(statement.on_conflict_do_nothing().returning(ListMembership.list_id))
    counted = Counter(row.list_id for row in added)
    await audit.record_each(
        uow,
        "list_member.added",
        {list_id: {"contacts": counted[list_id]} for list_id in list_ids if counted[list_id]},
    )
    return len(added)


async def remove_members(uow: UnitOfWork, list_id: UUID, contact_ids: Sequence[UUID]) -> int:
    """Remove contacts from a list; returns how many were on it."""
    statement = delete(ListMembership).where(
        ListMembership.list_id == list_id, ListMembership.contact_id.in_(contact_ids)
    )
    removed = (await uow.execute(statement)).rowcount
    if removed:
        await audit.record(uow, "list_member.removed", list_id, {"contacts": removed})
    return removed
