"""Fields that are read only when selected, and what they cost."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, cast

import strawberry

V = TypeVar("V")
Read = TypeVar("Read", bound=Callable[..., Any])
COST: Final = "nudge.cost"
COUNTING_COST: Final = 10
"""Points of what counts rows, or reads many for a few, when it is selected."""


def on_demand(description: str, *, cost: int = 0) -> Callable[[Read], Read]:
    """A method as a field: `strawberry.field`, which would take the method's type away.

    `cost` is what it costs, in points, beyond the objects that it shows.
    """
    return cast("Callable[[Read], Read]", strawberry.field(description=description, metadata={COST: cost}))


def later(value: Awaitable[V]) -> V:
    """A value that still has to be awaited, which the executor does; the schema names what it comes to."""
    return cast("V", value)
