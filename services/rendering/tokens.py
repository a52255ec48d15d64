"""HTML read into tags and texts as browsers do it (WHATWG HTML, 13.2.5), in time linear in its length.

The standard library's parser takes quadratic time on tags that never close, and its reading of comments differs
between Python's releases. The patterns here never run back.
"""

import re
from collections.abc import Iterator
from html import unescape
from typing import Final, NamedTuple

SPACE: Final = r"[ \t\n\r\f]"
VALUE: Final = rf"""{SPACE}*+=(?:{SPACE}*+(?:"[^"]*+"|'[^']*+'|[^ \t\n\r\f>"'][^ \t\n\r\f>]*+|(?=>)))"""
NAME: Final = r"(?:=[^ \t\n\r\f/>=]*+|[^ \t\n\r\f/>=]++)"
# The look-ahead makes the group possessive: before 3.11.5, Python matches some groups with `*+` wrongly.
TAG: Final = re.compile(
    rf"<(/?)([a-zA-Z][^ \t\n\r\f/>]*+)(?=((?:[ \t\n\r\f/]++|{NAME}(?:{VALUE}|(?!{SPACE}*+=)))*))\3>", re.ASCII
)
ATTRIBUTE: Final = re.compile(
    rf"({NAME})(?:{SPACE}*+={SPACE}*+(?:\"([^\"]*+)\"|'([^']*+)'|([^ \t\n\r\f>\"'][^ \t\n\r\f>]*+))?)?"
)
OPENING: Final = re.compile(r"<(?:[a-zA-Z!?]|/(?!\Z))")
COMMENT_END: Final = re.compile(r"--!?>")
BARE_AMPERSAND: Final = re.compile(r"&(?!#|[a-zA-Z][a-zA-Z0-9]*+;)")
RAW: Final = {
    name: re.compile(rf"</{name}(?=[ \t\n\r\f/>])", re.IGNORECASE | re.ASCII)
    for name in ("style", "script", "title", "textarea", "xmp", "iframe", "noembed", "noframes")
} | {"plaintext": re.compile(r"(?!)")}
"""Elements whose content holds no tags, and where each ends (`plaintext` nowhere)."""


class Text(NamedTuple):
    """Characters between tags, as they stand in the source."""

    source: str


class Start(NamedTuple):
    """A start tag, where it begins, and its attributes as they stand in the source."""

    name: str
    attributes: str
    position: int


class End(NamedTuple):
    """An end tag and where it begins."""

    name: str
    position: int


class Verbatim(NamedTuple):
    """The content of an element that holds no tags."""

    name: str
    source: str


class Comment(NamedTuple):
    """A comment of any form, delimiters included."""

    source: str


class Unclosed(NamedTuple):
    """Where a tag, comment or element begins that never ends: nobody reads anything from there on."""

    position: int


Token = Text | Start | End | Verbatim | Comment | Unclosed


def tokens(html: str) -> Iterator[Token]:
    """What the source consists of, in its order."""
    position = 0
    while found := OPENING.search(html, position):
        opening = found.start()
        if opening > position:
            yield Text(html[position:opening])
        tag = TAG.match(html, opening)
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
            if name in RAW and not tag[3].endswith("/"):
                closing = RAW[name].search(html, position)
                end = closing.start() if closing else len(html)
                yield Verbatim(name, html[position:end])
                if closing is None:
                    yield Unclosed(opening)
                    return
                position = end
    if position < len(html):
        yield Text(html[position:])


def _end_of_other(html: str, opening: int) -> int:
    """Where what begins here and is no whole tag ends; -1 when it never ends."""
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
    end = COMMENT_END.search(html, position)
    return end.end() if end else -1


def attributes(source: str) -> dict[str, str]:
    """The attributes of a tag by their names in lower case; of two with one name the first counts."""
    found: dict[str, str] = {}
    for match in ATTRIBUTE.finditer(source):
        name = match[1].lower()
        if name not in found:
            value = match[2] or match[3] or match[4] or ""
            found[name] = unescape(BARE_AMPERSAND.sub("&amp;", value)) if "&" in value else value
    return found
