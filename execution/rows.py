"""Types that are read straight from rows: no object is made of a row that goes into an answer as it is.

    rows.register(Contact, ContactRow, id=Column("id", contact_id), status=Column("status", ContactStatus))

declares that resolvers of `Contact` may also give named tuples of the class `ContactRow`. A field of the type is read
from the column of the same name, or as its `Column` says. Build the schema with
`StrawberryConfig(default_resolver=rows.read)`, so that Strawberry reads rows the same way when it executes an
operation itself. Values of the type are then told by their class: the type's own, a row class, or an interface's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLResolveInfo
from strawberry.types.base import StrawberryObjectDefinition, get_object_definition


@dataclass(frozen=True, slots=True)
class Column:
    """Where a field's value stands in the row, and what makes the value that the field shows of it.

    `convert` is not called for None.
    """

    name: str
    convert: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class RowReader:
    """How fields (by their Python names) are read from rows of a class: (position, conversion)."""

    row: type[tuple[Any, ...]]
    columns: dict[str, tuple[int, Callable[[Any], Any] | None]]


READERS: dict[type, RowReader] = {}
ROWS_OF: dict[type | None, list[RowReader]] = {}


def register(type_: type, row: type[tuple[Any, ...]], **columns: Column) -> None:
    """Let the Strawberry type be read from rows, before a schema is built of it. A row class belongs to one type.

    Raises `ValueError` for a row or column that does not fit.
    """
    names: tuple[str, ...] | None = getattr(row, "_fields", None)
    definition = get_object_definition(type_, strict=True)
    if names is None or row in READERS:
        raise ValueError(f"{row.__name__} must be the named tuple of one type")
    read_by = {name: (index, None) for index, name in enumerate(names)} | {
        field: (position(names, column, row), column.convert) for field, column in columns.items()
    }
    reader = RowReader(row, read_by)
    READERS[row] = reader
    ROWS_OF.setdefault(definition.origin, []).append(reader)
    accept(definition, row)


def position(names: tuple[str, ...], column: Column, row: type) -> int:
    """The column's position; raises `ValueError` when the row has no such column."""
    if column.name not in names:
        raise ValueError(f"{row.__name__} has no column {column.name!r}")
    return names.index(column.name)


def accept(definition: StrawberryObjectDefinition, row: type) -> None:
    """Let rows pass as values of the type, where it asks."""
    before = definition.is_type_of
    classes = (definition.origin, row, *(interface.origin for interface in definition.interfaces))

    def is_type_of(value: Any, info: GraphQLResolveInfo[Any]) -> bool:
        return isinstance(value, classes) or (before is not None and before(value, info))

    is_type_of.by_class = before is None or getattr(before, "by_class", False)  # type: ignore[attr-defined]
    definition.is_type_of = is_type_of


def read(source: Any, name: str) -> Any:
    """A field's value, from a registered row or from an attribute: Strawberry's `default_resolver` for rows."""
    reader = READERS.get(type(source))
    if reader is None or name not in reader.columns:
        return getattr(source, name)
    index, convert = reader.columns[name]
    value = source[index]
    return value if convert is None or value is None else convert(value)
