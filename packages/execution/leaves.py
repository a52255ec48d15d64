"""Generated code for leaves: built-in scalars, enums and custom scalars."""

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

from execution.strawberry_private import enum_class

if TYPE_CHECKING:
    from execution.codegen import ValueSlot
    from execution.compiling import Compilation

# Results of these types, from a custom scalar, need no further check.
JSON_TYPES = frozenset({str, int, float, bool, list, dict})
# Values of these types are neither awaitables nor errors.
PLAIN_TYPES = JSON_TYPES | {bytes, tuple, set, frozenset, date, datetime, time, timedelta, Decimal, UUID}

# Tests for values that graphql-core's own scalars return unchanged.
BUILT_IN_TESTS = {
    GraphQLString: "type({0}) is str",
    GraphQLID: "type({0}) is str",
    GraphQLInt: "type({0}) is int and -2147483648 <= {0} <= 2147483647",
    GraphQLFloat: "type({0}) is float and -1.7976931348623157e308 <= {0} <= 1.7976931348623157e308",
    GraphQLBoolean: "{0} is True or {0} is False",
}
BUILT_IN_COERCIONS = {type_: type_.coerce_output_value for type_ in BUILT_IN_TESTS}


def generate_leaf(compilation: "Compilation", type_: Any, slot: "ValueSlot", *, nullable: bool) -> list[str]:
    """Complete a leaf in the variable; no lines where only graphql-core's completion is correct."""
    if type_ in BUILT_IN_TESTS and type_.coerce_output_value is BUILT_IN_COERCIONS[type_]:
        test = BUILT_IN_TESTS[type_].format(slot.variable)
        test = f"{slot.variable} is None or {test}" if nullable else test
        return [f"if not ({test}):", *slot.settle_lines()]
    if isinstance(type_, GraphQLEnumType):
        return _generate_enum(compilation, type_, slot, slot.else_lines(nullable=nullable))
    if isinstance(type_, GraphQLScalarType):
        return _generate_scalar(compilation, type_, slot, slot.else_lines(nullable=nullable))
    return []


def _generate_enum(
    compilation: "Compilation", type_: GraphQLEnumType, slot: "ValueSlot", rest: list[str]
) -> list[str]:
    """Complete an enum: members of a Python enum are found by identity, strings by equality."""
    by_identity, by_text, members = enum_names(type_)
    compilation.references += members
    v = slot.variable
    lines: list[str] = []
    if by_identity:
        find = compilation.add_constant("E", by_identity.get)
        lines += [f"if (name := {find}(id({v}))) is not None:", f"    {v} = name"]
    if by_text:
        find = compilation.add_constant("E", by_text.get)
        word = "elif" if lines else "if"
        lines += [f"{word} type({v}) is str and (name := {find}({v})) is not None:", f"    {v} = name"]
    return lines + rest if lines else []


def enum_names(type_: GraphQLEnumType) -> tuple[dict[int, str], dict[str, str], list[Any]]:
    """The names of an enum's members by their `id`, those of strings, and the members, which must be kept alive."""
    by_identity: dict[int, str] = {}
    by_text: dict[str, str] = {}
    values = [value.value for value in type_.values.values()]
    classes = {type(value) for value in values if isinstance(value, Enum)} | {enum_class(type_)}
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


def _generate_scalar(
    compilation: "Compilation", type_: GraphQLScalarType, slot: "ValueSlot", rest: list[str]
) -> list[str]:
    """Complete a custom scalar: call its coercion for a plain value, and check a result that is not a JSON type.

    Values of its class in `encoder_scalars` are not coerced (times only in UTC: encoders agree on their format).
    """
    v = slot.variable
    s = compilation.add_constant("S", type_.coerce_output_value)
    t = compilation.add_constant("T", type_)
    lines = [
        f"if type({v}) in PLAIN_TYPES:",
        f"    coerced = {s}({v})",
        "    if type(coerced) not in JSON_TYPES:",
        f"        coerced = {slot.call('settle_coerced')} coerced, ({t}, {v}))",
        f"        {slot.slow} = True",
        f"    {v} = coerced",
        *rest,
    ]
    encoded_class = compilation.encoder_scalars.get(type_.name)
    if encoded_class is None:
        return lines
    test = f"type({v}) is {compilation.add_constant('N', encoded_class)}"
    if encoded_class is datetime:
        test += f" and {v}.tzinfo is UTC"
    return [f"if {test}:", "    pass", f"el{lines[0]}", *lines[1:]]
