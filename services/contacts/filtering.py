"""Which contacts a query asks for.

Under Row Level Security LIKE is no index condition, as it is not leakproof: a search reads the rows of the caller's
organisation and no others, in the order of the list, and ends as soon as the page is full.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, not_, or_, select, true

from core import email_addresses
from models.contacts import Contact, ContactStatus, ContactTag
from models.folding import holds
from models.lists import ListMembership


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactFilter:
    """Every part that is given must hold. `every`, `some` and `none` nest."""

    statuses: Sequence[ContactStatus] | None = None
    tags_any: Sequence[str] | None = None
    tags_all: Sequence[str] = ()
    tags_none: Sequence[str] = ()
    lists_any: Sequence[UUID] | None = None
    created_from: datetime | None = None
    created_after: datetime | None = None
    created_to: datetime | None = None
    created_before: datetime | None = None
    email: str | None = None
    email_starts_with: str | None = None
    email_contains: str | None = None
    every: Sequence["ContactFilter"] = ()
    some: Sequence["ContactFilter"] | None = None
    none: "ContactFilter | None" = None


EVERYONE = ContactFilter()


def condition(wanted: ContactFilter) -> ColumnElement[bool]:
    """The filter as SQL."""
    parts = [*status_and_time(wanted), *email_parts(wanted), *belonging(wanted)]
    parts += [condition(inner) for inner in wanted.every]
    if wanted.some is not None:
        parts.append(or_(false(), *(condition(inner) for inner in wanted.some)))
    if wanted.none is not None:
        parts.append(not_(condition(wanted.none)))
    return and_(true(), *parts)


def status_and_time(wanted: ContactFilter) -> list[ColumnElement[bool]]:
    """Status and creation time."""
    parts: list[ColumnElement[bool]] = []
    if wanted.statuses is not None:
        parts.append(Contact.status.in_([str(status) for status in wanted.statuses]))
    if wanted.created_from is not None:
        parts.append(Contact.created_at >= wanted.created_from)
    if wanted.created_after is not None:
        parts.append(Contact.created_at > wanted.created_after)
    if wanted.created_to is not None:
        parts.append(Contact.created_at <= wanted.created_to)
    if wanted.created_before is not None:
        parts.append(Contact.created_at < wanted.created_before)
    return parts


def email_parts(wanted: ContactFilter) -> list[ColumnElement[bool]]:
    """The address, in the form in which addresses are compared."""
    parts: list[ColumnElement[bool]] = []
    if wanted.email is not None:
        parts.append(Contact.email_norm == email_addresses.asked(wanted.email))
    if wanted.email_starts_with is not None:
        parts.append(Contact.email_norm.startswith(email_addresses.part(wanted.email_starts_with), autoescape=True))
    if wanted.email_contains is not None:
        parts.append(Contact.email_norm.contains(email_addresses.part(wanted.email_contains), autoescape=True))
    return parts


def belonging(wanted: ContactFilter) -> list[ColumnElement[bool]]:
    """Tags and lists."""
    parts: list[ColumnElement[bool]] = []
    if wanted.tags_any is not None:
        parts.append(tagged(wanted.tags_any))
    parts += [tagged([tag]) for tag in dict.fromkeys(wanted.tags_all)]
    if wanted.tags_none:
        parts.append(not_(tagged(wanted.tags_none)))
    if wanted.lists_any is not None:
        parts.append(
            Contact.id.in_(select(ListMembership.contact_id).where(ListMembership.list_id.in_(wanted.lists_any)))
        )
    return parts


def tagged(tags: Sequence[str]) -> ColumnElement[bool]:
    """Contacts with at least one of the tags."""
    return Contact.id.in_(select(ContactTag.contact_id).where(ContactTag.tag.in_(tags)))


def matching(words: Sequence[str]) -> ColumnElement[bool]:
    """Contacts whose address or names hold every word somewhere, as the database folds case."""
    return and_(true(), *(or_(*(holds(Contact.search_text, form) for form in forms(word))) for word in words))


def forms(word: str) -> list[str]:
    """A word of a search, and how it would stand in an address if it was the address of an international domain."""
    return [word] if word.isascii() else list(dict.fromkeys([word, email_addresses.part(word)]))


def search_words(search: str | None, *, most: int = 5) -> list[str]:
    """The words of a search as they were typed; those beyond `most` narrow nothing."""
    return list(dict.fromkeys((search or "").split()))[:most]
