"""From the API's filters and sorts to the service's."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from core import texts
from core.errors import ErrorCode, InvalidInput
from core.listing.pages import Order
from resolvers.filtering import FILTER, bounded, directed
from schema.connections import SortDirection
from schema.contacts import ContactFilter, ContactSort, ContactSortField
from schema.nodes import uuid_of
from services import contacts

MOST_VALUES: Final = 100
LONGEST_TEXT: Final = 254
NEWEST: Final[Order[Any]] = directed(contacts.CREATED_AT, SortDirection.DESC)
ORDERS: Final[dict[ContactSortField, Order[Any]]] = {
    ContactSortField.CREATED_AT: contacts.CREATED_AT,
    ContactSortField.UPDATED_AT: contacts.UPDATED_AT,
    ContactSortField.EMAIL: contacts.EMAIL,
    ContactSortField.LAST_NAME: contacts.LAST_NAME,
}


def order_of(sort: ContactSort | None) -> Order[Any]:
    """The order asked for; newest first when none is."""
    return directed(ORDERS[sort.field], sort.direction) if sort else NEWEST


def filter_of(given: ContactFilter | None) -> contacts.ContactFilter:
    """The filter asked for; raises `InvalidInput` when it is too large or holds control characters."""
    return converted(bounded(given, inside)) if given else contacts.EVERYONE


def inside(given: ContactFilter) -> list[ContactFilter]:
    """The filters directly within a filter."""
    return [*(given.and_ or ()), *(given.or_ or ()), *([given.not_] if given.not_ else ())]


def converted(given: ContactFilter) -> contacts.ContactFilter:
    """A filter with all within it."""
    result = contacts.ContactFilter(
        every=[converted(inner) for inner in given.and_ or ()],
        some=None if given.or_ is None else [converted(inner) for inner in given.or_],
        none=converted(given.not_) if given.not_ else None,
    )
    if given.status:
        wanted = given.status
        both = [each for each in ([wanted.eq] if wanted.eq else None, wanted.in_) if each is not None]
        if both:
            result = replace(result, statuses=[each for each in both[0] if each in both[-1]])
    if given.tags:
        result = replace(
            result,
            tags_any=None if given.tags.has_any is None else tags(given.tags.has_any),
            tags_all=tags(given.tags.has_all or ()),
            tags_none=tags(given.tags.has_none or ()),
        )
    if given.list_ids is not None:
        ids = [uuid_of("List", value) for value in few(given.list_ids, "listIds")]
        result = replace(result, lists_any=[list_id for list_id in ids if list_id])
    if given.created_at:
        time = given.created_at
        result = replace(
            result, created_from=time.gte, created_after=time.gt, created_to=time.lte, created_before=time.lt
        )
    if given.email:
        result = replace(
            result,
            email=text(given.email.eq),
            email_starts_with=text(given.email.starts_with),
            email_contains=text(given.email.contains),
        )
    return result


def few(values: Sequence[str], name: str) -> Sequence[str]:
    """The values; raises `InvalidInput` for more than 100."""
    if len(values) > MOST_VALUES:
        raise InvalidInput(f"At most {MOST_VALUES} values.", field=(*FILTER, name), code=ErrorCode.TOO_MANY)
    return values


def tags(values: Sequence[str]) -> list[str]:
    """Tags to compare with, as tags are stored."""
    return [contacts.asked_tag(value, (*FILTER, "tags")) for value in few(values, "tags")]


def text(value: str | None) -> str | None:
    """An address or a part of one."""
    return None if value is None else texts.line(value, field=(*FILTER, "email"), most=LONGEST_TEXT)
