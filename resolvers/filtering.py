"""What all filters and sorts have in common: how large they may be, and which way round."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from core.errors import ErrorCode, InvalidInput
from core.listing.pages import Order
from schema.connections import SortDirection

FILTER: Final = ("filter",)
MOST_FILTERS: Final = 50
DEEPEST_FILTER: Final = 5
F = TypeVar("F")


def bounded(given: F, inside: Callable[[F], Sequence[F]]) -> F:
    """The filter, where `inside` gives those directly within one.

    Raises `InvalidInput` for more than 50 in all, or 5 within each other.
    """
    if sum(1 for _ in nested(given, inside, 1)) > MOST_FILTERS:
        raise InvalidInput(f"At most {MOST_FILTERS} filters in all.", field=FILTER, code=ErrorCode.TOO_MANY)
    return given


def nested(given: F, inside: Callable[[F], Sequence[F]], depth: int) -> Iterator[F]:
    """The filter and all within it; raises `InvalidInput` below the fifth level."""
    if depth > DEEPEST_FILTER:
        raise InvalidInput(f"Filters nest at most {DEEPEST_FILTER} deep.", field=FILTER, code=ErrorCode.TOO_MANY)
    yield given
    for inner in inside(given):
        yield from nested(inner, inside, depth + 1)


def directed(order: Order[Any], direction: SortDirection) -> Order[Any]:
    """The order, up or down."""
    return replace(order, descending=direction is SortDirection.DESC)
