"""Converts the arguments of a list (page, filter, sort) to those of its service."""

from collections.abc import Iterable, Mapping
from enum import Enum
from functools import partial
from typing import Any, Final, Protocol

from strawberry.types.base import get_object_definition
from strawberry.types.unset import UNSET
from strawberry.utils.str_converters import to_camel_case

from core.errors import ErrorCode, InvalidInput
from core.listing.conditions import EVERYTHING, Condition
from core.listing.fields import Fields
from core.listing.filters import PATH, parse_filter
from core.listing.listing import Listing
from core.listing.orders import Order
from core.listing.pages import PageRequest
from execution import rows
from resolvers.connections import connection_of
from resolvers.context import Info
from resolvers.inputs import null_not_allowed
from schema.connections import Connection, SortDirection

NODE_PATHS: Final = (("edges", "node"), ("nodes",))


class Sort(Protocol):
    """A sort input: the values of its fields are the names of the listing's orders."""

    field: Any
    direction: SortDirection


def parse(filter_: object | None, fields: Fields) -> Condition:
    """The condition of a filter input; an empty one matches everything.

    Raises `InvalidInput` when it is too large, and for a value that is invalid or null. So it does for an empty input
    inside it, such as the `status` of a client that omitted the variable: it would match everything.
    """
    return EVERYTHING if filter_ is None else parse_filter(_plain(filter_, PATH), fields)


def _plain(filter_: object, path: tuple[str, ...]) -> Mapping[str, Any]:
    """An input as plain values by the API's names, without omitted fields.

    Raises `InvalidInput` for a null, and for an empty input that is not the filter itself.
    """
    definition = get_object_definition(filter_, strict=True)
    names = {field.python_name: field.graphql_name or to_camel_case(field.python_name) for field in definition.fields}
    values = ((name, getattr(filter_, python_name)) for python_name, name in names.items())
    plain = {name: _plain_value(value, (*path, name)) for name, value in values if value is not UNSET}
    if not plain and path != PATH:
        raise _empty_input(names.values(), path)
    return plain


def _plain_value(value: object, path: tuple[str, ...]) -> object:
    if value is None:
        raise null_not_allowed(path)
    if isinstance(value, list):
        return [_plain_value(each, path) for each in value]
    return value if isinstance(value, Enum) or get_object_definition(value) is None else _plain(value, path)


def _empty_input(names: Iterable[str], path: tuple[str, ...]) -> InvalidInput:
    """The error for an input inside a filter none of whose fields is there."""
    quoted = [f"`{name}`" for name in names]
    fields = quoted[0] if len(quoted) == 1 else f"at least one of {', '.join(quoted)}"
    return InvalidInput(
        f"`{path[-1]}` has a filter without any field.",
        field=path,
        code=ErrorCode.REQUIRED,
        suggestion=f"Set {fields}, or leave it out.",
    )


def order_of(sort: Sort | None, listing: Listing[Any]) -> Order[Any]:
    """The requested order, or the listing's default order."""
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
    """A page of a listing as a connection; one statement reads the selected columns."""
    reads = info.context.reads
    columns = rows.selected_columns(info, listing.row, *NODE_PATHS)
    page = await listing.page(reads, request, order, condition, columns=columns)
    return connection_of(page, partial(listing.count, reads, condition))
