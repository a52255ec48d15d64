"""Variables of built-in scalar types, coerced without graphql-core when their values are valid."""

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
BUILT_IN_COERCIONS = {type_: type_.coerce_input_value for type_ in CLASSES}
RANGES: dict[type, tuple[float, float]] = {
    int: (-(2**31), 2**31 - 1),
    float: (-1.7976931348623157e308, 1.7976931348623157e308),
}


class SimpleVariable(NamedTuple):
    """A variable of a built-in scalar: its Python class, and its source and default when it is not sent."""

    name: str
    cls: type
    required: bool
    absent_source: VariableValueSource
    default: Any


def simple_variables(
    schema: GraphQLSchema, operation: OperationDefinitionNode, values: VariableValues
) -> tuple[SimpleVariable, ...] | None:
    """The operation's variables; None when one of them has another type."""
    nodes = operation.variable_definitions or ()
    defaults = get_variable_values(schema, [node for node in nodes if node.default_value], {})
    if isinstance(defaults, list):
        return None
    variables: list[SimpleVariable] = []
    for name, (signature, _) in values.sources.items():
        type_: Any = get_nullable_type(signature.type)
        if type_ not in CLASSES or type_.coerce_input_value is not BUILT_IN_COERCIONS[type_]:
            return None
        default = defaults.coerced.get(name, Undefined)
        required = is_non_null_type(signature.type)
        variables.append(SimpleVariable(name, CLASSES[type_], required, VariableValueSource(signature), default))
    return tuple(variables)


def coerce_simple_variables(variables: tuple[SimpleVariable, ...], inputs: dict[str, Any]) -> VariableValues | None:
    """The values of the variables; None when graphql-core must coerce them, or report an error."""
    sources: dict[str, VariableValueSource] = {}
    values: dict[str, Any] = {}
    for name, cls, required, absent_source, default in variables:
        value = inputs.get(name, Undefined)
        if value is Undefined:
            if default is not Undefined:
                values[name] = default
            elif required:
                return None
            sources[name] = absent_source
            continue
        if value is None:
            if required:
                return None
        elif type(value) is not cls or not _in_range(cls, value):
            return None
        sources[name] = VariableValueSource(absent_source.signature, value)
        values[name] = value
    return VariableValues(sources, values)


def _in_range(cls: type, value: Any) -> bool:
    """Whether a number is in the range of its scalar."""
    if cls not in RANGES:
        return True
    minimum, maximum = RANGES[cls]
    return bool(minimum <= value <= maximum)
