"""Tokenizing HTML as browsers do (WHATWG HTML, 13.2.5), in linear time.

The standard library's parser takes quadratic time on tags that never close, and parses comments differently in
different Python releases. The patterns here never backtrack.
"""

import re
from collections.abc import Iterator
from html import unescape
from typing import Final, NamedTuple

_SPACE: Final = r"[ \t\n\r\f]"
_VALUE: Final = rf"""{_SPACE}*+=(?:{_SPACE}*+(?:"[^"]*+"|'[^']*+'|[^ \t\n\r\f>"'][^ \t\n\r\f>]*+|(?=>)))"""
_NAME: Final = r"(?:=[^ \t\n\r\f/>=]*+|[^ \t\n\r\f/>=]++)"
# The look-ahead makes the group possessive: before 3.11.5, Python matches some groups with `*+` wrongly.
_TAG: Final = re.compile(
    rf"<(/?)([a-zA-Z][^ \t\n\r\f/>]*+)(?=((?:[ \t\n\r\f/]++|{_NAME}(?:{_VALUE}|(?!{_SPACE}*+=)))*))\3>", re.ASCII
)
ATTRIBUTE: Final = re.compile(
    rf"({_NAME})(?:{_SPACE}*+={_SPACE}*+(?:\"([^\"]*+)\"|'([^']*+)'|([^ \t\n\r\f>\"'][^ \t\n\r\f>]*+))?)?"
)
_OPENING: Final = re.compile(r"<(?:[a-zA-Z!?]|/(?!\Z))")
_COMMENT_END: Final = re.compile(r"--!?>")
_BARE_AMPERSAND: Final = re.compile(r"&(?!#|[a-zA-Z][a-zA-Z0-9]*+;)")
_RAW: Final = {
    name: re.compile(rf"</{name}(?=[ \t\n\r\f/>])", re.IGNORECASE | re.ASCII)
    for name in ("style", "script", "title", "textarea", "xmp", "iframe", "noembed", "noframes")
} | {"plaintext": re.compile(r"(?!)")}
"""Elements whose content has no tags, with the patterns of their ends (`plaintext` never ends)."""


class Text(NamedTuple):
    """Characters between tags, as in the source."""

    source: str


class Start(NamedTuple):
    """A start tag, its position, and its attributes as in the source."""

    name: str
    attributes: str
    position: int


class End(NamedTuple):
    """An end tag and its position."""

    name: str
    position: int


class Verbatim(NamedTuple):
    """The content of an element without tags, such as `<style>`."""

    name: str
    source: str


class Comment(NamedTuple):
    """A comment of any form, including its delimiters."""

    source: str


class Unclosed(NamedTuple):
    """The start of a tag, comment or element that never ends; nothing after it is visible."""

    position: int


Token = Text | Start | End | Verbatim | Comment | Unclosed


def tokens(html: str) -> Iterator[Token]:
    """The tokens of the source, in order."""
    position = 0
    while match := _OPENING.search(html, position):
        opening = match.start()
        if opening > position:
            yield Text(html[position:opening])
        tag = _TAG.match(html, opening)
        position = tag.end() if tag else _end_of_other(html, opening)
        if position < 0:
            yield Unclosed(opening)
            return
        if tag is None:
            yield Comment(html[opening:position])
        elif tag[1]:
            yield End(tag[2].lower(), opening)
        else:
            name = tag[2].lower()
            yield Start(name, tag[3], opening)
            if name in _RAW and not tag[3].endswith("/"):
                closing = _RAW[name].search(html, position)
                end = closing.start() if closing else len(html)
                yield Verbatim(name, html[position:end])
                if closing is None:
                    yield Unclosed(opening)
                    return
                position = end
    if position < len(html):
        yield Text(html[position:])


def _end_of_other(html: str, opening: int) -> int:
    """The end of a comment or declaration that begins here; -1 if it, or a tag, never ends."""
    if html.startswith("<!--", opening):
        return _end_of_comment(html, opening + 4)
    first = html[opening + 1 : opening + 3].removeprefix("/")[:1]
    if first.isascii() and first.isalpha():
        return -1
    return html.find(">", opening + 2) + 1 or -1


def _end_of_comment(html: str, position: int) -> int:
    for abrupt in (">", "->"):
        if html.startswith(abrupt, position):
            return position + len(abrupt)
    end = _COMMENT_END.search(html, position)
    return end.end() if end else -1


def attributes(source: str) -> dict[str, str]:
    """The attributes of a tag by their lower-case names; of two with the same name the first counts."""
    values: dict[str, str] = {}
    for match in ATTRIBUTE.finditer(source):
        name = match[1].lower()
        if name not in values:
            value = match[2] or match[3] or match[4] or ""
            values[name] = unescape(_BARE_AMPERSAND.sub("&amp;", value)) if "&" in value else value
    return values
