"""Back-off as SQL: the delay before a row is tried again."""

from typing import Any

from sqlalchemy import ColumnElement, func

from cancellation.backoff import MAX_DOUBLINGS, Backoff


def delay(backoff: Backoff, failures: ColumnElement[int]) -> ColumnElement[Any]:
    """The seconds that `Backoff.delay` returns for the row's number of consecutive failures."""
    doublings = func.least(failures - 1, MAX_DOUBLINGS)
    longest = func.least(backoff.maximum, backoff.initial * func.power(2, doublings))
    return longest * (0.5 + func.random() / 2)
