"""Arguments that are the same each time are coerced once."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from graphql import GraphQLError, VariableNode
from graphql.execution.values import get_argument_values
from graphql.language import ValueNode, Visitor, visit
from graphql.language.visitor import BREAK

from execution.run import Field

# A resolver may change what it is given, so only values that cannot change are shared.
FIXED = frozenset({type(None), bool, int, float, str, bytes, date, datetime, time, timedelta, Decimal, UUID})


def has_arguments(field: Field) -> bool:
    """Whether arguments are to be looked at."""
    return bool(field.definition.args or field.nodes[0].arguments)


def settle_arguments(field: Field, hide_suggestions: bool) -> None:
    """Coerce the arguments now where they can't differ; else note whether they can't differ within an execution."""
    if not has_arguments(field):
        field.arguments = {}
        return
    given = [argument.value for argument in field.nodes[0].arguments or ()]
    if any(has_variable(value) for value in given):
        return
    try:
        values = get_argument_values(field.definition, field.nodes[0], None, None, hide_suggestions)
    except GraphQLError:
        return
    if all(is_fixed(value) for value in values.values()):
        field.arguments = values


def is_fixed(value: Any) -> bool:
    """Whether the value can be shared between calls."""
    return type(value) in FIXED or isinstance(value, Enum)


def has_variable(value: ValueNode) -> bool:
    """Whether a variable stands in the literal, or is it."""
    finder = VariableFinder()
    visit(value, finder)
    return finder.found


class VariableFinder(Visitor):
    """Notices variables."""

    found = False

    def enter_variable(self, _node: VariableNode, *_: Any) -> Any:
        """One is enough."""
        self.found = True
        return BREAK
