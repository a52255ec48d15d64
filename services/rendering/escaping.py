"""Escaping where a value is printed, once, for the place in the HTML that it is printed at."""

import re
from collections.abc import Callable
from functools import partial
from typing import Final

from services.rendering.markup import MarkedText, joined, runs
from services.rendering.places import START, Findings, Place, behind_value, place_of, read
from services.rendering.values import LISTS, text_of

SCHEMES: Final = frozenset(
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
DECIDING: Final = re.compile(r"[/?#:]")
MAX_SCHEME: Final = 2_000
IGNORED: Final = re.compile("[\x00-\x20\x7f-\xa0\xad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
USUAL_ADDRESSES: Final = ("https://", "http://", "mailto:")
NOWHERE: Final = "#"
UNSAFE_STYLE: Final = re.compile(
    r"""(?:rgba?|hsla?)\([\w\s.,%/+-]*\)|[;{}()"'\\<>*@!&\x00-\x1f\x7f]""", re.IGNORECASE
)
UNSAFE_SCRIPT: Final = re.compile("[\\\\'\"<>&=`%;\x00-\x1f\x7f\u2028\u2029-]")
BARE_ENDS: Final = re.compile(r"[\s=`]")
NAME_ENDS: Final = re.compile(r"[\s=`/]")
HANDLER: Final = re.compile(r"\s*on", re.IGNORECASE)


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
    """A value as it appears in HTML: escaped, but for what is the author's own markup in it."""
    if type(value) is str:
        # As `escaped`, without the price of a call; most names need nothing at all.
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
    return form_of(text)[0] if isinstance(text, MarkedText) else escaped(text)


def form_of(text: MarkedText) -> tuple[str, bool]:
    """The HTML of a text with markup, each value escaped for its place, and whether the markup is complete."""
    if text.form is None:
        text.form = _form(text)
    return text.form


def _form(text: MarkedText) -> tuple[str, bool]:
    parts = list(runs(text))
    places = [Place.TEXT] * len(parts)
    state, found = START, Findings([])
    for number, (part, own) in enumerate(parts):
        if own:
            state = read(state, part, found)
        else:
            places[number] = place_of(state)
            state = behind_value(state, number)
    for number, place in found:
        places[number] |= place
    html = (part if own else printer(place)(part) for (part, own), place in zip(parts, places, strict=True))
    return "".join(html), state.part == "text"


def complete(value: object) -> object:
    """The value; a text that a filter has left with half a tag is no markup any more."""
    if isinstance(value, MarkedText):
        return value if form_of(value)[1] else str(value)
    if isinstance(value, list) and any(isinstance(item, MarkedText) for item in value):
        return [complete(item) for item in value]
    return value


def marked_text(value: object) -> str:
    """A value as plain text shows it, which still knows what of it is the author's own markup."""
    return joined(map(marked_text, value)) if isinstance(value, LISTS) else text_of(value)


def printer(place: Place) -> Callable[[object], str]:
    """The function that prints values at a place."""
    return QUICK.get(place) or partial(placed_text, place)


def attribute_text(value: object) -> str:
    """A value as it appears in an attribute with quotes."""
    return html_text(value) if type(value) is str else placed_text(Place.ATTRIBUTE, value)


def address_text(value: object) -> str:
    """A value as it appears where an address begins."""
    if type(value) is str and value.startswith(USUAL_ADDRESSES):
        return html_text(value)
    return placed_text(Place.ATTRIBUTE | Place.LINK, value)


def placed_text(place: Place, value: object) -> str:
    """A value as it appears at a place of the HTML that needs more than escaping."""
    text = guarded(place, marked_text(value))
    if not isinstance(text, MarkedText):
        text = text if Place.RAW in place else escaped(text)
    elif Place.RAW in place:
        text = str(text)
    else:
        text = "".join(_own(part) if own else escaped(part) for part, own in runs(text))
    if Place.BARE in place or Place.NAME in place:
        text = (NAME_ENDS if Place.NAME in place else BARE_ENDS).sub(lambda match: f"&#{ord(match[0])};", text)
    return text or ('""' if Place.ALONE in place else "")


def _own(markup: str) -> str:
    # In an attribute the author's markup cannot be a tag; its entities stay.
    return markup.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;").replace("'", "&#39;")


def guarded(place: Place, text: str) -> str:
    """The text without what would do harm at a place: before it is escaped."""
    if Place.LINK in place and _forbidden(text):
        # Behind the beginning of an address a colon may belong to a path.
        return str(text).replace(":", "%3A", 1) if Place.LATER in place else NOWHERE
    if Place.SCHEME in place and text and text[:MAX_SCHEME].strip().lower() not in SCHEMES:
        return NOWHERE
    if Place.NAME in place and HANDLER.match(text):
        return ""
    if Place.STYLE in place:
        text = _each_value(text, in_style)
    if Place.SCRIPT in place:
        text = _each_value(text, in_script)
    return text


def _forbidden(address: str) -> bool:
    # Browsers skip white space and controls, within the scheme as well. What hides it longer than any address is, is
    # no address either.
    beginning = IGNORED.sub("", str(address)[:MAX_SCHEME])
    decided = DECIDING.search(beginning)
    if decided is None:
        return len(address) > MAX_SCHEME
    return decided[0] == ":" and beginning[: decided.start()].lower() not in SCHEMES


def _each_value(text: str, function: Callable[[str], str]) -> str:
    if not isinstance(text, MarkedText):
        return function(text)
    parts, position = [], 0
    for part, own in runs(text):
        piece = text[position : position + len(part)]
        parts.append(piece if own else function(piece))
        position += len(part)
    return joined(parts)


def in_style(text: str) -> str:
    """The text as a part of CSS that stays in its string or value (CSS Syntax 3, 4.3.7); colours are left alone."""
    return UNSAFE_STYLE.sub(lambda match: match[0] if len(match[0]) > 1 else f"\\{ord(match[0]):x} ", text)


def in_script(text: str) -> str:
    """The text as a part of a string of JSON or JavaScript."""
    return UNSAFE_SCRIPT.sub(lambda match: f"\\u{ord(match[0]):04X}", text)


QUICK: Final[dict[Place, Callable[[object], str]]] = {
    Place.TEXT: html_text,
    Place.ATTRIBUTE: attribute_text,
    Place.ATTRIBUTE | Place.LINK: address_text,
}
