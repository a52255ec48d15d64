"""The `date` filter: what the reference reads as a date, and every directive that it writes.

Times without a zone are UTC. What cannot be read as a date is given back as it is.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from services.rendering.filters.directives import formatted
from services.rendering.filters.reading_dates import MAX_DATE, Moment, read_moment
from services.rendering.values import text_of

EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MAX_TIMESTAMP: Final = 20


def date(value: object, pattern: object) -> object:
    """The date in another form; what is no date stays as it is, and so does everything without a form."""
    directives = text_of(pattern)
    moment = moment_of(value) if directives else None
    return formatted(moment, directives) if moment else value


def moment_of(value: object) -> Moment | None:
    """The moment a value stands for: a date, seconds since 1970, `now`, `today`, or a date in words or digits."""
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
    if len(text) <= MAX_TIMESTAMP and text.isascii() and text.isdigit():
        return _timestamp(int(text))
    return _read(text, dt.datetime.now(dt.UTC).date()) if len(text) <= MAX_DATE else None


def _timestamp(seconds: int) -> Moment | None:
    try:
        return Moment(time=EPOCH + dt.timedelta(seconds=seconds), zone="UTC")
    except OverflowError:
        return None


# A campaign formats the same few dates for many contacts. The day is part of the key, as it completes "3 April".
@lru_cache(maxsize=256)
def _read(text: str, today: dt.date) -> Moment | None:
    return read_moment(text, today)


FILTERS: Final[Mapping[str, Callable[..., object]]] = {"date": date}
