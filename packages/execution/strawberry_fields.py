"""What stands for the resolver of a Strawberry field, by what the field's definition tells.

That the resolver in place is Strawberry's own, and nobody's replacement, is told by `strawberry_private.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from execution.strawberry_calls import direct_call
from execution.strawberry_private import definition_behind, resolver_made, tells_by_class


@dataclass(frozen=True, slots=True)
class BasicField:
    """Reads an attribute; of rows, the column, where the schema's `default_resolver` would."""

    attribute: str
    of_rows: bool


@dataclass(frozen=True, slots=True)
class MethodField:
    """Calls a function with the source."""

    function: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class CalledField:
    """Calls a function with the source, graphql-core's info and its arguments."""

    function: Callable[..., Any]


def strawberry_field(
    field: GraphQLField, schema: GraphQLSchema, row_resolver: Callable[..., Any]
) -> BasicField | MethodField | CalledField | None:
    """What the field's resolver comes to, where it is simple; None where only calling it will do.

    `row_resolver` is the `default_resolver` besides `getattr` that is known: it reads attributes of what is no row.
    """
    definition = definition_behind(field)
    if not isinstance(definition, StrawberryField) or type(definition).get_result is not StrawberryField.get_result:
        return None
    made = resolver_made(field)
    if made == "attribute":
        of_rows = definition.default_resolver is row_resolver
        plain = definition.is_basic_field and (of_rows or definition.default_resolver is getattr)
        return BasicField(definition.python_name, of_rows) if plain else None
    resolver = definition.base_resolver
    if made is None or field.resolve is None or type(resolver) is not StrawberryResolver:
        return None
    if not callable(resolver.wrapped_func):
        return None
    if takes_nothing(definition, resolver):
        return MethodField(resolver.wrapped_func)
    call = direct_call(definition, resolver, schema, field.resolve, later=made == "coroutine")
    return CalledField(call) if call is not None else None


def takes_nothing(definition: StrawberryField, resolver: StrawberryResolver[Any]) -> bool:
    """Whether the function behind a field takes the source, by position, and nothing else."""
    if definition.extensions or definition.arguments or not resolver.self_parameter:
        return False
    return not (resolver.info_parameter or resolver.parent_parameter or resolver.root_parameter)


def decides_by_class(type_: GraphQLObjectType) -> bool:
    """Whether `is_type_of` looks at the value's class alone (and at `strawberry.cast`)."""
    if type_.is_type_of is None or getattr(type_.is_type_of, "by_class", False):
        return True
    definition = definition_of(type_)
    return definition is not None and definition.is_type_of is None and tells_by_class(type_.is_type_of)


def definition_of(type_: GraphQLObjectType) -> StrawberryObjectDefinition | None:
    """Strawberry's definition of the type; None for types that are not Strawberry's."""
    definition = definition_behind(type_)
    return definition if isinstance(definition, StrawberryObjectDefinition) else None
