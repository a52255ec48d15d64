"""Formatting a date by directives, with Ruby's flags and widths: `%-d`, `%^a`, `%03j`, `%L`, `%:z`."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Final

from services.rendering.errors import ValueProblem
from services.rendering.filters.reading_dates import Moment

_DIRECTIVE: Final = re.compile(r"%([-0^#_:]*)(\d*)(?:(?=E[cCxXyY])E|(?=O[deHkIlmMSuUVwWy])O)?([a-zA-Z%]|(?<=%)\+)")
_MAX_WIDTH: Final = 100
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_COMPOSED: Final = {
    "c": "%a %b %e %H:%M:%S %Y",
    "D": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "R": "%H:%M",
    "r": "%I:%M:%S %p",
    "T": "%H:%M:%S",
    "v": "%e-%^b-%Y",
    "X": "%H:%M:%S",
    "x": "%m/%d/%y",
    "+": "%a %b %e %H:%M:%S %Z %Y",
}
# Number, default width and default padding.
_NUMBERS: Final[dict[str, tuple[Callable[[dt.datetime], int], int, str]]] = {
    "C": (lambda time: time.year // 100, 2, "0"),
    "d": (lambda time: time.day, 2, "0"),
    "e": (lambda time: time.day, 2, " "),
    "G": (lambda time: time.isocalendar().year, 4, "0"),
    "g": (lambda time: time.isocalendar().year % 100, 2, "0"),
    "H": (lambda time: time.hour, 2, "0"),
    "I": (lambda time: time.hour % 12 or 12, 2, "0"),
    "j": (lambda time: time.timetuple().tm_yday, 3, "0"),
    "k": (lambda time: time.hour, 2, " "),
    "l": (lambda time: time.hour % 12 or 12, 2, " "),
    "M": (lambda time: time.minute, 2, "0"),
    "m": (lambda time: time.month, 2, "0"),
    "S": (lambda time: time.second, 2, "0"),
    "s": (lambda time: (time - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(seconds=1), 1, "0"),
    "U": (lambda time: (time.timetuple().tm_yday + 6 - time.isoweekday() % 7) // 7, 2, "0"),
    "u": (lambda time: time.isoweekday(), 1, "0"),
    "V": (lambda time: time.isocalendar().week, 2, "0"),
    "W": (lambda time: (time.timetuple().tm_yday + 6 - time.weekday()) // 7, 2, "0"),
    "w": (lambda time: time.isoweekday() % 7, 1, "0"),
    "Y": (lambda time: time.year, 4, "0"),
    "y": (lambda time: time.year % 100, 2, "0"),
}
_TEXTS: Final[dict[str, Callable[[Moment], str]]] = {
    "A": lambda moment: _DAYS[moment.time.weekday()],
    "a": lambda moment: _DAYS[moment.time.weekday()][:3],
    "B": lambda moment: _MONTHS[moment.time.month - 1],
    "b": lambda moment: _MONTHS[moment.time.month - 1][:3],
    "h": lambda moment: _MONTHS[moment.time.month - 1][:3],
    "n": lambda _: "\n",
    "P": lambda moment: "am" if moment.time.hour < 12 else "pm",
    "p": lambda moment: "AM" if moment.time.hour < 12 else "PM",
    "t": lambda _: "\t",
    "Z": lambda moment: moment.zone,
    "%": lambda _: "%",
}


def formatted(moment: Moment, pattern: str) -> str:
    """The pattern with its directives replaced; raises `ValueProblem` for a width above 100."""
    return _DIRECTIVE.sub(lambda match: _written(moment, match), pattern)


def _written(moment: Moment, match: re.Match[str]) -> str:
    flags, digits, letter = match.groups()
    if digits and (len(digits) > 3 or int(digits) > _MAX_WIDTH):
        raise ValueProblem(f"a date is written at most {_MAX_WIDTH} characters wide")
    width = int(digits or 0)
    if letter == "z":
        return _offset(moment.time, flags, width)
    part = None if ":" in flags else _part(moment, letter, flags, width)
    return match[0] if part is None else part


def _part(moment: Moment, letter: str, flags: str, width: int) -> str | None:
    """The text of a directive, or None for an unknown letter."""
    if letter in {"L", "N"}:
        return f"{moment.time.microsecond:06d}".ljust(max(width, 9), "0")[: width or (3 if letter == "L" else 9)]
    if letter in _NUMBERS:
        return _number(moment.time, letter, flags, width)
    if letter in _COMPOSED:
        text = formatted(moment, _COMPOSED[letter])
        return _padded(text.upper() if "^" in flags else text, flags, width)
    if letter in _TEXTS:
        return _padded(_cased(_TEXTS[letter](moment), flags, letter), flags, width)
    return None


def _number(time: dt.datetime, letter: str, flags: str, width: int) -> str:
    value, default_width, padding = _NUMBERS[letter]
    number = value(time)
    if "-" in flags:
        return str(number)
    for flag in flags:
        padding = {"_": " ", "0": "0"}.get(flag, padding)
    sign = "-" if number < 0 and padding == "0" else ""
    return sign + str(abs(number) if sign else number).rjust((width or default_width) - len(sign), padding)


def _cased(text: str, flags: str, letter: str) -> str:
    if "#" in flags:
        return text.lower() if letter in {"p", "Z"} else text.upper()
    return text.upper() if "^" in flags else text


def _padded(text: str, flags: str, width: int) -> str:
    return text.rjust(width, "0" if "0" in flags else " ")


def _offset(time: dt.datetime, flags: str, width: int) -> str:
    offset = time.utcoffset() or dt.timedelta()
    seconds = int(abs(offset).total_seconds())
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    sign, colons = "-" if offset < dt.timedelta() else "+", flags.count(":")
    tail = {0: f"{minutes:02d}", 1: f":{minutes:02d}", 2: f":{minutes:02d}:{rest:02d}"}.get(colons, "")
    if "_" in flags:
        return f"{sign}{hours}{tail}".rjust(max(width, len(tail) + 3))
    return sign + (f"{hours:02d}" + tail).rjust(width - 1, "0")
