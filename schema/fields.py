"""Fields that are read only when selected."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import strawberry

V = TypeVar("V")
Read = TypeVar("Read", bound=Callable[..., Any])


def on_demand(description: str) -> Callable[[Read], Read]:
    """A method as a field: `strawberry.field`, which would take the method's type away."""
    return cast("Callable[[Read], Read]", strawberry.field(description=description))


def at_once_or_later(value: V | Awaitable[V]) -> V:
    """A value that may still have to be awaited, which the executor does; the schema names what it comes to."""
    return cast("V", value)
