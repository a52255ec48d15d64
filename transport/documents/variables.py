"""How much the variables of a request may contain.

Each object in them takes about 50 microseconds at each place where the document uses it: there it is converted to an
input object, even when the field then refuses the caller. So every use counts, not only what was sent.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    value_from_ast_untyped,
)

from transport.errors import RequestRefused

MAX_OBJECTS = 2_500
MAX_VALUES = 25_000
MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class VariableUse:
    """How often an operation uses a variable, and its default value."""

    times: int
    default: object = None


def variable_uses(
    operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> dict[str, VariableUse]:
    """The uses of an operation's variables, in itself and in every fragment of the document."""
    times = Counter(_variables_in_selections(operation.selection_set))
    for fragment in fragments.values():
        times.update(_variables_in_selections(fragment.selection_set))
    definitions = {each.variable.name.value: each.default_value for each in operation.variable_definitions or ()}
    return {
        name: VariableUse(times[name], value_from_ast_untyped(default) if default is not None else None)
        for name, default in definitions.items()
    }


def _variables_in_selections(selections: SelectionSetNode) -> Iterator[str]:
    """The variables in a selection set's arguments, repeated as in the document, without following spreads."""
    for node in selections.selections:
        if isinstance(node, FieldNode):
            for argument in node.arguments or ():
                yield from _variables_in_value(argument.value)
        inner = getattr(node, "selection_set", None)
        if inner is not None:
            yield from _variables_in_selections(inner)


def _variables_in_value(value: ValueNode) -> Iterator[str]:
    """The variables in a value."""
    match value:
        case VariableNode():
            yield value.name.value
        case ListValueNode():
            for item in value.values:
                yield from _variables_in_value(item)
        case ObjectValueNode():
            for each in value.fields:
                yield from _variables_in_value(each.value)


def check_variables(uses: Mapping[str, VariableUse], variables: Mapping[str, object]) -> None:
    """Raise `RequestRefused` for more than 2,500 objects, 25,000 values or 32 levels.

    A variable counts once for each place in the document that uses it.
    """
    objects = values = 0
    for name, use in uses.items():
        value = variables.get(name, use.default)
        if isinstance(value, dict | list):
            counts = _count(value)
            objects += use.times * counts[0]
            values += use.times * counts[1]
        else:
            values += use.times
    if objects > MAX_OBJECTS or values > MAX_VALUES:
        raise _too_large()


def _count(value: object) -> tuple[int, int]:
    """The objects in a value, and all its values; raises `RequestRefused` as soon as there are too many."""
    objects = values = 0
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for each in level:
            if isinstance(each, dict):
                objects += 1
                inner.extend(each.values())
            elif isinstance(each, list):
                inner.extend(each)
        values += len(level)
        if values + len(inner) > MAX_VALUES:
            raise _too_large()
        if not inner:
            return objects, values
        level = inner
    raise RequestRefused(
        f"The variables are nested more than {MAX_DEPTH} levels deep.", suggestion="Use fewer levels."
    )


def _too_large() -> RequestRefused:
    """The error for variables with too many objects or values."""
    return RequestRefused(
        f"The variables are too large: at most {MAX_OBJECTS} objects and {MAX_VALUES} values in all, "
        "counted as often as the document uses them.",
        suggestion="Send fewer rows in each call, and use a large variable once.",
    )
