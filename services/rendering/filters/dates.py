"""The `date` filter: parses the same dates and formats the same directives as the reference implementation.

Times without a zone are UTC. A value that is no date is returned unchanged.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from services.rendering.filters.directives import formatted
from services.rendering.filters.reading_dates import MAX_DATE, Moment, read_moment
from services.rendering.values import text_of

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MAX_TIMESTAMP: Final = 20


def date(value: object, pattern: object) -> object:
    """The formatted date; a value that is no date, or any value without a pattern, is returned unchanged."""
    directives = text_of(pattern)
    moment = _moment_of(value) if directives else None
    return formatted(moment, directives) if moment else value


def _moment_of(value: object) -> Moment | None:
    """The moment of a value: a date, seconds since 1970, `now`, `today`, or text with a date; None if it has none."""
    if isinstance(value, dt.datetime):
        return Moment(
            time=value if value.tzinfo else value.replace(tzinfo=dt.UTC), zone="" if value.tzinfo else "UTC"
        )
    if isinstance(value, dt.date):
        return Moment(time=dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC), zone="UTC")
    if isinstance(value, int) and not isinstance(value, bool):
        return _timestamp(value)
    return _in_text(str(value).lower()) if isinstance(value, str) else None


def _in_text(text: str) -> Moment | None:
    if text in {"now", "today"}:
        return Moment(time=dt.datetime.now(dt.UTC), zone="UTC")
    if len(text) <= _MAX_TIMESTAMP and text.isascii() and text.isdigit():
        return _timestamp(int(text))
    return _read(text, dt.datetime.now(dt.UTC).date()) if len(text) <= MAX_DATE else None


def _timestamp(seconds: int) -> Moment | None:
    try:
        return Moment(time=_EPOCH + dt.timedelta(seconds=seconds), zone="UTC")
    except OverflowError:
        return None


# A campaign formats the same few dates for many contacts. The day is part of the key, because it completes "3 April".
@lru_cache(maxsize=256)
def _read(text: str, today: dt.date) -> Moment | None:
    return read_moment(text, today)


FILTERS: Final[Mapping[str, Callable[..., object]]] = {"date": date}
