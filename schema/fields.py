"""Fields that are read only when selected, and their cost."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, cast

import strawberry
from strawberry.schema_directive import Location

V = TypeVar("V")
Read = TypeVar("Read", bound=Callable[..., Any])
COST: Final = "nudge.cost"
COUNTING_COST: Final = 10
"""Points of a field that counts rows, or reads many rows to return a few."""


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="semanticNonNull",
    description=(
        "A field that is `null` only if an error occurred: then `errors` contains an error with the field's path. "
        "`levels` are the list levels to which this applies; 0 is the field itself. See "
        "https://specs.apollo.dev/nullability/v0.4."
    ),
)
class SemanticNonNull:
    levels: list[int] = strawberry.directive_field(name="levels", default=(0,))


NULL_ON_ERROR: Final = (SemanticNonNull(levels=cast("list[int]", strawberry.UNSET)),)
"""Directives of a field that is null only if it has failed; with the default, the level of the field itself."""


def on_demand(description: str, *, cost: int = 0, null_on_error: bool = False) -> Callable[[Read], Read]:
    """A method as a field, like `strawberry.field`, which however would lose the method's type.

    `cost` is its cost in points, in addition to that of the objects that it returns. With `null_on_error`,
    an error of the field makes it null instead of the object that it belongs to: its type is optional, although it
    never returns None.
    """
    directives = NULL_ON_ERROR if null_on_error else ()
    declared = strawberry.field(description=description, metadata={COST: cost}, directives=directives)
    return cast("Callable[[Read], Read]", declared)


def later(value: Awaitable[V]) -> V:
    """An awaitable, typed as its result: the executor awaits it."""
    return cast("V", value)
