"""Whether an element is visible, by its name, its attributes and its inline style.

Many mail clients drop style sheets; for links that a style sheet hides see `stylesheets`.
"""

import re
from collections.abc import Mapping
from typing import Final

from services.rendering.elements import NO_LINKS, UNSEEN

_CSS_COMMENT: Final = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_ZERO: Final = re.compile(r"[+-]?(?:0+(?:\.0*)?|\.0+)(?:[a-z]+|%)?")
_NUMBER: Final = re.compile(r"(-?[0-9]{0,9}(?:\.[0-9]{0,9})?)([a-z]+|%)?")
# The size within the shorthand `font` is followed by a unit or a line height, unlike a weight.
_FONT_SIZE: Final = re.compile(r"(?<![\w.])[0-9]{1,9}(?:\.[0-9]{0,9})?(?:(?:[a-z]{2,4}|%)|(?=\s*/))")
_IMPORTANT: Final = re.compile(r"\s*!\s*important\Z")
# Declarations that leave no pixel of an element; some are used to hide text from all but screen readers.
_REMOVING: Final = {
    "display": re.compile("none"),
    "opacity": _ZERO,
    "clip": re.compile(r"rect\(\s*([0-9]{1,4}(?:px)?)(?:[\s,]+\1){3}\s*\)"),
    "clip-path": re.compile(r"inset\(\s*(?:50|100)%\s*\)|circle\(\s*0(?:px|%)?\s*\)"),
    "transform": re.compile(r".*scale(?:3d|x|y)?\(\s*0(?:\.0*)?\s*[,)].*"),
    "zoom": _ZERO,
}
_MAX_TINY_SIZE: Final = 1.0
"""Pixels or points: text of this size is a way to hide it."""
_OFF_SCREEN: Final = -900
_RELATIVE: Final = frozenset({"em", "%", "ex", "ch", "inherit", "unset", "smaller", "larger"})
# Reasons why content is hidden, as bits: plain integers, because this is computed for each tag of each message.
SEEN: Final = 0
REMOVED: Final = 1
TINY: Final = 2
_INVISIBLE: Final = 4
LINKLESS: Final = 8
PREFORMATTED: Final = 16
"""Hides nothing, but preserves line ends."""
TEXT_HIDDEN: Final = REMOVED | TINY | _INVISIBLE
IMAGE_HIDDEN: Final = REMOVED | _INVISIBLE
LINK_HIDDEN: Final = TEXT_HIDDEN | LINKLESS


def within(outside: int, name: str, attributes: Mapping[str, str]) -> int:
    """The bits inside an element, given those outside."""
    inside = outside
    if name in UNSEEN or "hidden" in attributes or (name == "dialog" and "open" not in attributes):
        inside |= REMOVED
    elif name in NO_LINKS:
        inside |= LINKLESS
    elif name == "pre":
        inside |= PREFORMATTED
    style = attributes.get("style")
    return _styled(inside, _declarations(style)) if style else inside


def is_blank(attributes: Mapping[str, str]) -> bool:
    """Whether an image shows nothing: no source, or the size of a tracking pixel."""
    if not attributes.get("src", "").strip():
        return True
    return any(_is_tiny(attributes.get(side, "").strip()) for side in ("width", "height"))


def hides(declarations: str) -> bool:
    """Whether the declarations of a rule hide an element, whatever its content."""
    return _styled(SEEN, _declarations(declarations)) & (REMOVED | _INVISIBLE) != SEEN


def without_comments(style: str) -> str:
    """CSS with a space for each comment."""
    return _CSS_COMMENT.sub(" ", style) if "/*" in style else style


def _declarations(style: str) -> dict[str, str]:
    text = without_comments(style.lower())
    declarations: dict[str, str] = {}
    important: set[str] = set()
    for declaration in text.split(";"):
        name, _, value = declaration.partition(":")
        name, value = name.strip(), value.strip()
        plain = _IMPORTANT.sub("", value) if "!" in value else value
        if name in important and plain == value:
            continue
        if plain != value:
            important.add(name)
        declarations[name] = plain
    return declarations


def _styled(hidden: int, style: Mapping[str, str]) -> int:
    if _is_removed(style) or _is_clipped(style) or _is_off_screen(style):
        hidden |= REMOVED
    visibility = style.get("visibility")
    if visibility in ("hidden", "collapse"):
        hidden |= _INVISIBLE
    elif visibility in ("visible", "initial"):
        hidden &= ~_INVISIBLE
    size = style.get("font-size")
    if size is None and "font" in style:
        short = _FONT_SIZE.search(style["font"])
        size = short[0] if short else None
    if size:
        hidden = _sized(hidden, size)
    return hidden


def _sized(hidden: int, size: str) -> int:
    if _is_zero(size) or _is_tiny(size):
        return hidden | TINY
    number = _NUMBER.fullmatch(size)
    unit = (number[2] or "") if number and number[1] else size
    return hidden if unit in _RELATIVE else hidden & ~TINY


def _is_zero(value: str | None) -> bool:
    return value is not None and _ZERO.fullmatch(value) is not None


def _is_tiny(value: str) -> bool:
    number = _NUMBER.fullmatch(value)
    if number is None or number[1] in ("", "-", ".", "-.") or number[2] not in (None, "px", "pt"):
        return False
    return float(number[1]) <= _MAX_TINY_SIZE


def _is_removed(style: Mapping[str, str]) -> bool:
    return any(name in style and pattern.fullmatch(style[name]) for name, pattern in _REMOVING.items())


def _is_clipped(style: Mapping[str, str]) -> bool:
    if not (style.get("overflow", "") + style.get("overflow-y", "") + style.get("overflow-x", "")).startswith(
        ("hidden", "clip")
    ):
        return False
    return any(_is_zero(style.get(name)) for name in ("height", "max-height", "width", "max-width"))


def _is_off_screen(style: Mapping[str, str]) -> bool:
    names = ("text-indent", "left", "top") if style.get("position") in ("absolute", "fixed") else ("text-indent",)
    for name in names:
        number = _NUMBER.fullmatch(style.get(name, ""))
        if number and number[1] not in ("", "-", ".", "-.") and float(number[1]) < _OFF_SCREEN:
            return True
    return False
