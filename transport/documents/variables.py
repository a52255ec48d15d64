"""How much the variables of a request may hold.

Each object among them takes about 50 microseconds wherever the document uses it, as it becomes an input of ours there
even when the field then refuses the caller. So uses count, not what was sent.
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

from transport.errors import Refused

MOST_OBJECTS = 2_500
MOST_VALUES = 25_000
DEEPEST = 32


@dataclass(frozen=True, slots=True)
class Use:
    """How often an operation uses a variable, and what it holds when none is sent."""

    times: int
    default: object = None


def uses_of(operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]) -> dict[str, Use]:
    """The uses of an operation's variables, its own and those of every fragment of the document."""
    times = Counter(used(operation.selection_set))
    for fragment in fragments.values():
        times.update(used(fragment.selection_set))
    definitions = {each.variable.name.value: each.default_value for each in operation.variable_definitions or ()}
    return {
        name: Use(times[name], value_from_ast_untyped(default) if default is not None else None)
        for name, default in definitions.items()
    }


def used(selections: SelectionSetNode) -> Iterator[str]:
    """The variables in a selection set's arguments, as often as they are written, without following fragments."""
    for node in selections.selections:
        if isinstance(node, FieldNode):
            for argument in node.arguments or ():
                yield from named(argument.value)
        inner = getattr(node, "selection_set", None)
        if inner is not None:
            yield from used(inner)


def named(value: ValueNode) -> Iterator[str]:
    """The variables in a value."""
    match value:
        case VariableNode():
            yield value.name.value
        case ListValueNode():
            for item in value.values:
                yield from named(item)
        case ObjectValueNode():
            for each in value.fields:
                yield from named(each.value)


def check_variables(uses: Mapping[str, Use], given: Mapping[str, object]) -> None:
    """Raise `Refused` for more than 2,500 objects, 25,000 values in all or 32 levels, counted at every use."""
    objects = values = 0
    for name, use in uses.items():
        value = given.get(name, use.default)
        if isinstance(value, dict | list):
            found = measured(value)
            objects += use.times * found[0]
            values += use.times * found[1]
        else:
            values += use.times
    if objects > MOST_OBJECTS or values > MOST_VALUES:
        raise too_large()


def measured(value: object) -> tuple[int, int]:
    """How many objects a value holds, and how many values in all; raises `Refused` once it is clearly too large."""
    objects = values = 0
    level = [value]
    for _ in range(DEEPEST):
        inner: list[object] = []
        for each in level:
            if isinstance(each, dict):
                objects += 1
                inner.extend(each.values())
            elif isinstance(each, list):
                inner.extend(each)
        values += len(level)
        if values + len(inner) > MOST_VALUES:
            raise too_large()
        if not inner:
            return objects, values
        level = inner
    raise Refused(
        f"The variables are nested more than {DEEPEST} deep.", suggestion="Write the same with fewer levels."
    )


def too_large() -> Refused:
    """The refusal of variables that hold too much."""
    return Refused(
        f"The variables hold too much: at most {MOST_OBJECTS} objects and {MOST_VALUES} values in all, "
        "counted as often as the document uses them.",
        suggestion="Send fewer rows in each call, and use a large variable once.",
    )
