"""Arguments that are the same each time are coerced once, and those that are variables are looked up."""

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

from execution.run import Field, Ingredient

# A resolver may change what it is given, so only values that cannot change are shared.
FIXED = frozenset({type(None), bool, int, float, str, bytes, date, datetime, time, timedelta, Decimal, UUID})


def has_arguments(field: Field) -> bool:
    """Whether arguments are to be looked at."""
    return bool(field.definition.args or field.nodes[0].arguments)


def settle_arguments(field: Field) -> None:
    """Work out what can be known of the arguments; nothing where graphql-core has to look each time."""
    nodes = {argument.name.value: argument for argument in field.nodes[0].arguments or ()}
    recipe: list[Ingredient] = []
    for name, definition in field.definition.args.items():
        ingredient = ingredient_of(name, definition, nodes.get(name))
        if ingredient is None:
            return
        recipe.append(ingredient)
    if any(ingredient.variable is not None for ingredient in recipe):
        field.recipe = tuple(recipe)
    else:
        field.arguments = {one.name: one.value for one in recipe if one.value is not Undefined}


def ingredient_of(name: str, definition: GraphQLArgument, node: ArgumentNode | None) -> Ingredient | None:
    """An argument, where it is a variable or cannot change; None for others, and for what does not fit."""
    variable = node.value.name.value if node is not None and isinstance(node.value, VariableNode) else None
    needed = is_required_argument(definition)
    try:
        if variable is not None or node is None:
            value = Undefined if needed else coerce_default_value(definition)
        else:
            value = Undefined if has_variable(node.value) else coerce_input_literal(node.value, definition.type)
            needed = True
    except (GraphQLError, TypeError, ValueError):
        return None
    if value is Undefined:
        fits = variable is not None or not needed
    else:
        fits = type(value) in FIXED or isinstance(value, Enum)
    out = definition.out_name or name
    return Ingredient(out, variable, value, needed, is_non_null_type(definition.type)) if fits else None


def has_variable(value: ValueNode) -> bool:
    """Whether a variable stands in the literal."""
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
