"""Null in arguments and inputs: no default is null, and each field states what an explicit null does.

An optional argument or field is declared in one of three ways:

- `default=None`: null has the same effect as omitting it. Strawberry would print the default as `= null`;
  `drop_null_defaults` removes it from the schema, and states the meaning of null in the description.
- `default=strawberry.UNSET`: null and omitting it differ. The description states how.
- `never_null(...)`: null is refused, by `resolvers.inputs.optional_value`. Where this holds for all nullable
  fields of an input, its description states it once (`without_nulls`, `condition`, `conditions`), and its fields
  are declared with `omittable(...)`. Filters are read by `resolvers.listing.parse`.
"""

from typing import Any, Final

import strawberry
from graphql import (
    GraphQLArgument,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
)

REFUSED: Final = "`null` is refused with `REQUIRED`."
ALL_REFUSED: Final = "`null` in a field is refused with `REQUIRED`."
NOT_EMPTY: Final = "`REQUIRED` if it has no field."
AS_OMITTED: Final = "`null` has the same effect as omitting it."


def never_null(description: str, *, name: str | None = None) -> Any:  # noqa: ANN401 - stands for a field of any type
    """An optional field of an input that refuses null.

    For values whose loss would do damage: a filter without its value would match everything, and an update without
    its version would overwrite any version.
    """
    return omittable(f"{description} {REFUSED}", name=name)


def omittable(description: str, *, name: str | None = None) -> Any:  # noqa: ANN401 - the same
    """The same, for an input type whose description states that null is refused."""
    return strawberry.field(default=strawberry.UNSET, name=name, description=description)


def without_nulls(description: str) -> str:
    """The description of an input type whose fields refuse null."""
    return f"{description} {ALL_REFUSED}"


def condition(description: str) -> str:
    """The description of an input type with the operators of one field of a filter."""
    return f"{description} {NOT_EMPTY} {ALL_REFUSED}"


def conditions(description: str) -> str:
    """The description of a filter: as the argument of a list it may be empty, inside another filter it may not."""
    return (
        f"{description} An empty filter matches everything, but inside `and`, `or` and `not` it is refused with "
        f"`REQUIRED`. {ALL_REFUSED}"
    )


def drop_null_defaults(schema: GraphQLSchema) -> None:
    """Remove the defaults that are null from a schema that was just built, before anything runs on it."""
    for kind in schema.type_map.values():
        if kind.name.startswith("__"):
            continue
        if isinstance(kind, GraphQLInputObjectType):
            for field in kind.fields.values():
                _without_null(field)
        elif isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for output in kind.fields.values():
                for argument in output.args.values():
                    _without_null(argument)


def _without_null(definition: GraphQLArgument | GraphQLInputField) -> None:
    if definition.default_value is None:
        definition.default_value = Undefined
        definition.description = f"{definition.description} {AS_OMITTED}" if definition.description else AS_OMITTED
