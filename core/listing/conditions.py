"""The tree of a list's filter. `filters` parses it from input, `fields` compiles it to SQL.

A leaf names a field in the FIELDS of the row's type. Each condition is either true or false for a row: a condition on
NULL is false, and its negation is true. So `Not` is the exact complement of any condition.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class And:
    """All conditions are true; without conditions always true."""

    conditions: tuple["Condition", ...] = ()


@dataclass(frozen=True, slots=True)
class Or:
    """At least one condition is true; without conditions always false."""

    conditions: tuple["Condition", ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """The condition is false."""

    condition: "Condition"


@dataclass(frozen=True, slots=True)
class Eq:
    """The field has this value."""

    field: str
    value: object


@dataclass(frozen=True, slots=True)
class In:
    """The field has one of these values; without values always false."""

    field: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The field's value is within all bounds."""

    field: str
    gte: object = None
    gt: object = None
    lte: object = None
    lt: object = None


@dataclass(frozen=True, slots=True)
class Contains:
    """The field's text contains this text; there are no wildcards."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class StartsWith:
    """The field's text starts with this text; there are no wildcards."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class HasAny:
    """The set has at least one of these values; without values always false."""

    field: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class HasAll:
    """The set has all of these values; without values always true."""

    field: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """At least one related row, such as an event of a contact, matches a condition on its own fields."""

    field: str
    where: "Condition" = And()


Leaf: TypeAlias = Eq | In | Range | Contains | StartsWith | HasAny | HasAll | Exists
Condition: TypeAlias = And | Or | Not | Leaf
EVERYTHING: Final = And()
NOTHING: Final = Or()


def all_of(*conditions: Condition) -> Condition:
    """The conjunction of the conditions; EVERYTHING itself if all of them are EVERYTHING."""
    needed = [each for each in conditions if each is not EVERYTHING and each != EVERYTHING]
    if not needed:
        return EVERYTHING
    return needed[0] if len(needed) == 1 else And(tuple(needed))
