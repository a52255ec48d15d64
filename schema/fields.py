"""Fields that are read only when selected."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import strawberry

Read = TypeVar("Read", bound=Callable[..., Any])


def on_demand(description: str) -> Callable[[Read], Read]:
    """A method as a field: `strawberry.field`, which would take the method's type away."""
    return cast("Callable[[Read], Read]", strawberry.field(description=description))
