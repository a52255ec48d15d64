"""Escaping values for the place in the HTML at which they are printed."""

import re
from collections.abc import Callable
from functools import partial
from typing import Final

from services.rendering.markup import MarkedText, joined, runs
from services.rendering.places import START, Findings, Place, after_value, place_of, read
from services.rendering.values import LISTS, text_of

_SCHEMES: Final = frozenset(
    [
        "http",
        "https",
        "mailto",
        "tel",
        "sms",
        "callto",
        "facetime",
        "whatsapp",
        "webcal",
        "geo",
        "maps",
        "ftp",
        "ftps",
        "cid",
        "mid",
        "news",
        "xmpp",
        "sip",
        "sips",
    ]
)
_DECIDING: Final = re.compile(r"[/?#:]")
_MAX_SCHEME: Final = 2_000
_IGNORED: Final = re.compile("[\x00-\x20\x7f-\xa0\xad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
COMMON_URL_PREFIXES: Final = ("https://", "http://", "mailto:")
_BLOCKED_URL: Final = "#"
_UNSAFE_STYLE: Final = re.compile(
    r"""(?:rgba?|hsla?)\([\w\s.,%/+-]*\)|[;{}()"'\\<>*@!&\x00-\x1f\x7f]""", re.IGNORECASE
)
_UNSAFE_SCRIPT: Final = re.compile("[\\\\'\"<>&=`%;\x00-\x1f\x7f\u2028\u2029-]")
_BARE_ENDS: Final = re.compile(r"[\s=`]")
_NAME_ENDS: Final = re.compile(r"[\s=`/]")
_HANDLER: Final = re.compile(r"\s*on", re.IGNORECASE)


def escaped(text: str) -> str:
    """The text with `&<>"'` as entities."""
    return (
        text.replace("&", "&amp;")
        .replace(">", "&gt;")
        .replace("<", "&lt;")
        .replace("'", "&#39;")
        .replace('"', "&#34;")
    )


def html_text(value: object) -> str:
    """A value as HTML text: escaped, except for the author's own markup in it."""
    if type(value) is str:
        # `escaped`, inlined to save a call; most names need no escaping at all.
        if value.isalnum():
            return value
        return (
            value.replace("&", "&amp;")
            .replace(">", "&gt;")
            .replace("<", "&lt;")
            .replace("'", "&#39;")
            .replace('"', "&#34;")
        )
    if value is None:
        return ""
    if type(value) is int:
        return str(value)
    text = marked_text(value)
    return _form_of(text)[0] if isinstance(text, MarkedText) else escaped(text)


def _form_of(text: MarkedText) -> tuple[str, bool]:
    """The HTML of a text with markup, each value escaped for its place, and whether the markup is complete."""
    if text.form is None:
        text.form = _form(text)
    return text.form


def _form(text: MarkedText) -> tuple[str, bool]:
    parts = list(runs(text))
    places = [Place.TEXT] * len(parts)
    state, findings = START, Findings([])
    for number, (part, own) in enumerate(parts):
        if own:
            state = read(state, part, findings)
        else:
            places[number] = place_of(state)
            state = after_value(state, number)
    for number, place in findings:
        places[number] |= place
    html = (part if own else printer(place)(part) for (part, own), place in zip(parts, places, strict=True))
    return "".join(html), state.part == "text"


def complete(value: object) -> object:
    """The value; a text of which a filter has left half a tag is treated as plain text."""
    if isinstance(value, MarkedText):
        return value if _form_of(value)[1] else str(value)
    if isinstance(value, list) and any(isinstance(item, MarkedText) for item in value):
        return [complete(item) for item in value]
    return value


def marked_text(value: object) -> str:
    """A value as plain text, with the mask of the author's own markup."""
    return joined(map(marked_text, value)) if isinstance(value, LISTS) else text_of(value)


def printer(place: Place) -> Callable[[object], str]:
    """The function that prints values at a place."""
    return _QUICK.get(place) or partial(_escape_for, place)


def _attribute_text(value: object) -> str:
    """A value in an attribute with quotes."""
    return html_text(value) if type(value) is str else _escape_for(Place.ATTRIBUTE, value)


def _url_text(value: object) -> str:
    """A value at the beginning of a URL."""
    if type(value) is str and value.startswith(COMMON_URL_PREFIXES):
        return html_text(value)
    return _escape_for(Place.ATTRIBUTE | Place.LINK, value)


def _escape_for(place: Place, value: object) -> str:
    """A value at a place of the HTML that needs more than plain escaping."""
    text = _sanitize(place, marked_text(value))
    if not isinstance(text, MarkedText):
        text = text if Place.RAW in place else escaped(text)
    elif Place.RAW in place:
        text = str(text)
    else:
        text = "".join(_own(part) if own else escaped(part) for part, own in runs(text))
    if Place.BARE in place or Place.NAME in place:
        text = (_NAME_ENDS if Place.NAME in place else _BARE_ENDS).sub(lambda match: f"&#{ord(match[0])};", text)
    return text or ('""' if Place.ALONE in place else "")


def _own(markup: str) -> str:
    # In an attribute the author's markup cannot be a tag; its entities are kept.
    return markup.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;").replace("'", "&#39;")


def _sanitize(place: Place, text: str) -> str:
    """The text without anything harmful at a place; it is escaped afterwards."""
    if Place.LINK in place and _forbidden(text):
        # After the beginning of a URL a colon may belong to a path.
        return str(text).replace(":", "%3A", 1) if Place.LATER in place else _BLOCKED_URL
    if Place.SCHEME in place and text and text[:_MAX_SCHEME].strip().lower() not in _SCHEMES:
        return _BLOCKED_URL
    if Place.NAME in place and _HANDLER.match(text):
        return ""
    if Place.STYLE in place:
        text = _each_value(text, _in_style)
    if Place.SCRIPT in place:
        text = _each_value(text, in_script)
    return text


def _forbidden(address: str) -> bool:
    # Browsers ignore white space and control characters, also within the scheme. A text in which they hide the scheme
    # for longer than any URL is forbidden too.
    beginning = _IGNORED.sub("", str(address)[:_MAX_SCHEME])
    decided = _DECIDING.search(beginning)
    if decided is None:
        return len(address) > _MAX_SCHEME
    return decided[0] == ":" and beginning[: decided.start()].lower() not in _SCHEMES


def _each_value(text: str, function: Callable[[str], str]) -> str:
    if not isinstance(text, MarkedText):
        return function(text)
    parts, position = [], 0
    for part, own in runs(text):
        piece = text[position : position + len(part)]
        parts.append(piece if own else function(piece))
        position += len(part)
    return joined(parts)


def _in_style(text: str) -> str:
    """The text escaped so that it cannot leave its CSS string or value (CSS Syntax 3, 4.3.7); colors are kept."""
    return _UNSAFE_STYLE.sub(lambda match: match[0] if len(match[0]) > 1 else f"\\{ord(match[0]):x} ", text)


def in_script(text: str) -> str:
    """The text escaped for a string of JSON or JavaScript."""
    return _UNSAFE_SCRIPT.sub(lambda match: f"\\u{ord(match[0]):04X}", text)


_QUICK: Final[dict[Place, Callable[[object], str]]] = {
    Place.TEXT: html_text,
    Place.ATTRIBUTE: _attribute_text,
    Place.ATTRIBUTE | Place.LINK: _url_text,
}
