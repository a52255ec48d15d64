"""Leaves in generated code: values that are data as they are, members of enums, and what custom scalars make."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLError,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLScalarType,
    GraphQLString,
)

from execution.strawberry_private import enum_behind

if TYPE_CHECKING:
    from execution.compiling import Compilation
    from execution.writing import Place

# Neither awaitable nor an error; and of these, what needs no look after a scalar has made it.
DATA = frozenset({str, int, float, bool, list, dict})
PLAIN = DATA | {bytes, tuple, set, frozenset, date, datetime, time, timedelta, Decimal, UUID}

# What graphql-core's own scalars let through as it is.
AS_IT_IS = {
    GraphQLString: "type({0}) is str",
    GraphQLID: "type({0}) is str",
    GraphQLInt: "type({0}) is int and -2147483648 <= {0} <= 2147483647",
    GraphQLFloat: "type({0}) is float and -1.7976931348623157e308 <= {0} <= 1.7976931348623157e308",
    GraphQLBoolean: "{0} is True or {0} is False",
}
UNCHANGED = {type_: type_.coerce_output_value for type_ in AS_IT_IS}


def lines_of_leaf(compilation: "Compilation", type_: Any, at: "Place", *, nullable: bool) -> list[str]:
    """Complete a leaf in the variable; nothing for what is no leaf, or what only its own coercion understands."""
    if type_ in AS_IT_IS and type_.coerce_output_value is UNCHANGED[type_]:
        test = AS_IT_IS[type_].format(at.variable)
        test = f"{at.variable} is None or {test}" if nullable else test
        return [f"if not ({test}):", *at.settled()]
    if isinstance(type_, GraphQLEnumType):
        return lines_of_enum(compilation, type_, at, at.otherwise(nullable=nullable))
    if isinstance(type_, GraphQLScalarType):
        return lines_of_scalar(compilation, type_, at, at.otherwise(nullable=nullable))
    return []


def lines_of_enum(compilation: "Compilation", type_: GraphQLEnumType, at: "Place", rest: list[str]) -> list[str]:
    """Members of a Python enum are known by identity, texts by equality."""
    by_identity, by_text, kept = names_of(type_)
    compilation.kept += kept
    v = at.variable
    lines: list[str] = []
    if by_identity:
        find = compilation.constant("E", by_identity.get)
        lines += [f"if (name := {find}(id({v}))) is not None:", f"    {v} = name"]
    if by_text:
        find = compilation.constant("E", by_text.get)
        word = "elif" if lines else "if"
        lines += [f"{word} type({v}) is str and (name := {find}({v})) is not None:", f"    {v} = name"]
    return lines + rest if lines else []


def names_of(type_: GraphQLEnumType) -> tuple[dict[int, str], dict[str, str], list[Any]]:
    """The names that the type gives to members by identity and to texts; and the members, to be kept alive."""
    by_identity: dict[int, str] = {}
    by_text: dict[str, str] = {}
    values = [value.value for value in type_.values.values()]
    classes = {type(value) for value in values if isinstance(value, Enum)} | {enum_behind(type_)}
    members: list[Any] = [member for cls in classes if cls is not None for member in cls]
    for value in [*members, *(value for value in values if type(value) is str)]:
        try:
            name = type_.coerce_output_value(value)
        except (GraphQLError, TypeError, ValueError):
            continue
        if type(name) is not str:
            continue
        if type(value) is str:
            by_text[value] = name
        else:
            by_identity[id(value)] = name
    return by_identity, by_text, members


def lines_of_scalar(compilation: "Compilation", type_: GraphQLScalarType, at: "Place", rest: list[str]) -> list[str]:
    """A custom scalar makes of a plain value what it makes; what that is gets a look unless it is obviously data.

    Values of its native class stay as they are (times only in UTC, where encoders agree on how they are written).
    """
    v = at.variable
    s = compilation.constant("S", type_.coerce_output_value)
    t = compilation.constant("T", type_)
    lines = [
        f"if type({v}) in PLAIN:",
        f"    made = {s}({v})",
        "    if type(made) not in DATA:",
        f"        made = {at.call('settle_made')} made, ({t}, {v}))",
        f"        {at.slow} = True",
        f"    {v} = made",
        *rest,
    ]
    native = compilation.natives.get(type_.name)
    if native is None:
        return lines
    test = f"type({v}) is {compilation.constant('N', native)}"
    if native is datetime:
        test += f" and {v}.tzinfo is UTC"
    return [f"if {test}:", "    pass", f"el{lines[0]}", *lines[1:]]
