"""How a field's value is read: by calling its resolver, or directly where the resolver only reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from graphql import GraphQLField, GraphQLSchema, TypeNameMetaFieldDef

from execution.rows import read
from execution.strawberry_fields import AttributeField, MethodField, ResolverField, strawberry_field

Kind = Literal["typename", "attribute", "column", "property", "method", "resolver", "custom"]


@dataclass(frozen=True, slots=True)
class FieldSource:
    """What generated code does instead of calling the resolver as graphql-core does.

    `attribute` reads the attribute `name` of the source, `column` the column of a row or else the attribute;
    `property` does what graphql-core's default resolver does; `method` calls `call` with the source alone; `resolver`
    calls it with info and arguments (without `call`: the default resolver); `custom` calls the default resolver that
    was passed to the execution.
    """

    kind: Kind
    name: str = ""
    call: Any = None


def determine_source(
    definition: GraphQLField, name: str, schema: GraphQLSchema, *, has_arguments: bool, custom_default: bool
) -> FieldSource:
    """The source of a field's value."""
    if definition is TypeNameMetaFieldDef:
        return FieldSource("typename")
    if definition.resolve is None:
        default = FieldSource("resolver") if has_arguments else FieldSource("property", name)
        return FieldSource("custom") if custom_default else default
    match strawberry_field(definition, schema, read):
        case AttributeField(attribute, reads_rows) if not has_arguments:
            return FieldSource("column" if reads_rows else "attribute", attribute)
        case MethodField(function) if not has_arguments:
            return FieldSource("method", call=function)
        case ResolverField(function):
            return FieldSource("resolver", call=function)
    return FieldSource("resolver", call=definition.resolve)


def read_property(source: Any, name: str) -> Any:
    """The value that graphql-core's default resolver reads, before it calls a callable one."""
    return source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)
