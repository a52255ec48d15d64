"""Reads of contacts: plain tuples, each list and each relation one statement."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Select, Text, Uuid, bindparam, func, literal_column, select

from core import email_addresses, texts
from core.database.prepared import prepare
from core.database.scopes import Reads
from core.errors import NotFound
from core.listing import pages
from core.listing.pages import Order, Page, PageRequest
from models.contacts import Contact, ContactStatus, ContactTag
from services.contacts.filtering import EVERYONE, ContactFilter, condition, matching, search_words

CONTACT_FIELD: Final = ("input", "contactId")
LONGEST_SEARCH: Final = 200
MOST_TAGS_LISTED: Final = 1_000


class ContactRow(NamedTuple):
    """A contact, as the tables have it; `status` is a value of `ContactStatus`."""

    id: UUID
    email: str
    email_norm: str
    first_name: str | None
    last_name: str | None
    last_name_norm: str
    status: str
    custom_fields: dict[str, Any]
    time_zone: str | None
    created_at: datetime
    updated_at: datetime
    subscribed_at: datetime | None
    unsubscribed_at: datetime | None

    @property
    def key(self) -> UUID:
        """The contact's id."""
        return self.id


COLUMNS: Final = tuple(getattr(Contact, name) for name in ContactRow._fields)

CREATED_AT: Final = Order(
    name="contacts.created",
    key=Contact.created_at,
    id=Contact.id,
    keys=pages.MOMENTS,
)
UPDATED_AT: Final = Order(
    name="contacts.updated",
    key=Contact.updated_at,
    id=Contact.id,
    keys=pages.MOMENTS,
)
EMAIL: Final = Order(
    name="contacts.email",
    key=Contact.email_norm,
    id=Contact.id,
    keys=pages.TEXTS,
)
LAST_NAME: Final = Order(
    name="contacts.lastName",
    key=Contact.last_name_norm,
    id=Contact.id,
    keys=pages.TEXTS,
)


def select_contacts() -> Select[*tuple[Any, ...]]:
    """A select of the columns of `ContactRow`."""
    return select(*COLUMNS)


EVERY_CONTACT: Final = pages.WholeList(select_contacts())
BY_ID: Final = prepare(select_contacts().where(Contact.id == bindparam("wanted", type_=Uuid)))
BY_EMAIL: Final = prepare(select_contacts().where(Contact.email_norm == bindparam("wanted", type_=Text)))
BY_IDS: Final = prepare(select_contacts().where(Contact.id == func.any(bindparam("wanted", type_=ARRAY(Uuid)))))
TAGS_OF: Final = prepare(
    select(ContactTag.contact_id, ContactTag.tag)
    .where(ContactTag.contact_id == func.any(bindparam("wanted", type_=ARRAY(Uuid))))
    .order_by(ContactTag.contact_id, ContactTag.tag)
)
HOW_MANY: Final = prepare(select(func.count().label("how_many")).select_from(Contact))
HOW_MANY_BY_STATUS: Final = prepare(select(Contact.status, func.count().label("how_many")).group_by(Contact.status))
HOW_MANY_BY_TAG: Final = prepare(
    select(ContactTag.tag, func.count().label("held"))
    .group_by(ContactTag.tag)
    .order_by(literal_column("held").desc(), ContactTag.tag)
    .limit(MOST_TAGS_LISTED)
)


async def get(reads: Reads, contact_id: UUID) -> ContactRow | None:
    """The tenant's contact with this id, or None."""
    rows = await reads.rows_as(ContactRow, BY_ID, {"wanted": contact_id})
    return rows[0] if rows else None


async def by_email(reads: Reads, email: str) -> ContactRow | None:
    """The tenant's contact with this address, without regard to case; None also for what is no address."""
    try:
        norm = email_addresses.parse(email).norm
    except email_addresses.InvalidEmail:
        return None
    rows = await reads.rows_as(ContactRow, BY_EMAIL, {"wanted": norm})
    return rows[0] if rows else None


async def by_ids(reads: Reads, contact_ids: Sequence[UUID]) -> dict[UUID, ContactRow]:
    """The tenant's contacts among these ids, in one statement."""
    rows = await reads.rows_as(ContactRow, BY_IDS, {"wanted": list(contact_ids)})
    return {row.id: row for row in rows}


def no_such_contact(field: tuple[str, ...] = CONTACT_FIELD) -> NotFound:
    """The one answer to every id that names no contact of the tenant."""
    return NotFound("There is no such contact.", field=field)


async def page(
    reads: Reads,
    request: PageRequest,
    order: Order[Any],
    wanted: ContactFilter = EVERYONE,
    search: str | None = None,
    *,
    columns: frozenset[str] | None = None,
) -> Page[ContactRow]:
    """A page of the contacts that match; raises `CursorInvalid`, or `InvalidInput` for a search that is too long.

    With `columns`, these (and the order's own) are read; others are None in the rows, or read as well.
    """
    if wanted is EVERYONE and not search:
        statement = EVERY_CONTACT.paged(order, request, columns)
    else:
        chosen = pages.narrowed(select_contacts(), order, columns)
        statement = pages.paged(narrowed(chosen, wanted, search), order, request)
    rows = await reads.rows_as(ContactRow, statement, pages.positions(order, request))
    return pages.page_of(rows, order, request)


def narrowed(
    statement: Select[*tuple[Any, ...]], wanted: ContactFilter, search: str | None
) -> Select[*tuple[Any, ...]]:
    """The statement with the filter and the search as its conditions."""
    if wanted is not EVERYONE:
        statement = statement.where(condition(wanted))
    if search:
        statement = statement.where(
            matching(search_words(texts.line(search, field=("search",), most=LONGEST_SEARCH)))
        )
    return statement


async def count(reads: Reads, wanted: ContactFilter = EVERYONE, search: str | None = None) -> int:
    """How many contacts match."""
    rows = await reads.rows(narrowed(HOW_MANY, wanted, search))
    return int(rows[0][0])


async def count_by_status(reads: Reads) -> dict[ContactStatus, int]:
    """How many contacts stand in each status; every status is there."""
    rows = await reads.rows(HOW_MANY_BY_STATUS)
    counted = {row[0]: row[1] for row in rows}
    return {status: counted.get(status, 0) for status in ContactStatus}


async def tags_of(reads: Reads, contact_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    """The tags of each contact in alphabetical order, in one statement."""
    rows = await reads.rows(TAGS_OF, {"wanted": list(contact_ids)})
    found: dict[UUID, list[str]] = {contact: [] for contact in contact_ids}
    for contact, tag in rows:
        found[contact].append(tag)
    return found


async def tag_counts(reads: Reads) -> Mapping[str, int]:
    """Up to 1,000 tags and how many contacts have each, the most used first."""
    return {row[0]: row[1] for row in await reads.rows(HOW_MANY_BY_TAG)}
