"""Arguments of a field: constants are coerced once for each plan, variables are looked up at each execution."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from graphql import (
    ArgumentNode,
    GraphQLArgument,
    GraphQLError,
    Undefined,
    VariableNode,
    is_non_null_type,
    is_required_argument,
)
from graphql.language import ValueNode, Visitor, visit
from graphql.language.visitor import BREAK
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_literal

from execution.run import Field, PreparedArgument

# A resolver may modify its arguments, so executions share immutable values only.
_IMMUTABLE = frozenset({type(None), bool, int, float, str, bytes, date, datetime, time, timedelta, Decimal, UUID})


def has_arguments(field: Field) -> bool:
    """Whether the field is declared with arguments, or is selected with any."""
    return bool(field.definition.args or field.nodes[0].arguments)


def precompute_arguments(field: Field) -> None:
    """Set the field's constant or prepared arguments; neither where graphql-core must coerce them each time."""
    nodes = {node.name.value: node for node in field.nodes[0].arguments or ()}
    prepared: list[PreparedArgument] = []
    for name, definition in field.definition.args.items():
        argument = _prepare_argument(name, definition, nodes.get(name))
        if argument is None:
            return
        prepared.append(argument)
    if any(argument.variable is not None for argument in prepared):
        field.prepared_arguments = tuple(prepared)
    else:
        field.constant_arguments = {
            argument.name: argument.value for argument in prepared if argument.value is not Undefined
        }


def _prepare_argument(name: str, definition: GraphQLArgument, node: ArgumentNode | None) -> PreparedArgument | None:
    """Prepare an argument that is a variable or immutable; None for any other, and for an invalid one."""
    variable = node.value.name.value if node is not None and isinstance(node.value, VariableNode) else None
    required = is_required_argument(definition)
    try:
        if variable is not None or node is None:
            value = Undefined if required else coerce_default_value(definition)
        else:
            value = Undefined if _contains_variable(node.value) else coerce_input_literal(node.value, definition.type)
            required = True
    except (GraphQLError, TypeError, ValueError):
        return None
    if value is Undefined:
        usable = variable is not None or not required
    else:
        usable = type(value) in _IMMUTABLE or isinstance(value, Enum)
    out = definition.out_name or name
    return PreparedArgument(out, variable, value, required, is_non_null_type(definition.type)) if usable else None


def _contains_variable(value: ValueNode) -> bool:
    """Whether the literal contains a variable."""
    finder = _VariableFinder()
    visit(value, finder)
    return finder.found


class _VariableFinder(Visitor):
    """Looks for a variable in a value."""

    found = False

    def enter_variable(self, _node: VariableNode, *_: Any) -> Any:
        """Stop at the first variable."""
        self.found = True
        return BREAK
