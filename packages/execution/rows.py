"""Types that are read directly from database rows, without making objects of them.

    rows.register(Contact, ContactRow, id=Column("id", contact_id), status=Column("status", ContactStatus))

declares that resolvers of `Contact` may also return named tuples of the class `ContactRow`. A field of the type is
read from the column of the same name, or as its `Column` declares. Build the schema with
`StrawberryConfig(default_resolver=rows.read)`, so that Strawberry reads rows the same way when it executes an
operation itself. The type of a value is then determined by its class (the type's own, a row class, or an interface's)
or by `strawberry.cast`. A generic type is registered once for all types made of it. `rows.selected_columns` returns
the columns that an operation needs.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from graphql import GraphQLObjectType, GraphQLResolveInfo
from strawberry.types.base import StrawberryObjectDefinition, get_object_definition

from execution.selections import PlanNodes, selected_fields
from execution.strawberry_private import CAST, raw_info, strawberry_definition


@dataclass(frozen=True, slots=True)
class Column:
    """The column of a field, and how its value is converted.

    `convert` is not called for None, and may be called twice for a row. An enum class converts a value to its member.
    """

    name: str
    convert: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class RowReader:
    """How fields (by their Python names) are read from rows of a class: (column index, conversion).

    Other fields of the type are methods, which need the columns in `needed` under their names, or else `always`.
    """

    row: type[tuple[Any, ...]]
    type_: type
    columns: dict[str, tuple[int, Callable[[Any], Any] | None]]
    needed: Mapping[str, frozenset[str]]
    always: frozenset[str]

    def columns_of_method(self, method: str) -> frozenset[str]:
        """The columns that a method of the type, or a property of the rows, needs."""
        return self.needed.get(method, self.always)

    def column(self, index: int) -> str:
        """The name of a column."""
        name: str = self.row._fields[index]  # type: ignore[attr-defined]
        return name


class EnumMembers(dict[Any, Enum]):
    """The members of an enum by their values; for any other value, the enum's `_missing_`."""

    def __init__(self, enum: type[Enum]) -> None:
        super().__init__({member.value: member for member in enum})
        self.enum = enum

    def __missing__(self, value: Any) -> Enum:
        return self.enum(value)


READERS_BY_ROW: dict[type, RowReader] = {}
READERS_BY_TYPE: dict[type | None, list[RowReader]] = {}


def register(
    type_: type,
    row: type[tuple[Any, ...]],
    needed: Iterable[str] | Mapping[str, Iterable[str]] = (),
    /,
    **columns: Column,
) -> None:
    """Let the Strawberry type be read from rows; call it before a schema is built. A row class belongs to one type.

    `needed` names the columns that the type's methods read, and those of fields that are properties of the row: for
    each by its Python name, or for all of them together. Raises `ValueError` for a wrong row class or column.
    """
    names: tuple[str, ...] | None = getattr(row, "_fields", None)
    definition = get_object_definition(type_, strict=True)
    if names is None or row in READERS_BY_ROW:
        raise ValueError(f"{row.__name__} must be the named tuple of one type")
    read_by = {name: (index, None) for index, name in enumerate(names)} | {
        field: (_column_index(names, column, row), _converter(column.convert)) for field, column in columns.items()
    }
    by_method = {name: frozenset(of) for name, of in needed.items()} if isinstance(needed, Mapping) else {}
    always = frozenset() if isinstance(needed, Mapping) else frozenset(needed)
    for name in always.union(*by_method.values()):
        _column_index(names, Column(name), row)
    reader = RowReader(row, definition.origin, read_by, by_method, always)
    READERS_BY_ROW[row] = reader
    READERS_BY_TYPE.setdefault(definition.origin, []).append(reader)
    _accept_rows(definition, row)


def _column_index(names: tuple[str, ...], column: Column, row: type) -> int:
    """The column's index; raises `ValueError` when the row has no such column."""
    if column.name not in names:
        raise ValueError(f"{row.__name__} has no column {column.name!r}")
    return names.index(column.name)


def _converter(convert: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    """The conversion; for an enum class a lookup of its members, which is faster than calling the class."""
    if isinstance(convert, type) and issubclass(convert, Enum):
        return EnumMembers(convert).__getitem__
    return convert


def readers_of(definition: StrawberryObjectDefinition) -> list[RowReader]:
    """The readers of the row classes that are registered for the type."""
    return next((READERS_BY_TYPE[origin] for origin in _origins_of(definition) if origin in READERS_BY_TYPE), [])


def _origins_of(definition: StrawberryObjectDefinition) -> list[type]:
    """The class of the type, and that of its generic type."""
    generic = definition.concrete_of
    return [definition.origin] if generic is None else [definition.origin, generic.origin]


def _accept_rows(definition: StrawberryObjectDefinition, row: type) -> None:
    """Make the type's `is_type_of` accept rows of the class."""
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
    reader = READERS_BY_ROW.get(type(source))
    if reader is None or name not in reader.columns:
        return getattr(source, name)
    index, convert = reader.columns[name]
    value = source[index]
    return value if convert is None or value is None else convert(value)


def selected_columns(info: Any, row: type[tuple[Any, ...]], *paths: tuple[str, ...]) -> frozenset[str]:
    """The columns of a row class that the operation needs, for rows at these paths below the field.

    The path of the field itself is `()`. A method of the type needs the columns that its registration names. `info`
    is Strawberry's or graphql-core's. In a compiled operation the result is cached.
    """
    nodes = raw_info(info).field_nodes
    if not isinstance(nodes, PlanNodes):
        return _columns_of_fields(info, READERS_BY_ROW[row], paths)
    columns = nodes.cache.get((row, paths))
    if columns is None:
        columns = nodes.cache[row, paths] = _columns_of_fields(info, READERS_BY_ROW[row], paths)
    return columns


def _columns_of_fields(info: Any, reader: RowReader, paths: Iterable[tuple[str, ...]]) -> frozenset[str]:
    """The columns of the fields that are selected at the paths."""
    selection = selected_fields(info)
    fields = _schema_fields(raw_info(info), reader.type_)
    columns: set[str] = set()
    for name in fields.keys() & {name for path in paths for name in selection.at(*path)}:
        python_name, is_method = fields[name]
        read_by = None if is_method else reader.columns.get(python_name)
        columns |= reader.columns_of_method(python_name) if read_by is None else {reader.column(read_by[0])}
    return frozenset(columns)


def _schema_fields(info: GraphQLResolveInfo[Any], type_: type) -> dict[str, tuple[str, bool]]:
    """The Python names of a type's fields by their names in the schema, and whether they are methods."""
    for schema_type in info.schema.type_map.values():
        definition = strawberry_definition(schema_type)
        if isinstance(schema_type, GraphQLObjectType) and definition is not None and type_ in _origins_of(definition):
            declared = {name: strawberry_definition(field) for name, field in schema_type.fields.items()}
            return {
                name: (field.python_name, field.base_resolver is not None)
                for name, field in declared.items()
                if field
            }
    raise ValueError(f"{type_.__name__} is not a type of this schema")
