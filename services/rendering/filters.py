"""The filters of python-liquid, bounded: no value of a hostile template or contact can grow without end."""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from functools import wraps
from html import unescape
from typing import Final, Protocol

from liquid.exceptions import FilterError
from liquid.filter import liquid_filter
from liquid.stringify import to_liquid_string
from liquid.undefined import Undefined
from markupsafe import Markup

from services.rendering.limits import FILTER_WORK, MAX_ITEMS, MAX_VALUE

Filter = Callable[..., object]

REMOVED: Final = frozenset(
    {
        "safe",  # would let a contact's field through unescaped
        "base64_decode",
        "base64_encode",
        "base64_url_safe_decode",
        "base64_url_safe_encode",
    }
)
ELEMENT: Final = re.compile(r"<[^<>]*+>")
LONGEST_DATE: Final = 64
DATES: Final = (int, dt.date, Undefined)


class Meter(Protocol):
    def spend(self, work: int) -> None:
        """Count work done, in characters; raises when a rendering has used up its share."""


def measure(value: object) -> int:
    """The size of a value in characters; raises `FilterError` when it is too large to go on with."""
    size = 0
    if isinstance(value, str):
        size = len(value)
    elif isinstance(value, int):
        size = value.bit_length() // 3
    elif isinstance(value, (list, tuple)):
        if len(value) > MAX_ITEMS:
            raise FilterError(f"a list has more than {MAX_ITEMS} items", token=None)
        size = sum(len(item) if isinstance(item, str) else 16 for item in value)
    if size > MAX_VALUE:
        raise FilterError("a value grew too long", token=None)
    return size


def _grown(name: str, value: object, args: tuple[object, ...]) -> int:
    """How many characters a filter is about to make, for the two that multiply."""
    if name == "replace" and args:
        text, found = str(value), str(args[0])
        return len(text) + text.count(found) * len(str(args[1]) if len(args) > 1 else "")
    if name == "join" and isinstance(value, (list, tuple)):
        return measure(value) + len(value) * len(str(args[0]) if args else " ")
    return 0


def bounded(name: str, function: Filter) -> Filter:
    """The filter with its arguments and its result held to the limits; raises `FilterError` beyond them."""

    @wraps(function)
    def checked(value: object, *args: object, **kwargs: object) -> object:
        measure(value)
        for arg in args:
            measure(arg)
        if _grown(name, value, args) > MAX_VALUE:
            raise FilterError(f"{name} would make a value that is too long", token=None)
        result = function(value, *args, **kwargs)
        measure(result)
        return result

    return checked


def metered(function: Filter) -> Filter:
    """The filter as python-liquid calls it, counting its work on the rendering's meter."""

    @wraps(function)
    def counted(value: object, *args: object, context: Meter, **kwargs: object) -> object:
        context.spend(FILTER_WORK + measure(value) + sum(map(measure, args)))
        return function(value, *args, **kwargs)

    counted.with_context = True  # type: ignore[attr-defined]
    return counted


def forgiving_date(function: Filter) -> Filter:
    """The `date` filter, giving back what it cannot read as a date instead of failing the message."""

    @wraps(function)
    def date(value: object, *args: object, **kwargs: object) -> object:
        readable = len(value) <= LONGEST_DATE if isinstance(value, str) else isinstance(value, DATES)
        if not readable:
            return value
        try:
            return function(value, *args, **kwargs)
        except (ValueError, OverflowError, OSError):
            return str(value)

    return date


@liquid_filter
def strip_html(value: object) -> str:
    """The text without its tags; python-liquid's own takes quadratic time on tags that never close."""
    text = value if isinstance(value, str) else to_liquid_string(value, autoescape=False)
    stripped = ELEMENT.sub("", text)
    return Markup(stripped) if isinstance(text, Markup) else stripped  # noqa: S704  # it was safe with its tags


@liquid_filter
def same_text(value: object) -> str:
    """The text itself: what `escape` and `newline_to_br` show to a reader of plain text."""
    return to_liquid_string(value, autoescape=False)


@liquid_filter
def unescaped(value: object) -> str:
    """The text with its entities read: what `escape_once` shows to a reader of plain text."""
    return unescape(to_liquid_string(value, autoescape=False))


NEUTRAL_IN_TEXT: Final[Mapping[str, Filter]] = {
    "escape": same_text,
    "escape_once": unescaped,
    "newline_to_br": same_text,
}


def bounded_filters(filters: Mapping[str, Filter]) -> dict[str, Filter]:
    """All filters a template may use, by name, each held to the limits."""
    kept = {name: function for name, function in filters.items() if name not in REMOVED}
    kept["date"] = forgiving_date(kept["date"])
    kept["strip_html"] = strip_html
    return {name: bounded(name, function) for name, function in kept.items()}
