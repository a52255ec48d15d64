"""How the resolver of a Strawberry field can be replaced, by the field's definition.

`strawberry_private.py` checks that the resolver is Strawberry's own and was not replaced.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from execution.strawberry_calls import direct_call
from execution.strawberry_private import checks_class_only, resolver_kind, strawberry_definition


@dataclass(frozen=True, slots=True)
class AttributeField:
    """Reads an attribute, or the column of a row where the schema's `default_resolver` reads rows."""

    attribute: str
    reads_rows: bool


@dataclass(frozen=True, slots=True)
class MethodField:
    """Calls a function with the source."""

    function: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class ResolverField:
    """Calls a function with the source, graphql-core's info and its arguments."""

    function: Callable[..., Any]


def strawberry_field(
    field: GraphQLField, schema: GraphQLSchema, row_resolver: Callable[..., Any]
) -> AttributeField | MethodField | ResolverField | None:
    """What the field's resolver does, where it is simple; None where it must be called.

    `row_resolver` is the only `default_resolver` known besides `getattr`: it reads rows, and attributes of other
    objects.
    """
    definition = strawberry_definition(field)
    if not isinstance(definition, StrawberryField) or type(definition).get_result is not StrawberryField.get_result:
        return None
    kind = resolver_kind(field)
    if kind == "attribute":
        reads_rows = definition.default_resolver is row_resolver
        plain = definition.is_basic_field and (reads_rows or definition.default_resolver is getattr)
        return AttributeField(definition.python_name, reads_rows) if plain else None
    resolver = definition.base_resolver
    if kind is None or field.resolve is None or type(resolver) is not StrawberryResolver:
        return None
    if not callable(resolver.wrapped_func):
        return None
    if _takes_only_source(definition, resolver):
        return MethodField(resolver.wrapped_func)
    call = direct_call(definition, resolver, schema, field.resolve, is_async=kind == "coroutine")
    return ResolverField(call) if call is not None else None


def _takes_only_source(definition: StrawberryField, resolver: StrawberryResolver[Any]) -> bool:
    """Whether the function of a field takes the source as positional argument, and nothing else."""
    if definition.extensions or definition.arguments or not resolver.self_parameter:
        return False
    return not (resolver.info_parameter or resolver.parent_parameter or resolver.root_parameter)


def decides_by_class(type_: GraphQLObjectType) -> bool:
    """Whether `is_type_of` depends on the value's class alone (and on `strawberry.cast`)."""
    if type_.is_type_of is None or getattr(type_.is_type_of, "by_class", False):
        return True
    definition = definition_of(type_)
    return definition is not None and definition.is_type_of is None and checks_class_only(type_.is_type_of)


def definition_of(type_: GraphQLObjectType) -> StrawberryObjectDefinition | None:
    """Strawberry's definition of the type; None for types that are not Strawberry's."""
    definition = strawberry_definition(type_)
    return definition if isinstance(definition, StrawberryObjectDefinition) else None
