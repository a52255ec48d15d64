"""Types that are read straight from rows: no object is made of a row that goes into an answer as it is.

    rows.register(Contact, ContactRow, id=Column("id", contact_id), status=Column("status", ContactStatus))

declares that resolvers of `Contact` may also give named tuples of the class `ContactRow`. A field of the type is read
from the column of the same name, or as its `Column` says. Build the schema with
`StrawberryConfig(default_resolver=rows.read)`, so that Strawberry reads rows the same way when it executes an
operation itself. Values of the type are then told by their class (the type's own, a row class, or an interface's) or
by `strawberry.cast`. A generic type is registered once for all that is made of it. `rows.selected` says which columns
an operation needs.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from graphql import GraphQLObjectType, GraphQLResolveInfo
from strawberry.types.base import StrawberryObjectDefinition, get_object_definition

from execution.selections import Nodes, selected_fields
from execution.strawberry_private import CAST, definition_behind, raw_info


@dataclass(frozen=True, slots=True)
class Column:
    """Where a field's value stands in the row, and what makes the value that the field shows of it.

    `convert` is not called for None, and may be called again for a row; the class of an enum makes the member of that
    value.
    """

    name: str
    convert: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class RowReader:
    """How fields (by their Python names) are read from rows of a class: (position, conversion).

    Other fields of the type are methods, which need the columns that `needed` names for them, or else `always`.
    """

    row: type[tuple[Any, ...]]
    type_: type
    columns: dict[str, tuple[int, Callable[[Any], Any] | None]]
    needed: Mapping[str, frozenset[str]]
    always: frozenset[str]

    def needed_by(self, method: str) -> frozenset[str]:
        """The columns that a method or a property of the rows needs."""
        return self.needed.get(method, self.always)

    def column(self, index: int) -> str:
        """The name of a column."""
        name: str = self.row._fields[index]  # type: ignore[attr-defined]
        return name


class Members(dict[Any, Enum]):
    """The members of an enum by their values; what else there is, its `_missing_` says."""

    def __init__(self, enum: type[Enum]) -> None:
        super().__init__({member.value: member for member in enum})
        self.enum = enum

    def __missing__(self, value: Any) -> Enum:
        return self.enum(value)


READERS: dict[type, RowReader] = {}
ROWS_OF: dict[type | None, list[RowReader]] = {}


def register(
    type_: type,
    row: type[tuple[Any, ...]],
    needed: Iterable[str] | Mapping[str, Iterable[str]] = (),
    /,
    **columns: Column,
) -> None:
    """Let the Strawberry type be read from rows, before a schema is built of it. A row class belongs to one type.

    `needed` names the columns that the type's methods read, and those of fields that are properties of the row: of
    each by its Python name, or for all of them together. Raises `ValueError` for what does not fit.
    """
    names: tuple[str, ...] | None = getattr(row, "_fields", None)
    definition = get_object_definition(type_, strict=True)
    if names is None or row in READERS:
        raise ValueError(f"{row.__name__} must be the named tuple of one type")
    read_by = {name: (index, None) for index, name in enumerate(names)} | {
        field: (position(names, column, row), conversion(column.convert)) for field, column in columns.items()
    }
    each = {name: frozenset(of) for name, of in needed.items()} if isinstance(needed, Mapping) else {}
    always = frozenset() if isinstance(needed, Mapping) else frozenset(needed)
    for name in always.union(*each.values()):
        position(names, Column(name), row)
    reader = RowReader(row, definition.origin, read_by, each, always)
    READERS[row] = reader
    ROWS_OF.setdefault(definition.origin, []).append(reader)
    accept(definition, row)


def position(names: tuple[str, ...], column: Column, row: type) -> int:
    """The column's position; raises `ValueError` when the row has no such column."""
    if column.name not in names:
        raise ValueError(f"{row.__name__} has no column {column.name!r}")
    return names.index(column.name)


def conversion(convert: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    """The conversion; for the class of an enum the look-up of its members, which is quicker than the class."""
    if isinstance(convert, type) and issubclass(convert, Enum):
        return Members(convert).__getitem__
    return convert


def readers_of(definition: StrawberryObjectDefinition) -> list[RowReader]:
    """How rows are read as the type."""
    return next((ROWS_OF[origin] for origin in origins_of(definition) if origin in ROWS_OF), [])


def origins_of(definition: StrawberryObjectDefinition) -> list[type]:
    """The class of the type, and that of the generic type that it was made of."""
    generic = definition.concrete_of
    return [definition.origin] if generic is None else [definition.origin, generic.origin]


def accept(definition: StrawberryObjectDefinition, row: type) -> None:
    """Let rows pass as values of the type, where it asks."""
    before = definition.is_type_of
    classes = (definition.origin, row, *(interface.origin for interface in definition.interfaces))

    def is_type_of(value: Any, info: GraphQLResolveInfo[Any]) -> bool:
        if isinstance(value, classes) or getattr(value, CAST, None) in classes:
            return True
        return before is not None and before(value, info)

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


def selected(info: Any, row: type[tuple[Any, ...]], *paths: tuple[str, ...]) -> frozenset[str]:
    """The columns that the operation needs of rows of the class, which stand at these paths under the field.

    The path of the field itself is `()`. A method of the type takes what its registration calls `needed`. Takes the
    `info` of Strawberry or of graphql-core. In a compiled operation it costs a look-up.
    """
    nodes = raw_info(info).field_nodes
    if not isinstance(nodes, Nodes):
        return needed_columns(info, READERS[row], paths)
    found = nodes.known.get((row, paths))
    if found is None:
        found = nodes.known[row, paths] = needed_columns(info, READERS[row], paths)
    return found


def needed_columns(info: Any, reader: RowReader, paths: Iterable[tuple[str, ...]]) -> frozenset[str]:
    """The columns behind the fields that are selected at the paths."""
    selection = selected_fields(info)
    fields = fields_of(raw_info(info), reader.type_)
    found: set[str] = set()
    for name in fields.keys() & {name for path in paths for name in selection.at(*path)}:
        python_name, is_method = fields[name]
        read_by = None if is_method else reader.columns.get(python_name)
        found |= reader.needed_by(python_name) if read_by is None else {reader.column(read_by[0])}
    return frozenset(found)


def fields_of(info: GraphQLResolveInfo[Any], type_: type) -> dict[str, tuple[str, bool]]:
    """The Python names of a type's fields by their names in the schema, and whether they are methods."""
    for known in info.schema.type_map.values():
        definition = definition_behind(known)
        if isinstance(known, GraphQLObjectType) and definition is not None and type_ in origins_of(definition):
            behind = {name: definition_behind(field) for name, field in known.fields.items()}
            return {
                name: (field.python_name, field.base_resolver is not None) for name, field in behind.items() if field
            }
    raise ValueError(f"{type_.__name__} is no type of this schema")
