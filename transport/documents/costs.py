"""What an operation costs: a point for each object it may return, with the sizes of lists multiplied.

A page (a field with `first` or `last`) counts as many items as its arguments ask for, 25 when neither is given. A
list counts one item for each of the `ids`, or of the input's rows, that it returns, and five where nothing bounds it.
A field also costs what it declares (`cost=`), such as 10 for a count of rows. A mutation's root field costs 10 more,
introspection 100 in all. `cost_analysis` builds these nodes from a document.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

PAGE_SIZE = 25
UNKNOWN_LENGTH = 5

Variables: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ArgumentValue:
    """An argument's value: a literal of the document, or a variable, at a path of keys inside it.

    With a variable, `literal` is the variable's default.
    """

    literal: object = None
    variable: str | None = None
    path: tuple[str, ...] = ()

    def resolve(self, variables: Variables) -> object:
        """The value with these variables; a variable that was not sent has its default, which may be null."""
        sent = self.variable is not None and self.variable in variables
        value = variables[self.variable] if sent and self.variable is not None else self.literal
        for name in self.path:
            value = value.get(name) if isinstance(value, dict) else None
        return value


@dataclass(frozen=True, slots=True)
class PageSize:
    """As many items as `first` or `last` asks for: the first of these values that is not null."""

    values: tuple[ArgumentValue, ...]

    def resolve(self, variables: Variables) -> int:
        """The size with these variables; a value of the wrong type counts as 25, since execution will refuse it."""
        for each in self.values:
            value = each.resolve(variables)
            if isinstance(value, float) and value.is_integer():
                return max(int(value), 0)  # GraphQL takes 100.0 for an Int
            if value is not None:
                return max(value, 0) if isinstance(value, int) else PAGE_SIZE
        return PAGE_SIZE


@dataclass(frozen=True, slots=True)
class ListLength:
    """As many items as the longest of some input lists has; 5 when there is no such list."""

    values: tuple[ArgumentValue, ...] = ()

    def resolve(self, variables: Variables) -> int:
        """The length with these variables; a value that is not a list counts as a list of one."""
        if not self.values:
            return UNKNOWN_LENGTH
        resolved = [each.resolve(variables) for each in self.values]
        return max(len(value) if isinstance(value, list) else int(value is not None) for value in resolved)


@dataclass(frozen=True, slots=True)
class CostNode:
    """A selected field that costs points: its key in the response, and what each of its objects costs.

    `own_cost` is charged once for the field, however many objects it returns. `is_single` means that the field is not
    a list, `non_null` that none of its items can be null. `object_cost` is the cost of one object where that is the
    same for all: where nothing below them is a list, and nothing that may be null has costs below it.
    """

    key: str
    weight: int
    size: PageSize | ListLength | None = None
    is_paged: bool = False
    is_per_item: bool = False
    is_single: bool = True
    non_null: bool = False
    children: tuple["CostNode", ...] = ()
    own_cost: int = 0
    object_cost: int | None = field(init=False)

    def __post_init__(self) -> None:
        nothing_missing = self.non_null or not self.children
        is_fixed = nothing_missing and all(
            child.is_single and not child.children and not child.own_cost for child in self.children
        )
        cost = self.weight + sum(child.weight for child in self.children) if is_fixed else None
        object.__setattr__(self, "object_cost", cost)

    def requested(self, variables: Variables) -> int:
        """The maximum cost of the field."""
        items = self.size.resolve(variables) if self.size else 1
        if not self.is_paged:
            return self.own_cost + items * (self.weight + sum(child.requested(variables) for child in self.children))
        return (
            self.own_cost
            + self.weight
            + sum((items if child.is_per_item else 1) * child.requested(variables) for child in self.children)
        )

    def actual(self, value: object) -> int:
        """What the field did cost, by its value in the response."""
        if isinstance(value, list):
            if self.object_cost is not None:
                return self.own_cost + self.object_cost * len(value)
            return self.own_cost + sum([self._actual_of_item(item) for item in value])
        return self.own_cost + self._actual_of_item(value)

    def _actual_of_item(self, item: object) -> int:
        if not isinstance(item, dict):
            return self.weight
        if self.object_cost is not None:
            return self.object_cost
        return self.weight + sum([child.actual(item.get(child.key)) for child in self.children])

    @property
    def has_variable_size(self) -> bool:
        """Whether the maximum cost of the field depends on variables."""
        sized = self.size is not None and any(value.variable is not None for value in self.size.values)
        return sized or any(child.has_variable_size for child in self.children)


def requested(nodes: Sequence[CostNode], variables: Variables) -> int:
    """The maximum cost of an operation, except for lists of unknown length; at least 1."""
    return max(1, sum(node.requested(variables) for node in nodes))


def actual(nodes: Sequence[CostNode], data: dict[str, Any] | None) -> int:
    """What an operation did cost, by the data of its response; at least 1."""
    return max(1, sum([node.actual(data.get(node.key)) for node in nodes])) if data else 1
