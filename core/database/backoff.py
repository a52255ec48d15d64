"""Back-off as SQL: the pause before a row's next try."""

from typing import Any

from sqlalchemy import ColumnElement, func

from cancellation.backoff import MAX_DOUBLINGS, Backoff


def pause(backoff: Backoff, failures: ColumnElement[int]) -> ColumnElement[Any]:
    """Seconds to wait, as `Backoff.pause` gives them, after as many failures in a row as the row counts."""
    doublings = func.least(failures - 1, MAX_DOUBLINGS)
    longest = func.least(backoff.longest, backoff.first * func.power(2, doublings))
    return longest * (0.5 + func.random() / 2)
