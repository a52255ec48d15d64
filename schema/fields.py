"""Fields that are read only when selected, and what they cost."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, cast

import strawberry
from strawberry.schema_directive import Location

V = TypeVar("V")
Read = TypeVar("Read", bound=Callable[..., Any])
COST: Final = "nudge.cost"
COUNTING_COST: Final = 10
"""Points of what counts rows, or reads many for a few, when it is selected."""


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
    """A method as a field: `strawberry.field`, which would take the method's type away.

    `cost` is what it costs, in points, beyond the objects that it shows. With `null_on_error`, an error of the field
    makes it null instead of the object that it belongs to: its type is optional, though it gives no None.
    """
    directives = NULL_ON_ERROR if null_on_error else ()
    declared = strawberry.field(description=description, metadata={COST: cost}, directives=directives)
    return cast("Callable[[Read], Read]", declared)


def later(value: Awaitable[V]) -> V:
    """A value that still has to be awaited, which the executor does; the schema names what it comes to."""
    return cast("V", value)
