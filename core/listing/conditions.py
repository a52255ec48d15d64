"""The filter tree: which rows of a list are wanted. `filters` reads it from input and compiles it to SQL.

A leaf names a field of the noun's FIELDS. Every condition either holds of a row or does not: one on a value that is
NULL does not hold, and its negation does. So `Not` turns any condition into its exact complement.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class And:
    """All of the conditions hold; of none, always."""

    conditions: tuple["Condition", ...] = ()


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of the conditions holds; of none, never."""

    conditions: tuple["Condition", ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """The condition does not hold."""

    condition: "Condition"


@dataclass(frozen=True, slots=True)
class Eq:
    """The field has this value."""

    field: str
    value: object


@dataclass(frozen=True, slots=True)
class In:
    """The field has one of these values; of none, never."""

    field: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The field's value is within every bound that is given."""

    field: str
    gte: object = None
    gt: object = None
    lte: object = None
    lt: object = None


@dataclass(frozen=True, slots=True)
class Contains:
    """The text has this somewhere in it; every character stands for itself."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class StartsWith:
    """The text starts with this; every character stands for itself."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class HasAny:
    """The set has at least one of these values; of none, never."""

    field: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class HasAll:
    """The set has every one of these values; of none, always."""

    field: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """At least one of the related rows, such as a contact's events, fulfils the condition over their own fields."""

    field: str
    where: "Condition" = And()


Leaf: TypeAlias = Eq | In | Range | Contains | StartsWith | HasAny | HasAll | Exists
Condition: TypeAlias = And | Or | Not | Leaf
EVERYTHING: Final = And()
NOTHING: Final = Or()


def all_of(*conditions: Condition) -> Condition:
    """The condition that all of these hold; EVERYTHING itself of those that always hold."""
    needed = [each for each in conditions if each is not EVERYTHING and each != EVERYTHING]
    if not needed:
        return EVERYTHING
    return needed[0] if len(needed) == 1 else And(tuple(needed))
