"""What an operation costs: a point for each object it may return, with the sizes of lists multiplied.

A page (a field with `first` or `last`) counts its items as many times as were asked for, 25 when neither is given;
a list counts once for each of the `ids`, or of the input's rows, that it answers, and five times where nothing says
how long it is. A field also costs what it declares for itself (`cost=`), such as 10 for a count of rows; a mutation's
root field costs 10 more, introspection 100 in all. `planning` reads these parts from a document.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

PAGE_SIZE = 25
UNKNOWN_LENGTH = 5

Variables: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Given:
    """A value of the document: as it is written there, or as a variable has it, at some path of its objects."""

    written: object = None
    variable: str | None = None
    path: tuple[str, ...] = ()

    def value(self, variables: Variables) -> object:
        """The value with these variables; a variable that does not come has its default, which may be null."""
        known = self.variable is not None and self.variable in variables
        found = variables[self.variable] if known and self.variable is not None else self.written
        for name in self.path:
            found = found.get(name) if isinstance(found, dict) else None
        return found


@dataclass(frozen=True, slots=True)
class Page:
    """As many items as `first` or `last` says: the first of them that is not null."""

    given: tuple[Given, ...]

    def of(self, variables: Variables) -> int:
        """The size with these variables; what does not fit counts as a page, as execution will refuse it."""
        for each in self.given:
            value = each.value(variables)
            if isinstance(value, float) and value.is_integer():
                return max(int(value), 0)  # GraphQL takes 100.0 for an Int
            if value is not None:
                return max(value, 0) if isinstance(value, int) else PAGE_SIZE
        return PAGE_SIZE


@dataclass(frozen=True, slots=True)
class Length:
    """As many items as the longest of some lists has; without any, a guess."""

    given: tuple[Given, ...] = ()

    def of(self, variables: Variables) -> int:
        """The size with these variables; a value that is no list stands for a list of one."""
        if not self.given:
            return UNKNOWN_LENGTH
        values = [each.value(variables) for each in self.given]
        return max(len(value) if isinstance(value, list) else int(value is not None) for value in values)


@dataclass(frozen=True, slots=True)
class Part:
    """A field that costs: where it stands in the answer, and what each of its objects costs.

    `once` is what the field costs in itself, however many its objects are. `single` says that it is no list, and
    `present` that no item of it is null. `each` is what its objects cost where that is the same for all: where
    nothing under them is a list, or may be missing with something under it.
    """

    key: str
    weight: int
    size: Page | Length | None = None
    paged: bool = False
    per_item: bool = False
    single: bool = True
    present: bool = False
    parts: tuple["Part", ...] = ()
    once: int = 0
    each: int | None = field(init=False)

    def __post_init__(self) -> None:
        alike = self.present or not self.parts
        known = alike and all(part.single and not part.parts and not part.once for part in self.parts)
        object.__setattr__(self, "each", self.weight + sum(part.weight for part in self.parts) if known else None)

    def requested(self, variables: Variables) -> int:
        """The most that the field can cost."""
        many = self.size.of(variables) if self.size else 1
        if not self.paged:
            return self.once + many * (self.weight + sum(part.requested(variables) for part in self.parts))
        return (
            self.once
            + self.weight
            + sum((many if part.per_item else 1) * part.requested(variables) for part in self.parts)
        )

    def actual(self, value: object) -> int:
        """What the field's value did cost."""
        if isinstance(value, list):
            if self.each is not None:
                return self.once + self.each * len(value)
            return self.once + sum([self.actual_of(item) for item in value])
        return self.once + self.actual_of(value)

    def actual_of(self, item: object) -> int:
        """What one object of the field's value did cost."""
        if not isinstance(item, dict):
            return self.weight
        if self.each is not None:
            return self.each
        return self.weight + sum([part.actual(item.get(part.key)) for part in self.parts])

    @property
    def varies(self) -> bool:
        """Whether the most that it can cost depends on variables."""
        sized = self.size is not None and any(given.variable is not None for given in self.size.given)
        return sized or any(part.varies for part in self.parts)


def requested(parts: Sequence[Part], variables: Variables) -> int:
    """The most that an operation can cost, but for lists of unknown length; at least 1."""
    return max(1, sum(part.requested(variables) for part in parts))


def actual(parts: Sequence[Part], data: dict[str, Any] | None) -> int:
    """What an operation's answer did cost; at least 1."""
    return max(1, sum([part.actual(data.get(part.key)) for part in parts])) if data else 1
