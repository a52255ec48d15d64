"""Reading, listing, searching and counting contacts.

LIKE is not leakproof, so under Row Level Security it cannot use an index: a search scans the organization's rows in
the order of the list, until the page is full.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, bindparam, func, literal_column, select

from core import email_addresses, texts
from core.database.prepared import prepare
from core.database.scopes import Reader
from core.ids import decode_id
from core.listing import fields
from core.listing.conditions import EVERYTHING, And, Condition, Contains, Or
from core.listing.listing import Listing
from core.listing.orders import Order
from models.contact_events import ContactEvent, ContactEventKind
from models.contacts import Contact, ContactStatus, ContactTag
from models.folding import contains_folded
from models.lists import ListMembership
from services.contacts.fields import normalize_tag

_MAX_SEARCH: Final = 200
_MAX_SEARCH_WORDS: Final = 5
_MAX_TAGS_LISTED: Final = 1_000
_MAX_ADDRESS_PART: Final = 254


class ContactRow(NamedTuple):
    """A contact; `status` is a value of `ContactStatus`."""

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


_EVENT_FIELDS: Final[fields.Fields] = {
    "kind": fields.EnumField(ContactEvent.kind, ContactEventKind),
    "occurredAt": fields.TimeField(ContactEvent.occurred_at),
}
_FIELDS: Final[fields.Fields] = {
    "status": fields.EnumField(Contact.status, ContactStatus),
    "tags": fields.SetField(
        id=Contact.id, owner=ContactTag.contact_id, value=ContactTag.tag, normalize=normalize_tag
    ),
    "listIds": fields.SetField(
        id=Contact.id, owner=ListMembership.contact_id, value=ListMembership.list_id, normalize=_list_id
    ),
    "createdAt": fields.TimeField(Contact.created_at),
    "email": fields.TextField(
        column=Contact.email_norm,
        max_length=_MAX_ADDRESS_PART,
        normalize=email_addresses.normalize_query,
        normalize_part=email_addresses.normalize_part,
    ),
    "searchText": fields.TextField(column=Contact.search_text, max_length=_MAX_SEARCH, contains=contains_folded),
    "events": fields.RelatedField(id=Contact.id, owner=ContactEvent.contact_id, fields=_EVENT_FIELDS),
}
_ORDERS: Final[Mapping[str, Order[Any]]] = {
    "created_at": Order(Contact.created_at),
    "updated_at": Order(Contact.updated_at),
    "email": Order(Contact.email_norm),
    "last_name": Order(Contact.last_name_norm),
}
CONTACTS: Final = Listing(
    ContactRow,
    Contact,
    _FIELDS,
    noun="contact",
    id_field=("input", "contactId"),
    order=Order(Contact.created_at, descending=True),
    orders=_ORDERS,
)
_BY_EMAIL: Final = prepare(CONTACTS.select.where(Contact.email_norm == bindparam("wanted", type_=Text)))
_TAGS_OF: Final = prepare(
    select(ContactTag.contact_id, ContactTag.tag)
    .where(ContactTag.contact_id == func.any(bindparam("wanted", type_=ARRAY(Uuid))))
    .order_by(ContactTag.contact_id, ContactTag.tag)
)
_COUNT_BY_STATUS: Final = prepare(select(Contact.status, func.count().label("contacts")).group_by(Contact.status))
_COUNT_BY_TAG: Final = prepare(
    select(ContactTag.tag, func.count().label("contacts"))
    .group_by(ContactTag.tag)
    .order_by(literal_column("contacts").desc(), ContactTag.tag)
    .limit(_MAX_TAGS_LISTED)
)


async def by_email(reads: Reader, email: str) -> ContactRow | None:
    """The tenant's contact with this address, case-insensitively; None also for an invalid address."""
    try:
        norm = email_addresses.parse(email).norm
    except email_addresses.InvalidEmail:
        return None
    rows = await reads.rows_as(ContactRow, _BY_EMAIL, {"wanted": norm})
    return rows[0] if rows else None


def search_condition(search: str | None) -> Condition:
    """A condition for contacts whose address or names contain each word of the search, case-insensitively.

    Words after the fifth are ignored. Raises `InvalidInput` for more than 200 characters.
    """
    if not search:
        return EVERYTHING
    words = texts.clean_line(search, field=("search",), max_length=_MAX_SEARCH).split()
    return And(
        tuple(
            Or(tuple(Contains("searchText", form) for form in _forms(word)))
            for word in list(dict.fromkeys(words))[:_MAX_SEARCH_WORDS]
        )
    )


def _forms(word: str) -> list[str]:
    """A word of a search, also in the form in which the address of an international domain is stored (punycode)."""
    return [word] if word.isascii() else list(dict.fromkeys([word, email_addresses.normalize_part(word)]))


async def count_by_status(reads: Reader) -> dict[ContactStatus, int]:
    """How many contacts have each status, 0 included."""
    rows = await reads.rows(_COUNT_BY_STATUS)
    counted = {row[0]: row[1] for row in rows}
    return {status: counted.get(status, 0) for status in ContactStatus}


async def tags_of(reads: Reader, contact_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    """The tags of each contact in alphabetical order, in one statement."""
    rows = await reads.rows(_TAGS_OF, {"wanted": list(contact_ids)})
    tags: dict[UUID, list[str]] = {contact: [] for contact in contact_ids}
    for contact, tag in rows:
        tags[contact].append(tag)
    return tags


async def tag_counts(reads: Reader) -> Mapping[str, int]:
    """The 1,000 most used tags, with how many contacts have each."""
    return {row[0]: row[1] for row in await reads.rows(_COUNT_BY_TAG)}
