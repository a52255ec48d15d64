"""What Strawberry's metadata tell about a resolver: with `strawberry_calls.py` the only place behind its door.

Strawberry keeps its definition in `extensions["strawberry-definition"]` of the field and type. That the resolver it
made does no more than read an attribute or call a method is told by public attributes of `StrawberryField`; that the
resolver in place is that one, and nobody's replacement, is told by its name. `tests/execution/test_strawberry.py`
fails when any of this changes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.cast import TYPE_CAST_ATTRIBUTE
from strawberry.types.field import StrawberryField

from execution.strawberry_calls import direct_call

CAST = TYPE_CAST_ATTRIBUTE
MADE_BY = GraphQLCoreConverter.__module__


@dataclass(frozen=True, slots=True)
class BasicField:
    """Reads an attribute."""

    attribute: str


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

    `row_resolver` is the `default_resolver` besides `getattr` that reads attributes of what is no row.
    """
    definition = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    if not isinstance(definition, StrawberryField) or type(definition).get_result is not StrawberryField.get_result:
        return None
    if made_by_strawberry(field.resolve, "_get_basic_result"):
        plain = definition.is_basic_field and definition.default_resolver in {getattr, row_resolver}
        return BasicField(definition.python_name) if plain else None
    if not made_by_strawberry(field.resolve, "_resolver", "_async_resolver") or handles_exceptions(field.resolve):
        return None
    found = method(definition)
    if found is not None:
        return found
    later = made_by_strawberry(field.resolve, "_async_resolver")
    call = direct_call(definition, schema, field.resolve, later=later) if field.resolve else None
    return CalledField(call) if call is not None else None


def method(definition: StrawberryField) -> MethodField | None:
    """The function behind a field, where it takes nothing but the source by position."""
    resolver = definition.base_resolver
    if definition.extensions or definition.arguments:
        return None
    if resolver is None or not resolver.self_parameter or not callable(resolver.wrapped_func):
        return None
    if resolver.info_parameter or resolver.parent_parameter or resolver.root_parameter:
        return None
    return MethodField(resolver.wrapped_func)


def made_by_strawberry(function: Any, *names: str) -> bool:
    """Whether the function is the one of that name that Strawberry's converter makes."""
    return getattr(function, "__module__", "") == MADE_BY and getattr(function, "__name__", "") in names


def handles_exceptions(resolve: Any) -> bool:
    """Whether exceptions of the resolver become values (the schema's `exception_handlers`)."""
    names = resolve.__code__.co_freevars
    return "field_exception_handlers" not in names or bool(
        resolve.__closure__[names.index("field_exception_handlers")].cell_contents
    )


def decides_by_class(type_: GraphQLObjectType) -> bool:
    """Whether `is_type_of` looks at the value's class alone (and at `strawberry.cast`)."""
    if type_.is_type_of is None or getattr(type_.is_type_of, "by_class", False):
        return True
    definition = definition_of(type_)
    return (
        definition is not None
        and definition.is_type_of is None
        and made_by_strawberry(type_.is_type_of, "is_type_of")
    )


def definition_of(type_: GraphQLObjectType) -> StrawberryObjectDefinition | None:
    """Strawberry's definition of the type; None for types that are not Strawberry's."""
    definition = type_.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    return definition if isinstance(definition, StrawberryObjectDefinition) else None
