"""The database's clock, which all processes share."""

from typing import Any

from sqlalchemy import Interval, func


def now_plus(seconds: Any) -> Any:  # noqa: ANN401 - SQL expressions
    """The time when the statement runs (not when its transaction started), plus the seconds."""
    return func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, seconds, type_=Interval)
