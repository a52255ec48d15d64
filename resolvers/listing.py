"""From the arguments of a list to its service's: which page, which rows, in which order."""

from collections.abc import Mapping
from enum import Enum
from functools import partial
from typing import Any, Final, Protocol

from strawberry.types.base import get_object_definition
from strawberry.types.unset import UNSET
from strawberry.utils.str_converters import to_camel_case

from core.listing.conditions import EVERYTHING, Condition
from core.listing.fields import Fields
from core.listing.filters import PATH, parse_filter
from core.listing.listing import Listing
from core.listing.orders import Order
from core.listing.pages import PageRequest
from execution import rows
from resolvers.connections import connection_of
from resolvers.context import Info
from resolvers.inputs import null_refused
from schema.connections import Connection, SortDirection

SHOWN_AT: Final = (("edges", "node"), ("nodes",))


class Sort(Protocol):
    """A sort input: the values of its fields are the names of the listing's orders."""

    field: Any
    direction: SortDirection


def parse(given: object | None, fields: Fields) -> Condition:
    """The condition that a filter input says; raises `InvalidInput` when it is too large or a value does not fit."""
    return EVERYTHING if given is None else parse_filter(_plain(given, PATH), fields)


def _plain(given: object, path: tuple[str, ...]) -> Mapping[str, Any]:
    """An input as plain values by the API's names, without what was left out; raises `InvalidInput` for a null."""
    definition = get_object_definition(given, strict=True)
    names = {field.python_name: field.graphql_name or to_camel_case(field.python_name) for field in definition.fields}
    values = ((name, getattr(given, python_name)) for python_name, name in names.items())
    return {name: _plain_value(value, (*path, name)) for name, value in values if value is not UNSET}


def _plain_value(value: object, path: tuple[str, ...]) -> object:
    if value is None:
        raise null_refused(path)
    if isinstance(value, list):
        return [_plain_value(each, path) for each in value]
    return value if isinstance(value, Enum) or get_object_definition(value) is None else _plain(value, path)


def order_of(sort: Sort | None, listing: Listing[Any]) -> Order[Any]:
    """The order asked for; the listing's usual one when none is."""
    if sort is None:
        return listing.order
    return listing.orders[sort.field.value].directed(descending=sort.direction is SortDirection.DESC)


async def connection(
    info: Info,
    listing: Listing[Any],
    request: PageRequest,
    *,
    condition: Condition = EVERYTHING,
    order: Order[Any] | None = None,
) -> Connection[Any]:
    """A page of a listing whose rows are shown as they are: the columns that were selected, in one statement."""
    reads = info.context.reads
    columns = rows.selected_columns(info, listing.row, *SHOWN_AT)
    page = await listing.page(reads, request, order, condition, columns=columns)
    return connection_of(page, partial(listing.count, reads, condition))
