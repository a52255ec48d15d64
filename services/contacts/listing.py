"""Contacts as they are listed, found and counted.

Under Row Level Security LIKE is no index condition, as it is not leakproof: a search reads the rows of the caller's
organization and no others, in the order of the list, and ends as soon as the page is full.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, bindparam, func, literal_column, select

from core import email_addresses, texts
from core.database.prepared import prepare
from core.database.scopes import Reads
from core.ids import decode_id
from core.listing import fields
from core.listing.conditions import EVERYTHING, And, Condition, Contains, Or
from core.listing.listing import Listing
from core.listing.orders import Order
from models.contact_events import ContactEvent, ContactEventKind
from models.contacts import Contact, ContactStatus, ContactTag
from models.folding import holds
from models.lists import ListMembership
from services.contacts.fields import normalize_tag

MAX_SEARCH: Final = 200
MAX_SEARCH_WORDS: Final = 5
MAX_TAGS_LISTED: Final = 1_000
MAX_ADDRESS_PART: Final = 254


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


def _list_id(text: str, _: fields.Path) -> UUID | None:
    return decode_id("List", text)


EVENT_FIELDS: Final[fields.Fields] = {
    "kind": fields.EnumField(ContactEvent.kind, ContactEventKind),
    "occurredAt": fields.TimeField(ContactEvent.occurred_at),
}
FIELDS: Final[fields.Fields] = {
    "status": fields.EnumField(Contact.status, ContactStatus),
    "tags": fields.SetField(id=Contact.id, owner=ContactTag.contact_id, value=ContactTag.tag, check=normalize_tag),
    "listIds": fields.SetField(
        id=Contact.id, owner=ListMembership.contact_id, value=ListMembership.list_id, check=_list_id
    ),
    "createdAt": fields.TimeField(Contact.created_at),
    "email": fields.TextField(
        column=Contact.email_norm,
        max_length=MAX_ADDRESS_PART,
        whole=email_addresses.normalize_query,
        part=email_addresses.normalize_part,
    ),
    "searchText": fields.TextField(column=Contact.search_text, max_length=MAX_SEARCH, contains=holds),
    "events": fields.RelatedField(id=Contact.id, owner=ContactEvent.contact_id, fields=EVENT_FIELDS),
}
ORDERS: Final[Mapping[str, Order[Any]]] = {
    "created_at": Order(Contact.created_at),
    "updated_at": Order(Contact.updated_at),
    "email": Order(Contact.email_norm),
    "last_name": Order(Contact.last_name_norm),
}
CONTACTS: Final = Listing(
    ContactRow,
    Contact,
    FIELDS,
    noun="contact",
    id_field=("input", "contactId"),
    order=Order(Contact.created_at, descending=True),
    orders=ORDERS,
)
BY_EMAIL: Final = prepare(CONTACTS.select.where(Contact.email_norm == bindparam("wanted", type_=Text)))
TAGS_OF: Final = prepare(
    select(ContactTag.contact_id, ContactTag.tag)
    .where(ContactTag.contact_id == func.any(bindparam("wanted", type_=ARRAY(Uuid))))
    .order_by(ContactTag.contact_id, ContactTag.tag)
)
COUNT_BY_STATUS: Final = prepare(select(Contact.status, func.count().label("contacts")).group_by(Contact.status))
COUNT_BY_TAG: Final = prepare(
    select(ContactTag.tag, func.count().label("held"))
    .group_by(ContactTag.tag)
    .order_by(literal_column("held").desc(), ContactTag.tag)
    .limit(MAX_TAGS_LISTED)
)


async def by_email(reads: Reads, email: str) -> ContactRow | None:
    """The tenant's contact with this address, without regard to case; None also for what is no address."""
    try:
        norm = email_addresses.parse(email).norm
    except email_addresses.InvalidEmail:
        return None
    rows = await reads.rows_as(ContactRow, BY_EMAIL, {"wanted": norm})
    return rows[0] if rows else None


def search_condition(search: str | None) -> Condition:
    """That address or names hold every word of the search somewhere, as the database folds case.

    Words beyond the fifth narrow nothing. Raises `InvalidInput` for more than 200 characters.
    """
    if not search:
        return EVERYTHING
    words = texts.clean_line(search, field=("search",), max_length=MAX_SEARCH).split()
    return And(
        tuple(
            Or(tuple(Contains("searchText", form) for form in _forms(word)))
            for word in list(dict.fromkeys(words))[:MAX_SEARCH_WORDS]
        )
    )


def _forms(word: str) -> list[str]:
    """A word of a search, and how it would stand in an address if it was the address of an international domain."""
    return [word] if word.isascii() else list(dict.fromkeys([word, email_addresses.normalize_part(word)]))


async def count_by_status(reads: Reads) -> dict[ContactStatus, int]:
    """How many contacts stand in each status; every status is there."""
    rows = await reads.rows(COUNT_BY_STATUS)
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
    return {row[0]: row[1] for row in await reads.rows(COUNT_BY_TAG)}
