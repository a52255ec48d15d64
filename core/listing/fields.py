"""Kinds of fields to filter lists by, and the compiler of conditions to SQL.

A listing maps the API's field names to `Field` objects (`Fields`). A kind of field parses a client's input (operators
to values, in the API's names) to conditions with normalized values, and compiles these conditions to SQL.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol, TypeAlias
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Select, and_, any_, distinct, false, func, literal, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute

from core import texts
from core.errors import ErrorCode, InvalidInput
from core.listing.conditions import (
    NOTHING,
    And,
    Condition,
    Contains,
    Eq,
    Exists,
    HasAll,
    HasAny,
    In,
    Leaf,
    Not,
    Or,
    Range,
    StartsWith,
)

MAX_VALUES: Final = 100

Path: TypeAlias = tuple[str, ...]
FilterInput: TypeAlias = Mapping[str, Any]
ColumnOf: TypeAlias = InstrumentedAttribute[Any]


class Field(Protocol):
    """A kind of field to filter by."""

    def parse(self, name: str, operators: FilterInput, path: Path) -> Iterator[Condition]:
        """Parse the operators given for the field `name`; raises `InvalidInput` with the path."""

    def compile(self, leaf: Leaf) -> ColumnElement[bool]:
        """The condition as SQL, NULL for a NULL value; raises `TypeError` for a condition of another kind."""


Fields: TypeAlias = Mapping[str, Field]


def unsupported(kind: object, value: object) -> TypeError:
    """The error for an operator or condition that a kind of field does not support: a bug, not invalid input."""
    return TypeError(f"{type(kind).__name__} does not support {value!r}")


@dataclass(frozen=True, slots=True)
class EnumField:
    """A column with the values of an enum, which the GraphQL schema has validated."""

    column: ColumnOf
    enum: type[StrEnum]

    def parse(self, name: str, operators: FilterInput, path: Path) -> Iterator[Condition]:  # noqa: ARG002 - values are checked by the schema
        """Parse `eq` and `in`."""
        for operator, value in operators.items():
            match operator:
                case "eq":
                    yield Eq(name, self.enum(value))
                case "in":
                    yield In(name, tuple(dict.fromkeys(map(self.enum, value))))
                case _:
                    raise unsupported(self, operator)

    def compile(self, leaf: Leaf) -> ColumnElement[bool]:
        """Compile to a comparison with the enum's stored text."""
        match leaf:
            case Eq(value=value):
                return self.column == str(value)
            case In(values=values):
                return self.column.in_([str(value) for value in values])
        raise unsupported(self, leaf)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextField:
    """A line of text. `normalize` and `normalize_part` normalize a whole text and a substring like the stored texts.

    `contains` compiles the operator of that name, if it is not a LIKE on the column.
    """

    column: ColumnOf
    max_length: int
    normalize: Callable[[str], str] = str
    normalize_part: Callable[[str], str] = str
    contains: Callable[[ColumnOf, str], ColumnElement[bool]] | None = None

    def parse(self, name: str, operators: FilterInput, path: Path) -> Iterator[Condition]:
        """Parse `eq`, `startsWith` and `contains`."""
        for operator, value in operators.items():
            text = texts.clean_line(value, field=path, max_length=self.max_length)
            match operator:
                case "eq":
                    yield Eq(name, self.normalize(text))
                case "startsWith":
                    yield StartsWith(name, self.normalize_part(text))
                case "contains":
                    yield Contains(name, self.normalize_part(text))
                case _:
                    raise unsupported(self, operator)

    def compile(self, leaf: Leaf) -> ColumnElement[bool]:
        """Compile to `=` or to LIKE, with the wildcards in the text escaped."""
        match leaf:
            case Eq(value=value):
                return self.column == value
            case StartsWith(text=text):
                return self.column.startswith(text, autoescape=True)
            case Contains(text=text):
                if self.contains is not None:
                    return self.contains(self.column, text)
                return self.column.contains(text, autoescape=True)
        raise unsupported(self, leaf)


@dataclass(frozen=True, slots=True)
class TimeField:
    """A column with a point in time; conditions are ranges."""

    column: ColumnOf

    def parse(self, name: str, operators: FilterInput, path: Path) -> Iterator[Condition]:  # noqa: ARG002 - values are checked by the schema
        """Parse `gte`, `gt`, `lte` and `lt` to one range."""
        if unknown := operators.keys() - {"gte", "gt", "lte", "lt"}:
            raise unsupported(self, unknown)
        if operators:
            yield Range(field=name, **operators)

    def compile(self, leaf: Leaf) -> ColumnElement[bool]:
        """Compile to one comparison for each bound."""
        if not isinstance(leaf, Range):
            raise unsupported(self, leaf)
        bounds = (
            (leaf.gte, self.column.__ge__),
            (leaf.gt, self.column.__gt__),
            (leaf.lte, self.column.__le__),
            (leaf.lt, self.column.__lt__),
        )
        return and_(true(), *(compare(bound) for bound, compare in bounds if bound is not None))


@dataclass(frozen=True, slots=True)
class PresenceField:
    """Whether a column is not NULL."""

    column: ColumnOf

    def parse(self, name: str, operators: FilterInput, path: Path) -> Iterator[Condition]:  # noqa: ARG002 - values are checked by the schema
        """Parse `eq`: true for values that are not NULL."""
        for operator, value in operators.items():
            if operator != "eq":
                raise unsupported(self, operator)
            yield Eq(name, value)

    def compile(self, leaf: Leaf) -> ColumnElement[bool]:
        """Compile to IS NULL or IS NOT NULL, so the result is never NULL."""
        if not isinstance(leaf, Eq):
            raise unsupported(self, leaf)
        return self.column.is_not(None) if leaf.value else self.column.is_(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetField:
    """A set of values in rows of another table, each with the `owner`'s id and one `value`.

    `normalize` normalizes a value to search for, and returns None if no set can have it; raises `InvalidInput`.
    """

    id: InstrumentedAttribute[UUID]
    owner: InstrumentedAttribute[UUID]
    value: ColumnOf
    normalize: Callable[[str, Path], object | None]

    def parse(self, name: str, operators: FilterInput, path: Path) -> Iterator[Condition]:
        """Parse `hasAny`, `hasAll` and `hasNone`, each with at most 100 values."""
        for operator, values in operators.items():
            if len(values) > MAX_VALUES:
                raise InvalidInput(f"At most {MAX_VALUES} values.", field=path, code=ErrorCode.TOO_MANY)
            normalized = dict.fromkeys(self.normalize(value, path) for value in values)
            valid = tuple(value for value in normalized if value is not None)
            match operator:
                case "hasAny":
                    yield HasAny(name, valid)
                case "hasAll":
                    yield HasAll(name, valid) if len(valid) == len(normalized) else NOTHING
                case "hasNone":
                    yield Not(HasAny(name, valid))
                case _:
                    raise unsupported(self, operator)

    def compile(self, leaf: Leaf) -> ColumnElement[bool]:
        """Compile to one subquery, which PostgreSQL can execute as a hashed subplan or a semi-join."""
        match leaf:
            case HasAny(values=values):
                return self.id.in_(self._owners(values))
            case HasAll(values=()):
                return true()
            case HasAll(values=values):
                complete = func.count(distinct(self.value)) == len(values)
                return self.id.in_(self._owners(values).group_by(self.owner).having(complete))
        raise unsupported(self, leaf)

    def _owners(self, values: Sequence[object]) -> Select[UUID]:
        """The ids of the owners whose sets have at least one of the values."""
        array = literal(list(values), ARRAY(self.value.type))
        return select(self.owner).where(self.value == any_(array))


@dataclass(frozen=True, slots=True, kw_only=True)
class RelatedField:
    """Rows of another table with the `owner`'s id, such as a contact's events, filtered by fields of their own."""

    id: InstrumentedAttribute[UUID]
    owner: InstrumentedAttribute[UUID]
    fields: Fields

    def parse(self, name: str, operators: FilterInput, path: Path) -> Iterator[Condition]:
        """Parse conditions on the fields of a related row; one row must match all of them."""
        yield Exists(name, And(tuple(parse_fields(operators, self.fields, path))))

    def compile(self, leaf: Leaf) -> ColumnElement[bool]:
        """Compile to a subquery, which PostgreSQL can execute as a hashed subplan or a semi-join."""
        if not isinstance(leaf, Exists):
            raise unsupported(self, leaf)
        return self.id.in_(select(self.owner).where(compile_condition(leaf.where, self.fields)))


def parse_fields(filter_input: FilterInput, fields: Fields, path: Path) -> Iterator[Condition]:
    """Parse conditions by field name; a list instead of operators means `hasAny`, a boolean `eq`.

    Raises `InvalidInput`; `KeyError` for a name that is not in `fields` is a bug.
    """
    for name, value in filter_input.items():
        operators = value
        if isinstance(value, list | bool):
            operators = {"eq" if isinstance(value, bool) else "hasAny": value}
        yield from fields[name].parse(name, operators, (*path, name))


def compile_condition(condition: Condition, fields: Fields) -> ColumnElement[bool]:
    """The condition as SQL for WHERE: TRUE if it is true, FALSE or NULL if it is not.

    For AND and OR it makes no difference whether a condition on a missing value is FALSE or NULL. For NOT it does, so
    `Not` compiles to IS NOT TRUE.
    """
    match condition:
        case And(conditions):
            return and_(true(), *(compile_condition(each, fields) for each in conditions))
        case Or(conditions):
            return or_(false(), *(compile_condition(each, fields) for each in conditions))
        case Not(inner):
            return compile_condition(inner, fields).is_not(true())
    return fields[condition.field].compile(condition)
