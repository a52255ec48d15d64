"""How a field's value is read: by its resolver, or, where its resolver only would, straight from the source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from graphql import GraphQLField, GraphQLSchema, TypeNameMetaFieldDef

from execution.rows import read
from execution.strawberry_fields import BasicField, CalledField, MethodField, strawberry_field

Kind = Literal["typename", "attribute", "column", "property", "method", "resolver", "custom"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What stands for the resolver in generated code.

    `attribute` reads `name` of the source, and `column` that of a row or else the attribute; `property` does what
    graphql-core's default resolver does; `method` calls `call` with the source alone; `resolver` calls it with info
    and arguments (without one: the default resolver); `custom` calls the resolver that the execution was given.
    """

    kind: Kind
    name: str = ""
    call: Any = None


def reading_of(
    definition: GraphQLField, name: str, schema: GraphQLSchema, *, has_arguments: bool, custom_default: bool
) -> Reading:
    """How the field is read."""
    if definition is TypeNameMetaFieldDef:
        return Reading("typename")
    if definition.resolve is None:
        usual = Reading("resolver") if has_arguments else Reading("property", name)
        return Reading("custom") if custom_default else usual
    match strawberry_field(definition, schema, read):
        case BasicField(attribute, of_rows) if not has_arguments:
            return Reading("column" if of_rows else "attribute", attribute)
        case MethodField(function) if not has_arguments:
            return Reading("method", call=function)
        case CalledField(function):
            return Reading("resolver", call=function)
    return Reading("resolver", call=definition.resolve)


def read_property(source: Any, name: str) -> Any:
    """What graphql-core's default resolver looks up, before it calls what is callable."""
    return source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)
