"""Parsing dates in words and digits like Ruby's `Time.parse`: 3 April, 03/04/1990 (day first), ISO 8601."""

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import Final

MAX_DATE: Final = 128
_MONTHS: Final = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_MONTH_NUMBERS: Final = {name: number for number, name in enumerate(_MONTHS.split("|"), start=1)}
_HOURS: Final[dict[str, int]] = {
    "utc": 0, "ut": 0, "gmt": 0, "z": 0,
    "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7,
    **{letter: hours for hours, letter in enumerate("abcdefghiklm", start=1)},
    **{letter: -hours for hours, letter in enumerate("nopqrstuvwxy", start=1)},
}  # fmt: skip
_UTC_NAMES: Final = frozenset({"utc", "gmt", "z"})
_CENTURY: Final = 69
"""Years of two digits from this one on are in the twentieth century."""
_SHORT: Final = 2
"""The maximum number of digits of a day, a month, an hour or a year without a century."""

_NOISE: Final = re.compile(r"[^-+',./:@a-z0-9\[\]]+")
_WEEKDAY: Final = re.compile(r"\b(?:sun|mon|tue|wed|thu|fri|sat)[^-/\d\s]*")
_TIME: Final = re.compile(
    r"""(?P<time>(?:\d+\s*:\s*\d+(?:\s*:\s*\d+(?:[,.]\d*)?)?|\d+\s*h(?:\s*\d+m?(?:\s*\d+s?)?)?)(?:\s*[ap](?:m\b|\.m\.))?
    |\d+\s*[ap](?:m\b|\.m\.))
    (?:\s*(?P<zone>(?:gmt|utc?)?[-+]\d+(?:[,.:]\d+(?::\d+)?)?|[a-z.\s]+(?:standard|daylight)\stime\b|[a-z]+(?:\sdst)?\b))?""",
    re.VERBOSE | re.ASCII,
)
_CLOCK: Final = re.compile(
    r"(\d+)\s*h?(?:\s*:?\s*(\d+)m?(?:\s*:?\s*(\d+)(?:[,.](\d*))?s?)?)?(?:\s*([ap])(?:m\b|\.m\.))?", re.ASCII
)
_ERA: Final = r"(?:c(?:e|\.e\.)|b(?:ce|\.c\.e\.)|a(?:d|\.d\.)|b(?:c|\.c\.))"
_DAY_MONTH: Final = re.compile(
    rf"('?\d+)[^-\d\s]*\s*({_MONTHS})[^-\d\s']*(?:\s*{_ERA}?\s*('?-?\d+(?:(?:st|nd|rd|th)\b)?))?", re.ASCII
)
_MONTH_DAY: Final = re.compile(
    rf"\b({_MONTHS})[^-\d\s']*\s*('?\d+)[^-\d\s']*(?:\s*,?\s*{_ERA}?\s*('?-?\d+))?", re.ASCII
)
_DASHES: Final = re.compile(r"('?[-+]?\d+)-(\d+)-('?-?\d+)", re.ASCII)
_DAY_NAME_YEAR: Final = re.compile(rf"('?-?\d+)-({_MONTHS})[^-/.]*-('?-?\d+)", re.ASCII)
_NAME_DAY_YEAR: Final = re.compile(rf"\b({_MONTHS})[^-/.]*-('?-?\d+)(?:-('?-?\d+))?", re.ASCII)
_SLASHES: Final = re.compile(r"('?-?\d+)/\s*('?\d+)(?:\D\s*('?-?\d+))?", re.ASCII)
_DOTS: Final = re.compile(r"('?-?\d+)\.\s*('?\d+)\.\s*('?-?\d+)", re.ASCII)
_WEEK: Final = re.compile(r"\b(?:\d{2}|\d{4})?-?w\d{2}(?:-?\d)?\b", re.ASCII)
_ORDINAL: Final = re.compile(r"\b(\d{2}|\d{4})-(\d{3})\b", re.ASCII)
_YEAR: Final = re.compile(r"'(\d+)\b", re.ASCII)
_MONTH: Final = re.compile(rf"\b({_MONTHS})\S*")
_DAY: Final = re.compile(r"(\d+)(?:st|nd|rd|th)\b", re.ASCII)
_DIGITS: Final = re.compile(r"([-+]?)(\d{2,14})(?:\s*t?\s*(\d{2,6})?(?:[,.](\d*))?)?(z\b|[-+]\d{1,4}\b)?", re.ASCII)
_LONE_NUMBER: Final = re.compile(r"\s*(\d{1,2})\s*", re.ASCII)
_OFFSET: Final = re.compile(r"(?:gmt|utc?)?([-+])(\d+)(?:[,.:](\d+)(?::(\d+))?)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A time with its offset from UTC; `zone` is the name of the time zone, if it has one."""

    time: dt.datetime
    zone: str


@dataclass(slots=True)
class _Parts:
    """The parts found in the text; `whole_year` means that the year has more than two digits."""

    numbers: dict[str, int] = field(default_factory=dict)
    fraction: str = ""
    zone: str = ""
    whole_year: bool = False


def read_moment(text: str, today: dt.date) -> Moment | None:
    """The moment in a lower-case text, completed by today's date; None if there is none."""
    parts = _Parts()
    rest = _WEEKDAY.sub(" ", _NOISE.sub(" ", text), count=1)
    rest = _without_time(parts, rest)
    rest = _without_date(parts, rest)
    _lone_number(parts, rest)
    if not parts.numbers:
        return None
    try:
        return _moment(parts, today)
    except (ValueError, OverflowError):
        return None


def _without_time(parts: _Parts, text: str) -> str:
    match = _TIME.search(text)
    clock = _CLOCK.match(match["time"]) if match else None
    if match is None or clock is None:
        return text
    hour = int(clock[1])
    if clock[5]:
        hour = hour % 12 + (12 if clock[5] == "p" else 0)
    parts.numbers["hour"] = hour
    for name, digits in (("minute", clock[2]), ("second", clock[3])):
        if digits:
            parts.numbers[name] = int(digits)
    parts.fraction = clock[4] or ""
    parts.zone = match["zone"] or ""
    return text[: match.start()] + " " + text[match.end() :]


def _without_date(parts: _Parts, text: str) -> str:
    for pattern, order in (
        (_DAY_MONTH, (3, 2, 1)),
        (_MONTH_DAY, (3, 1, 2)),
        (_DASHES, (1, 2, 3)),
        (_DAY_NAME_YEAR, (3, 2, 1)),
        (_NAME_DAY_YEAR, (3, 1, 2)),
        (_SLASHES, (1, 2, 3)),
        (_DOTS, (1, 2, 3)),
    ):
        if match := pattern.search(text):
            _take(parts, *(match[index] for index in order))
            return text[: match.start()] + " " + text[match.end() :]
    return _without_less(parts, text)


def _without_less(parts: _Parts, text: str) -> str:
    """Find a day of a year, a year after an apostrophe, a month alone, a day such as 3rd, or a run of digits."""
    match: re.Match[str] | None
    if match := _ORDINAL.search(text):
        parts.numbers |= {"year": int(match[1]), "day_of_year": int(match[2])}
        parts.whole_year = len(match[1]) > _SHORT
    elif match := _WEEK.search(text):
        pass  # Ruby parses weeks, and then ignores them
    elif match := _YEAR.search(text):
        parts.numbers["year"] = int(match[1])
    elif match := _MONTH.search(text):
        parts.numbers["month"] = _MONTH_NUMBERS[match[1]]
    elif match := _DAY.search(text):
        parts.numbers["day"] = int(match[1])
    elif match := _DIGITS.search(text):
        _take_digits(parts, match)
    return text[: match.start()] + " " + text[match.end() :] if match else text


def _take(parts: _Parts, year: str | None, month: str | None, day: str | None) -> None:
    """Assign year, month and day: a long number or one with an apostrophe is the year, at any position."""
    if month in _MONTH_NUMBERS:
        month = str(_MONTH_NUMBERS[month])
    if year is not None and month is not None and day is None:
        year, month, day = day, year, month
    if year is None and day is not None and _is_year(day):
        year, day = day, None
    if year is not None and not re.fullmatch(r"[^-+\d]*[-+]?\d+", year, re.ASCII):
        # 3 April 5th: the ending marks the day
        year, day = day, re.sub(r"\D", "", year or "")
    if month is not None and _is_year(month):
        year, month, day = month, day, year
    if day is not None and _is_year(day):
        year, day = day, year
    for name, digits in (("year", year), ("month", month), ("day", day)):
        if digits is not None and (match := re.search(r"[-+]?\d+" if name == "year" else r"\d+", digits, re.ASCII)):
            parts.numbers[name] = int(match[0])
            if name == "year" and (match[0][0] in "-+" or len(match[0]) > _SHORT):
                parts.whole_year = True


def _is_year(digits: str) -> bool:
    return digits.startswith("'") or len(digits) > _SHORT


def _take_digits(parts: _Parts, match: re.Match[str]) -> None:
    digits = match[2]
    if match[4] is not None and match[3] is None:
        return  # seconds with a fraction, which are no date
    names: dict[int, tuple[tuple[str, int], ...]] = {
        2: (("day", 2),),
        3: (("day_of_year", 3),),
        4: (("month", 2), ("day", 2)),
        5: (("year", 2), ("day_of_year", 3)),
        6: (("year", 2), ("month", 2), ("day", 2)),
        7: (("year", 4), ("day_of_year", 3)),
    }
    long = (("year", 4), ("month", 2), ("day", 2), ("hour", 2), ("minute", 2), ("second", 2))
    position = 0
    for name, length in names.get(len(digits), long):
        if position < len(digits):
            parts.numbers[name] = int(digits[position : position + length])
            parts.whole_year |= name == "year" and length > _SHORT
            position += length
    for name, clock in zip(("hour", "minute", "second"), re.findall("..", match[3] or ""), strict=False):
        parts.numbers[name] = int(clock)
    parts.fraction = match[4] or parts.fraction
    parts.zone = match[5] or parts.zone


def _lone_number(parts: _Parts, rest: str) -> None:
    """A remaining number is the day if there is a time, and the hour if there is a date."""
    if not (match := _LONE_NUMBER.fullmatch(rest)):
        return
    number = int(match[1])
    if "hour" in parts.numbers and "day" not in parts.numbers and 1 <= number <= 31:
        parts.numbers["day"] = number
    if "day" in parts.numbers and "hour" not in parts.numbers and number <= 24:
        parts.numbers["hour"] = number


def _moment(parts: _Parts, today: dt.date) -> Moment:
    numbers = parts.numbers
    year = numbers.get("year")
    if year is not None and not parts.whole_year and 0 <= year <= 99:
        year += 1900 if year >= _CENTURY else 2000
    if year is None:
        year = today.year
        if "month" not in numbers and "day_of_year" not in numbers:
            numbers["month"] = today.month
            numbers.setdefault("day", today.day)
    offset = _offset(parts.zone)
    zone = dt.UTC if offset is None else dt.timezone(offset)
    time = _date(year, numbers).replace(tzinfo=zone) + _clock(numbers)
    if parts.fraction:
        time += dt.timedelta(microseconds=int(parts.fraction[:6].ljust(6, "0")))
    return Moment(time=time, zone="UTC" if offset is None or parts.zone in _UTC_NAMES else "")


def _date(year: int, numbers: dict[str, int]) -> dt.datetime:
    if "day_of_year" in numbers:
        if not 1 <= numbers["day_of_year"] <= 366:
            raise ValueError("no such day")
        return dt.datetime(year, 1, 1) + dt.timedelta(days=numbers["day_of_year"] - 1)  # noqa: DTZ001  # the zone follows
    day = numbers.get("day", 1)
    if not 1 <= day <= 31:
        raise ValueError("no such day")
    # As in Ruby, 31 February is 2 or 3 March.
    return dt.datetime(year, numbers.get("month", 1), 1) + dt.timedelta(days=day - 1)  # noqa: DTZ001  # the zone follows


def _clock(numbers: dict[str, int]) -> dt.timedelta:
    hour, minute, second = (numbers.get(name, 0) for name in ("hour", "minute", "second"))
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second)):
        raise ValueError("no such time")
    return dt.timedelta(hours=hour, minutes=minute, seconds=second)


def _offset(zone: str) -> dt.timedelta | None:
    """The offset of a time zone, or None for an unknown or missing one."""
    if zone in _HOURS:
        return dt.timedelta(hours=_HOURS[zone])
    match = _OFFSET.fullmatch(zone)
    if match is None:
        return None
    digits, minutes = match[2], int(match[3] or 0)
    if len(digits) > _SHORT and not match[3]:
        digits, minutes = digits[:-2], int(digits[-2:])
    offset = dt.timedelta(hours=int(digits), minutes=minutes, seconds=int(match[4] or 0))
    return -offset if match[1] == "-" else offset
