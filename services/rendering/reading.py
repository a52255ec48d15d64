"""Parsing HTML for what is visible: the text, the links with their URLs, and a position where a footer is visible.

An approximation of how browsers build their tree (WHATWG HTML, 13.2.6), with a bounded cost per tag: enough to know
which elements are open. If this is not certain, a link counts as invisible.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from typing import Final, NamedTuple

from services.rendering.elements import (
    CELLS,
    ENDED_BY,
    ENDS_PARAGRAPH,
    FORMATTING,
    IN_TABLE,
    ITEMS,
    LINES,
    LISTS,
    PARAGRAPHS,
    SCOPES,
    VOID,
)
from services.rendering.plain_text import LINE, is_same_address, readable_address, tidy
from services.rendering.stylesheets import Hidden
from services.rendering.tokens import End, Start, Text, Token, Unclosed, Verbatim, attributes, tokens
from services.rendering.visibility import (
    IMAGE_HIDDEN,
    LINK_HIDDEN,
    LINKLESS,
    PREFORMATTED,
    REMOVED,
    SEEN,
    TEXT_HIDDEN,
    TINY,
    is_blank,
    within,
)

_LINE_ENDS: Final = re.compile(r"\r\n?|\n")
READABLE: Final = re.compile(
    "[^\\s\x84\xad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2060-\u2064\u2800\u3164\ufeff]"
)
_NEAR: Final = 8
"""How many open elements are searched for an item that the next one closes."""


class OpenElement(NamedTuple):
    """An open element, with the values of `HtmlPage.hidden` and `HtmlPage.since` outside of it."""

    name: str
    outside: int
    since: int | None


@dataclass(slots=True, kw_only=True)
class OpenLink:
    """An open link: its URL, the start of its text, the number of scopes, and whether a reader can follow it."""

    href: str
    start: int
    scope: int
    usable: bool
    seen: bool = False


@dataclass(slots=True, kw_only=True)
class HtmlPage:
    """The result, and the state of the parser.

    `links` are the URLs of visible links that a reader can follow, `end` is a position at which inserted HTML is
    visible. `hidden` are the bits of `visibility` at the current position, `since` is the start of the element that
    hides it.
    """

    pieces: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    links: set[str] = field(default_factory=set)
    end: int | None = None
    hidden: int = SEEN
    since: int | None = None
    open: list[OpenElement] = field(default_factory=list)
    scopes: list[tuple[str, Counter[str]]] = field(default_factory=lambda: [("", Counter())])
    link: OpenLink | None = None
    areas: list[tuple[str, str]] = field(default_factory=list)
    maps: set[str] = field(default_factory=set)
    map_name: str = ""
    ignores_head: bool = False
    attributes: dict[str, Mapping[str, str]] = field(default_factory=dict)
    insides: dict[tuple[int, str, str], int] = field(default_factory=dict)
    sheet: Hidden = field(default_factory=Hidden)

    @property
    def text(self) -> str:
        """The content for a text part, before `tidy`."""
        return "".join(self.pieces)

    @property
    def seen_text(self) -> str:
        """The visible characters of the page itself, without URLs of links and texts of images."""
        return "".join(self.seen)


def read(html: str) -> HtmlPage:
    """Parse HTML for what is visible, in linear time."""
    page = _read(html, HtmlPage())
    if any(element.name == "head" for element in page.open[:_NEAR]):
        # A head that is never closed: browsers close it at the first element that does not belong there.
        page = _read(html, HtmlPage(ignores_head=True))
    return page


def plain_text(html: str) -> str:
    """The text part for rendered HTML: its visible text, with links as "text (URL)"."""
    return tidy(read(html).text)


def _read(html: str, page: HtmlPage) -> HtmlPage:
    if LINE in html:
        html = html.replace(LINE, "\x85")
    for token in tokens(html):
        read_token(page, token)
    end = len(html) if page.end is None else page.end
    page.end = end if page.since is None else min(end, page.since)
    finish_page(page)
    return page


def read_token(page: HtmlPage, token: Token) -> None:
    """Process the next token."""
    if isinstance(token, Text):
        _write(page, unescape(token.source) if "&" in token.source else token.source)
    elif isinstance(token, Start):
        _start(page, token)
    elif isinstance(token, End):
        _end(page, token)
    elif isinstance(token, Verbatim):
        if token.name == "style":
            page.sheet.add(token.source)
        _write(page, unescape(token.source) if token.name == "textarea" else token.source)
    elif isinstance(token, Unclosed) and page.since is None:
        page.since = token.position


def finish_page(page: HtmlPage) -> None:
    """Close what is open at the end of the HTML."""
    _close_link(page)
    page.links.update(href for name, href in page.areas if name in page.maps)


def _write(page: HtmlPage, text: str) -> None:
    if page.hidden & TEXT_HIDDEN:
        return
    if page.hidden & PREFORMATTED:
        text = _LINE_ENDS.sub(LINE, text)
    page.pieces.append(text)
    if not page.hidden & LINKLESS:
        page.seen.append(text)
    if page.link and not page.link.seen and READABLE.search(text):
        page.link.seen = True


def _start(page: HtmlPage, tag: Start) -> None:
    name = tag.name
    attributes_of_tag = page.attributes.get(tag.attributes)
    if attributes_of_tag is None:
        attributes_of_tag = page.attributes[tag.attributes] = attributes(tag.attributes)
    since = page.since
    if name == "body":
        _end_head(page)
    elif name in {"html", "head"} and (page.ignores_head or page.open):
        return
    _end_implied(page, name)
    _break(page, name)
    if name in VOID:
        _void(page, name, attributes_of_tag)
        return
    inside = _inside(page, tag, attributes_of_tag)
    if tag.attributes.endswith("/") and inside & ~page.hidden & REMOVED:
        # `<style/>` hides the rest in browsers and nothing elsewhere: its text is kept, but its links do not count.
        inside, name = page.hidden | LINKLESS, f"{name}/"
    # A hidden element that this tag closes, such as a head without an end tag, ends only here.
    _push(page, name, inside, tag.position if since is None else since)
    if name == "a":
        _open_link(page, attributes_of_tag)
    elif name == "li":
        _mark(page, "- ")
    elif name in {"td", "th"}:
        _mark(page, " ")
        page.seen.append(" ")
    elif name == "map":
        page.map_name = attributes_of_tag.get("name", "")


def _inside(page: HtmlPage, tag: Start, values: Mapping[str, str]) -> int:
    key = (page.hidden, tag.name, tag.attributes)
    inside = page.insides.get(key)
    if inside is None:
        inside = page.insides[key] = within(page.hidden, tag.name, values)
    # Not cached: a style sheet may follow.
    return inside | LINKLESS if page.sheet.matches(tag.name, values) else inside


def _void(page: HtmlPage, name: str, values: Mapping[str, str]) -> None:
    hidden = within(page.hidden, name, values)
    if name == "img" and not hidden & IMAGE_HIDDEN:
        _mark(page, values.get("alt", ""))
        if not is_blank(values):
            page.maps.add(values.get("usemap", "").removeprefix("#"))
            if page.link:
                page.link.seen = True
    elif name == "area" and not hidden & LINK_HIDDEN and page.map_name:
        page.areas.append((page.map_name, _address(values)))


def _mark(page: HtmlPage, text: str) -> None:
    if not page.hidden & IMAGE_HIDDEN:
        page.pieces.append(text)


def _break(page: HtmlPage, name: str) -> None:
    if page.hidden & IMAGE_HIDDEN:
        return
    if name in PARAGRAPHS:
        page.pieces.append(LINE * 2)
        page.seen.append(LINE)
    elif name in LINES:
        page.pieces.append(LINE)
        page.seen.append(LINE)


def _end(page: HtmlPage, tag: End) -> None:
    name = tag.name
    if name in {"body", "html"}:
        if name == "body" and not page.hidden & LINK_HIDDEN:
            page.end = tag.position
        return
    if name == "head":
        _end_head(page)
        return
    if name == "br":
        _break(page, name)
        return
    if name == "a":
        _close_link(page)
    elif name == "map":
        page.map_name = ""
    _pop(page, name)
    _break(page, name)


def _push(page: HtmlPage, name: str, inside: int, position: int) -> None:
    page.open.append(OpenElement(name, page.hidden, page.since))
    page.scopes[-1][1][name] += 1
    if name in SCOPES:
        page.scopes.append((name, Counter()))
    page.hidden = inside
    if page.since is None and inside & LINK_HIDDEN:
        page.since = position


def _pop(page: HtmlPage, name: str) -> None:
    """Close the innermost open element of a name in the current scope, if any, and all elements in it."""
    if name in IN_TABLE and page.scopes[-1][0] in CELLS and name != page.scopes[-1][0]:
        if not page.scopes[-2][1][name] and page.scopes[-2][0] != name:
            return
        _pop(page, page.scopes[-1][0])
    scope, count = page.scopes[-1]
    if scope != name and not count[name]:
        return
    hiding: list[tuple[str, int]] = []
    inside, since = page.hidden, page.since
    while True:
        element = page.open.pop()
        if page.scopes[-1][0] == element.name:
            page.scopes.pop()
            hiding.clear()
        page.scopes[-1][1][element.name] -= 1
        added = inside & ~element.outside
        inside = page.hidden = element.outside
        page.since = element.since
        if element.name == name:
            break
        if element.name in FORMATTING and added & LINK_HIDDEN and len(hiding) < _NEAR:
            hiding.append((element.name, added))
    if page.link and len(page.scopes) < page.link.scope:
        _close_link(page)
    for again, added in reversed(hiding):
        # Browsers reopen a formatting element that the end of its parent has closed.
        _push(page, again, page.hidden | added, since or 0)


def _end_head(page: HtmlPage) -> None:
    for position, element in enumerate(page.open[:_NEAR]):
        if element.name == "head":
            page.hidden, page.since, page.link = element.outside, element.since, None
            del page.open[position:]
            page.scopes = [("", Counter(outer.name for outer in page.open))]
            return


def _end_implied(page: HtmlPage, name: str) -> None:
    """Close the elements whose end tags may be omitted before this one."""
    if name in ENDS_PARAGRAPH and page.scopes[-1][1]["p"]:
        _pop(page, "p")
    if name == "a":
        _close_link(page)
        _pop(page, "a")
    if name in ENDED_BY:
        while page.scopes[-1][0] in CELLS:
            _pop(page, page.scopes[-1][0])
        for ended in ENDED_BY[name]:
            _pop(page, ended)
    if items := ITEMS.get(name):
        for element in page.open[: -_NEAR - 1 : -1]:
            if element.name in items:
                _pop(page, element.name)
                break
            if element.name in LISTS or element.name in SCOPES:
                break


def _open_link(page: HtmlPage, values: Mapping[str, str]) -> None:
    if address := _address(values):
        usable = not page.hidden & LINK_HIDDEN & ~TINY
        page.link = OpenLink(href=address, start=len(page.pieces), scope=len(page.scopes), usable=usable)


def _address(values: Mapping[str, str]) -> str:
    return re.sub(r"[\t\n\r\f]+", "", values.get("href", "")).strip()


def _close_link(page: HtmlPage) -> None:
    link, page.link = page.link, None
    if link is None or not link.seen:
        return
    if link.usable:
        page.links.add(link.href)
    visible_pieces = page.pieces[link.start :]
    target = readable_address(link.href)
    if not target or is_same_address("".join(visible_pieces), target):
        return
    tail: list[str] = []
    while visible_pieces and not visible_pieces[-1].strip(" " + LINE):
        tail.append(visible_pieces.pop())
        page.pieces.pop()
    page.pieces.append(f" ({target})" if "".join(visible_pieces).strip() else target)
    page.pieces.extend(reversed(tail))
