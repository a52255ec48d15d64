"""Scanning HTML as a browser does, to find the place of a printed value and the escaping that it needs there.

The content of conditional comments counts as HTML, because Outlook parses it.
"""

import enum
import re
from dataclasses import dataclass, replace
from typing import Final

_LINKS: Final = frozenset(
    [
        "href",
        "src",
        "action",
        "formaction",
        "background",
        "cite",
        "poster",
        "data",
        "longdesc",
        "codebase",
        "xlink:href",
        "srcset",
        "lowsrc",
        "dynsrc",
    ]
)
_ENTITY_ELEMENTS: Final = frozenset({"title", "textarea"})

_TAG: Final = re.compile(r"</?([a-zA-Z][^\s/>]*)")
# Complete attributes, which a value after them does not affect. Groups are made possessive by a look-ahead: Python
# before 3.11.5 matches a possessive group wrongly if its content can be matched in several ways.
_COMPLETE: Final = (
    r"""(?=(?P<attributes>(?:[\s/]*+[^\s"'>/=]++"""
    r"""(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s"'=<>`]++(?=[\s>]))|(?=\s*+[^\s=])))*))(?P=attributes)"""
)
_ATTRIBUTES: Final = re.compile(_COMPLETE)
# Text and complete tags, after which the scan is in text again.
_WHOLE: Final = re.compile(
    rf"[^<]*+(?=(?P<tags>(?:</?(?!(?:style|script|title|textarea)\b)[a-z][^\s/>]*+{_COMPLETE}[\s/]*+>[^<]*+)*))(?P=tags)",
    re.IGNORECASE,
)
_NAME: Final = re.compile(r"[\s/]*([^\s/>=]*)")
_SPACE: Final = re.compile(r"\s*")
_BARE_VALUE: Final = re.compile(r"[^\s>]*")
_DECIDING: Final = re.compile(r"[/?#:]")
_JAVASCRIPT: Final = re.compile(r"\s*javascript\s*:", re.IGNORECASE)


class Place(enum.Flag):
    """The place at which a value is printed, and what it needs there in addition to escaping `&<>"'`."""

    TEXT = 0
    """Between tags, in a title or a comment: escaping is enough."""
    ATTRIBUTE = enum.auto()
    """In the value of an attribute: the author's own quotes in the value must not end it."""
    LINK = enum.auto()
    """In a URL whose scheme is not known yet: only the allowed schemes may come from data."""
    LATER = enum.auto()
    """After another part of such a URL."""
    SCHEME = enum.auto()
    """A part of the scheme itself, as in `href="{{ scheme }}://shop.example"`."""
    STYLE = enum.auto()
    """In a style sheet or a style attribute: the value must not end its string or declaration."""
    SCRIPT = enum.auto()
    """In a script (such as JSON for mail clients) or an event handler: the value must not end its string."""
    RAW = enum.auto()
    """Within `<style>` or `<script>`, where browsers do not decode entities."""
    BARE = enum.auto()
    """In an attribute's value without quotes."""
    ALONE = enum.auto()
    """The whole of such a value."""
    NAME = enum.auto()
    """Within a tag, at the place of an attribute's name."""


_RAW_ELEMENTS: Final = {"style": Place.STYLE, "script": Place.SCRIPT}


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The state of the scan.

    `part` is one of text, raw, comment, tag, name, equals and value. `element` is the element of the start tag or raw
    text, `shown` are the values printed in the attribute so far, `written` is whether it has other text, `address` is
    whether its URL scheme is still undecided.
    """

    part: str = "text"
    element: str = ""
    attribute: str = ""
    quote: str = ""
    address: bool = True
    written: bool = False
    shown: frozenset[int] = frozenset()


START: Final = State()
Findings = list[tuple[int, Place]]
"""Additional needs of values that the scan has passed already, by their number."""


def place_of(state: State) -> Place:
    """The place of a value that is printed in this state."""
    if state.part == "raw":
        return _RAW_ELEMENTS[state.element] | Place.RAW if state.element in _RAW_ELEMENTS else Place.TEXT
    if state.part in {"tag", "name"}:
        return Place.NAME
    if state.part not in {"equals", "value"}:
        return Place.TEXT
    place = Place.ATTRIBUTE if state.quote else Place.ATTRIBUTE | Place.BARE
    if state.attribute in _LINKS and state.address:
        place |= Place.LINK | Place.LATER if state.shown or state.written else Place.LINK
    if state.attribute == "style":
        place |= Place.STYLE
    if state.attribute.startswith("on"):
        place |= Place.SCRIPT
    return place


def after_value(state: State, number: int) -> State:
    """The state after a printed value."""
    if state.part in {"equals", "value"}:
        return replace(state, part="value", shown=state.shown | {number})
    if state.part in {"tag", "name"}:
        return replace(state, part="name", attribute=state.attribute if state.part == "name" else "")
    return state


def read(state: State, text: str, findings: Findings) -> State:
    """The state after a piece of the author's HTML."""
    position = 0
    while position < len(text):
        state, position = _STEPS[state.part](state, text, position, findings)
    return state


def _text(state: State, text: str, position: int, _found: Findings) -> tuple[State, int]:
    match = _WHOLE.match(text, position)
    start = text.find("<", match.end() if match else position)
    if start < 0:
        return state, len(text)
    if text.startswith("<!--", start) and not text.startswith("<!--[if", start):
        after = start + 4
        # `<!-->` and `<!--->` are complete comments
        closed = next((after + len(end) for end in (">", "->") if text.startswith(end, after)), None)
        return (state, closed) if closed else (replace(state, part="comment"), after)
    if text.startswith(("<!", "<?"), start):
        end = text.find(">", start)
        return state, end + 1 if end >= 0 else len(text)
    if tag := _TAG.match(text, start):
        name = tag[1].lower() if text[start + 1] != "/" else ""
        return State(part="tag", element=name), tag.end()
    if start + 1 == len(text):
        return State(part="tag"), len(text)
    return state, start + 1


def _comment(state: State, text: str, position: int, _found: Findings) -> tuple[State, int]:
    end = text.find("-->", position)
    return (State(), end + 3) if end >= 0 else (state, len(text))


def _raw(state: State, text: str, position: int, _found: Findings) -> tuple[State, int]:
    end = re.compile(rf"</{re.escape(state.element)}(?=[\s/>])", re.IGNORECASE).search(text, position)
    return (State(part="tag"), end.end()) if end else (state, len(text))


def _tag(state: State, text: str, position: int, _found: Findings) -> tuple[State, int]:
    complete = _ATTRIBUTES.match(text, position)
    name = _NAME.match(text, complete.end() if complete else position)
    position = name.end() if name else position
    if name and name[1]:
        return State(part="name", element=state.element, attribute=name[1].lower()), position
    if position < len(text) and text[position] == "=":
        return State(part="name", element=state.element), position
    return _closed(state, text, position)


def _closed(state: State, text: str, position: int) -> tuple[State, int]:
    if position >= len(text):
        return State(part="tag", element=state.element), position
    raw = state.element in _RAW_ELEMENTS or state.element in _ENTITY_ELEMENTS
    return (State(part="raw", element=state.element) if raw else State()), position + 1


def _name(state: State, text: str, position: int, _found: Findings) -> tuple[State, int]:
    # The name may continue after a value: data-{{ x }}-y
    rest = re.compile(r"[^\s/>=]+").match(text, position)
    if rest:
        return replace(state, attribute=state.attribute + rest[0].lower()), rest.end()
    space = _SPACE.match(text, position)
    after = space.end() if space else position
    if after < len(text) and text[after] == "=":
        return replace(state, part="equals"), after + 1
    if after >= len(text):
        return state, after
    return State(part="tag", element=state.element), after


def _equals(state: State, text: str, position: int, _found: Findings) -> tuple[State, int]:
    space = _SPACE.match(text, position)
    position = space.end() if space else position
    if position >= len(text):
        return state, position
    if text[position] in "\"'":
        return replace(state, part="value", quote=text[position]), position + 1
    if text[position] == ">":
        return _closed(state, text, position)
    return replace(state, part="value"), position


def _value(state: State, text: str, position: int, findings: Findings) -> tuple[State, int]:
    if state.quote:
        end = text.find(state.quote, position)
        end = len(text) if end < 0 else end
    else:
        bare = _BARE_VALUE.match(text, position)
        end = bare.end() if bare else position
    state = _with(state, text[position:end], findings)
    if end == len(text):
        return state, end
    if not state.quote and len(state.shown) == 1 and not state.written:
        findings.append((next(iter(state.shown)), Place.ALONE))
    return State(part="tag", element=state.element), end + bool(state.quote)


def _with(state: State, written: str, findings: Findings) -> State:
    """The state after a piece of an attribute's value, which may decide the scheme of its URL."""
    deciding = _DECIDING.search(written) if state.address else None
    if state.attribute in _LINKS and not state.shown and _JAVASCRIPT.match(written):
        return replace(state, attribute="on", written=True)
    if deciding and deciding[0] == ":" and state.attribute in _LINKS:
        findings.extend((number, Place.SCHEME) for number in state.shown)
    return replace(state, address=state.address and not deciding, written=state.written or bool(written.strip()))


_STEPS: Final = {
    "text": _text,
    "raw": _raw,
    "comment": _comment,
    "tag": _tag,
    "name": _name,
    "equals": _equals,
    "value": _value,
}
