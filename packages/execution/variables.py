"""Variables of the built-in scalars, coerced without graphql-core's machinery where they are what they should be."""

from typing import Any, NamedTuple

from graphql import (
    GraphQLBoolean,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLSchema,
    GraphQLString,
    OperationDefinitionNode,
    Undefined,
    get_nullable_type,
    is_non_null_type,
)
from graphql.execution import get_variable_values
from graphql.execution.values import VariableValues, VariableValueSource

CLASSES: dict[Any, type] = {
    GraphQLString: str,
    GraphQLID: str,
    GraphQLInt: int,
    GraphQLFloat: float,
    GraphQLBoolean: bool,
}
UNCHANGED = {type_: type_.coerce_input_value for type_ in CLASSES}
RANGES: dict[type, tuple[float, float]] = {
    int: (-(2**31), 2**31 - 1),
    float: (-1.7976931348623157e308, 1.7976931348623157e308),
}


class Simple(NamedTuple):
    """A variable of a built-in scalar: its class, and its source and value when it is not given."""

    name: str
    cls: type
    required: bool
    absent: VariableValueSource
    default: Any


def simple_variables(
    schema: GraphQLSchema, operation: OperationDefinitionNode, values: VariableValues
) -> tuple[Simple, ...] | None:
    """The operation's variables; None when one of them is of another type."""
    nodes = operation.variable_definitions or ()
    defaults = get_variable_values(schema, [node for node in nodes if node.default_value], {})
    if isinstance(defaults, list):
        return None
    found: list[Simple] = []
    for name, (signature, _) in values.sources.items():
        type_: Any = get_nullable_type(signature.type)
        if type_ not in CLASSES or type_.coerce_input_value is not UNCHANGED[type_]:
            return None
        default = defaults.coerced.get(name, Undefined)
        required = is_non_null_type(signature.type)
        found.append(Simple(name, CLASSES[type_], required, VariableValueSource(signature), default))
    return tuple(found)


def coerced(variables: tuple[Simple, ...], inputs: dict[str, Any]) -> VariableValues | None:
    """Their values; None when graphql-core should look at them (and say what is wrong)."""
    sources: dict[str, VariableValueSource] = {}
    values: dict[str, Any] = {}
    for name, cls, required, absent, default in variables:
        value = inputs.get(name, Undefined)
        if value is Undefined:
            if default is not Undefined:
                values[name] = default
            elif required:
                return None
            sources[name] = absent
            continue
        if value is None:
            if required:
                return None
        elif type(value) is not cls or not within(cls, value):
            return None
        sources[name] = VariableValueSource(absent.signature, value)
        values[name] = value
    return VariableValues(sources, values)


def within(cls: type, value: Any) -> bool:
    """Whether a number is one that the scalar takes."""
    if cls not in RANGES:
        return True
    least, most = RANGES[cls]
    return bool(least <= value <= most)
