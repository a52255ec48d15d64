"""All filters of the reference implementation, with limits for the values that a hostile template could make."""

import re
from collections.abc import Callable, Mapping
from functools import wraps
from html import unescape
from typing import Final, Protocol

from services.rendering.errors import ValueProblem
from services.rendering.escaping import complete, in_script
from services.rendering.filters import dates, lists, numbers, texts
from services.rendering.limits import FILTER_WORK, ITEM_WORK, MARKED_WORK, MAX_BITS, MAX_ITEMS, MAX_VALUE
from services.rendering.markup import MarkedText, markup, substituted
from services.rendering.values import LIST_LIKE, text_of

Filter = Callable[..., object]

_ENTITIES: Final = {"&": "&amp;", ">": "&gt;", "<": "&lt;", '"': "&quot;", "'": "&#39;"}
_SPECIAL: Final = re.compile("[&<>\"']")
_NOT_ESCAPED: Final = re.compile("[<>\"']|&(?!(?:[a-zA-Z]+|#[0-9]+);)")
_BREAK: Final = "<br />\n"


class Meter(Protocol):
    def spend(self, work: int) -> None:
        """Count work, in characters; raises beyond the limit of a rendering."""


def _measure(value: object) -> int:
    """The size of a value in characters; raises `ValueProblem` if it is too large."""
    size = 0
    if isinstance(value, str):
        size = len(value)
    elif isinstance(value, int):
        size = value.bit_length()
        if size > MAX_BITS:
            raise ValueProblem("a number grew too large")
    elif isinstance(value, LIST_LIKE):
        if len(value) > MAX_ITEMS:
            raise ValueProblem(f"a list has more than {MAX_ITEMS} items")
        size = sum(len(item) if isinstance(item, str) else 16 for item in value)
    if size > MAX_VALUE:
        raise ValueProblem("a value grew too long")
    return size


def work_on(value: object) -> int:
    """The work of a filter for processing a value, in characters."""
    work = _measure(value)
    if isinstance(value, LIST_LIKE):
        work += ITEM_WORK * len(value)
    return work * MARKED_WORK if isinstance(value, MarkedText) else work


def _result_size(name: str, value: object, args: tuple[object, ...]) -> int:
    """The size of the result of a filter that multiplies its input, in characters; 0 for other filters."""
    if name == "replace" and args:
        text, searched = text_of(value), text_of(args[0])
        return len(text) + text.count(searched) * len(text_of(args[1]) if len(args) > 1 else "")
    if name == "join" and isinstance(value, LIST_LIKE):
        return _measure(value) + len(value) * len(text_of(args[0]) if args else " ")
    return 0


def bounded(name: str, function: Filter) -> Filter:
    """The filter with its arguments and result checked against the limits; raises `ValueProblem` beyond them."""

    @wraps(function)
    def checked(value: object, *args: object, **kwargs: object) -> object:
        _measure(value)
        for arg in args:
            _measure(arg)
        if _result_size(name, value, args) > MAX_VALUE:
            raise ValueProblem(f"{name} would make a value that is too long")
        result = function(value, *args, **kwargs)
        _measure(result)
        return complete(result)

    return checked


def metered(function: Filter) -> Filter:
    """The filter as python-liquid calls it, with its work counted in the render context."""

    @wraps(function)
    def counted(value: object, *args: object, context: Meter, **kwargs: object) -> object:
        context.spend(FILTER_WORK + work_on(value) + sum(map(work_on, args)))
        return function(value, *args, **kwargs)

    counted.with_context = True  # type: ignore[attr-defined]
    return counted


def escape(value: object) -> str | None:
    """The text with `&<>"'` as entities."""
    return None if value is None else _SPECIAL.sub(lambda match: _ENTITIES[match[0]], text_of(value))


def escape_once(value: object) -> str:
    """The text with `&<>"'` as entities, except in existing entities."""
    return _NOT_ESCAPED.sub(lambda match: _ENTITIES[match[0]], text_of(value))


def newline_to_br(value: object) -> str:
    """The text with a `<br />` before each line end."""
    return substituted(texts.LINE_END, text_of(value), _BREAK)


def escapejs(value: object) -> str:
    """The text escaped for a string of JavaScript."""
    return in_script(text_of(value))


def _same_text(value: object) -> str | None:
    """The text itself, none of it as markup: `escape` for environments that escape when printing, or never."""
    return None if value is None else str(text_of(value))


def _unescaped(value: object) -> str:
    """The text with its entities decoded: `escape_once` for environments that escape when printing, or never."""
    return unescape(str(text_of(value)))


def html_newline_to_br(value: object) -> str:
    """The text with a `<br />` before each line end, which printing does not escape."""
    return substituted(texts.LINE_END, text_of(value), markup(_BREAK))


def html_escapejs(value: object) -> str:
    """The text escaped for a string of JavaScript, which printing does not escape again."""
    return markup(in_script(text_of(value)))


PLAIN_FILTERS: Final[Mapping[str, Filter]] = {
    **lists.FILTERS,
    **numbers.FILTERS,
    **texts.FILTERS,
    **dates.FILTERS,
    "escape": escape,
    "h": escape,
    "escape_once": escape_once,
    "escapejs": escapejs,
    "newline_to_br": newline_to_br,
}
"""The filters of the reference implementation."""
TEXT_FILTERS: Final[Mapping[str, Filter]] = {
    **PLAIN_FILTERS,
    "escape": _same_text,
    "h": _same_text,
    "escape_once": _unescaped,
    "newline_to_br": text_of,
}
"""The filters for plain text: none produces HTML."""
HTML_FILTERS: Final[Mapping[str, Filter]] = {
    **PLAIN_FILTERS,
    "escape": _same_text,
    "h": _same_text,
    "escape_once": _unescaped,
    "escapejs": html_escapejs,
    "newline_to_br": html_newline_to_br,
}
"""The filters for HTML, which is escaped when values are printed."""
