"""Static analysis of an HTML template, so that sending does not have to parse each rendered HTML.

If no branch or loop changes the structure of the markup, the text part can be derived as a template, and it is known
whether the unsubscribe link is visible. Otherwise the result is None, and each rendered HTML has to be parsed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from liquid.token import TOKEN_CONTENT, TOKEN_EXPRESSION, TOKEN_OUTPUT, TOKEN_TAG

from services.rendering.derivation import (
    ALWAYS_CLEAN,
    BRANCHING,
    CLOSING,
    MARK,
    OPENING,
    Piece,
    TextTemplate,
    derive_text_template,
)
from services.rendering.environment import HTML
from services.rendering.footers import UNSUBSCRIBE
from services.rendering.plain_text import EDGE, LINE, collapse_spaces, host_and_path, readable_address
from services.rendering.reading import READABLE, HtmlPage, OpenLink, finish_page, read_token
from services.rendering.tokens import ATTRIBUTE, Comment, Start, Text, Token, Verbatim, tokens
from services.rendering.visibility import LINK_HIDDEN, TEXT_HIDDEN

_PLAIN_TAGS: Final = frozenset({"#", "comment", "endcomment", "assign", "break", "continue"})
_HTML_FILTER: Final = re.compile(r"\|\s*(?:escape|newline_to_br|strip_html)")
_LAST_ESCAPE: Final = re.compile(r"([^|]*)\|\s*escape\s*")
_MARKUP: Final = re.compile("[<&\x84]")
_NAME_CHARACTERS: Final = "[^ \t\n\r\f/>\x01<]*"
# A candidate for a name ends where the next could begin, so that the search is linear in a row of names.
_UNCLEAR: Final = re.compile(
    f"<[/!?]?-?\x01|</?[a-zA-Z]{_NAME_CHARACTERS}(?:<(?![a-zA-Z]){_NAME_CHARACTERS})*\x01|&#?[a-zA-Z0-9]*\x01|\x02-?!?>"
)
"""A value or tag that might complete a bracket, an end of a comment, the name of a tag, or an entity."""
_COUNTED: Final = frozenset({"style", "hidden", "width", "height", "usemap", "name", "open"})
"""Attributes that affect visibility."""
_SELECTED: Final = frozenset({"class", "id"})
"""Attributes that affect visibility if a style sheet hides something."""
_HIDING: Final = re.compile("display|visibility|opacity", re.IGNORECASE)
_WEB_ADDRESS: Final = re.compile("https?://[^/\\s\x01\x02]+/", re.IGNORECASE)
_SHOWN_ADDRESS: Final = re.compile(
    r"(?:\A|[^\w\x01\x03])\x03(?:\Z|[^\w\x01\x03%~+=&@.:/-]|[.:/](?:\Z|[^\w\x01\x03]))"
)
_ADDRESS_MORE: Final = re.compile("(?:[?#][^\x01\x02]*)?\\Z")


class LinkVisibility(Enum):
    """Whether renderings of a template show the unsubscribe link."""

    ALWAYS = auto()
    SOMETIMES = auto()
    NEVER = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """The result: the template of the text part, and the visibility of the unsubscribe link.

    A footer inserted `footer_offset` characters before the end of any rendering is visible; None if the position
    depends on the values.
    """

    text: TextTemplate
    link: LinkVisibility
    footer_offset: int | None


class NotAnalyzable(Exception):
    """The result depends on the rendered HTML."""


@dataclass(slots=True)
class _Block:
    """An open block: the state of the page at its start, and whether its branches show the link."""

    name: str
    before: object
    shown: bool = False
    all_shown: bool = True
    has_else: bool = False


@dataclass(slots=True)
class _Walk:
    """The state of the analysis. `depth`, `marked` and `readable` are about the open link and its text."""

    pieces: list[Piece]
    page: HtmlPage = field(default_factory=HtmlPage)
    blocks: list[_Block] = field(default_factory=lambda: [_Block("", None)])
    visited: int = 0
    may_show: bool = False
    depth: int = 0
    marked: bool = False
    readable: bool = False


def outline(source: str) -> Outline | None:
    """Analyze the source of a template that `read_template` accepts; None if the renderings have to be parsed."""
    if LINE in source or EDGE in source:
        return None
    try:
        pieces = list(_pieces(source))
        walk = _Walk(pieces)
        marked = "".join(_marked(pieces))
        if _UNCLEAR.search(marked):
            return None
        for token in tokens(marked):
            _take(walk, token)
        return _outlined(walk, marked)
    except NotAnalyzable:
        return None


def _outlined(walk: _Walk, marked: str) -> Outline:
    page, link = walk.page, walk.page.link
    if len(walk.blocks) > 1 or walk.visited < sum(piece.kind == "tag" for piece in walk.pieces):
        raise NotAnalyzable
    if any(element.name == "head" for element in page.open):
        raise NotAnalyzable
    finish_page(page)
    _closed(walk, link)
    end = len(marked) if page.end is None else page.end
    end = end if page.since is None else min(end, page.since)
    return Outline(
        text=derive_text_template(walk.pieces, collapse_spaces(page.text)),
        link=_link(walk),
        footer_offset=None if "\x01" in marked[end:] else len(marked) - end,
    )


def _link(walk: _Walk) -> LinkVisibility:
    if walk.blocks[0].shown or _SHOWN_ADDRESS.search(walk.page.seen_text):
        return LinkVisibility.ALWAYS
    return LinkVisibility.SOMETIMES if walk.may_show else LinkVisibility.NEVER


def _pieces(source: str) -> Iterator[Piece]:
    waiting: tuple[str, str] | None = None
    for token in HTML.tokenizer()(source):
        if token.kind == TOKEN_EXPRESSION and waiting:
            kind, name = waiting
            waiting = None
            yield _checked(kind, name, token.value)
            continue
        if waiting:
            yield _checked(*waiting, "")
            waiting = None
        if token.kind == TOKEN_CONTENT:
            yield Piece("text", "", token.value)
        elif token.kind == TOKEN_OUTPUT:
            waiting = ("output", "")
        elif token.kind == TOKEN_TAG:
            waiting = ("tag", token.value)
    if waiting:
        yield _checked(*waiting, "")


def _marked(pieces: list[Piece]) -> Iterator[str]:
    """The source with marks in place of outputs and tags; equal outputs have the same mark."""
    first: dict[str, int] = {}
    for number, piece in enumerate(pieces):
        if piece.kind == "text":
            yield piece.source
        else:
            same = first.setdefault(piece.source, number) if piece.kind == "output" else number
            yield f"\x01{same}\x02"


def _checked(kind: str, name: str, expression: str) -> Piece:
    if kind == "output":
        escape = _LAST_ESCAPE.fullmatch(expression)
        if _MARKUP.search(expression) or (_HTML_FILTER.search(expression) and not escape):
            raise NotAnalyzable
        value = (escape[1] if escape else expression).strip()
        # Filters convert any value to text: only a value that is text already prints the same without `escape`.
        return Piece("output", value, f"{{{{ {value if value in ALWAYS_CLEAN else expression} }}}}")
    if name in {"#", "comment", "endcomment"}:
        return Piece("text", "", "")
    if name not in _PLAIN_TAGS | OPENING | BRANCHING | CLOSING or _HTML_FILTER.search(expression):
        raise NotAnalyzable
    if UNSUBSCRIBE in expression and name in {"assign", "for"}:
        raise NotAnalyzable
    if name == "assign" and _MARKUP.search(expression):
        raise NotAnalyzable
    return Piece("tag", name, f"{{% {name} {expression} %}}")


def _take(walk: _Walk, token: Token) -> None:
    page, link = walk.page, walk.page.link
    if isinstance(token, Text):
        _text(walk, token.source)
        return
    if isinstance(token, (Comment, Verbatim)) and "\x01" in token.source:
        if isinstance(token, Verbatim) and not page.hidden & TEXT_HIDDEN:
            raise NotAnalyzable
        if isinstance(token, Verbatim) and _HIDING.search(token.source):
            raise NotAnalyzable
        _unseen(walk, token.source, type(token).__name__)
        return
    if isinstance(token, Start) and "\x01" in token.attributes:
        _check_attributes(walk, token)
    read_token(page, token)
    if page.link is not link:
        _closed(walk, link)
        walk.marked = walk.readable = False
        walk.depth = len(walk.blocks)


def _check_attributes(walk: _Walk, tag: Start) -> None:
    walk.marked = True
    counted = _COUNTED | _SELECTED if walk.page.sheet.count else _COUNTED
    for match in ATTRIBUTE.finditer(tag.attributes):
        if "\x01" not in match[0]:
            continue
        quoted = match[2] or match[3] or ""
        if "\x01" not in quoted or "\x01" in match[1] or match[1].lower() in counted:
            raise NotAnalyzable
        if any(walk.pieces[int(mark[1])].kind == "tag" for mark in MARK.finditer(quoted)):
            raise NotAnalyzable
        if tag.name == "area":
            walk.may_show |= any(_may_be_address(walk.pieces[int(mark[1])]) for mark in MARK.finditer(quoted))
        if match[1].lower() == "src" and not MARK.sub("", quoted).strip():
            raise NotAnalyzable


def _text(walk: _Walk, source: str) -> None:
    position = 0
    for mark in MARK.finditer(source):
        _literal(walk, source[position : mark.start()])
        position = mark.end()
        number = int(mark[1])
        if walk.pieces[number].kind == "tag":
            _tag(walk, number, "")
        else:
            _output(walk, number)
    _literal(walk, source[position:])


def _literal(walk: _Walk, text: str) -> None:
    if text:
        read_token(walk.page, Text(text))
        if READABLE.search(text) and not walk.page.hidden & TEXT_HIDDEN and len(walk.blocks) == walk.depth:
            walk.readable = True


def _output(walk: _Walk, number: int) -> None:
    page = walk.page
    if page.hidden & TEXT_HIDDEN:
        return
    walk.marked = True
    walk.may_show |= _may_be_address(walk.pieces[number])
    page.pieces.append(f"\x01{number}\x02")
    if walk.pieces[number].name != UNSUBSCRIBE:
        page.seen.append("\x01")
        return
    page.seen.append("\x03" if len(walk.blocks) == 1 and not page.hidden & LINK_HIDDEN else "\x01")
    if page.link and len(walk.blocks) == walk.depth:
        page.link.seen = walk.readable = True


def _may_be_address(piece: Piece) -> bool:
    # `{{ [name] }}` is any variable.
    return UNSUBSCRIBE in piece.source or "[" in piece.source


def _unseen(walk: _Walk, source: str, place: str) -> None:
    for mark in MARK.finditer(source):
        if walk.pieces[int(mark[1])].kind == "tag":
            _tag(walk, int(mark[1]), place)


def _tag(walk: _Walk, number: int, place: str) -> None:
    page, name = walk.page, walk.pieces[number].name
    walk.visited += 1
    walk.marked = True
    page.pieces.append(f"\x01{number}\x02")
    page.seen.append("\x01")
    state = _state(page, place)
    if name in OPENING:
        walk.blocks.append(_Block(name, state))
    elif name in BRANCHING or name in CLOSING:
        _end_branch(walk, state, name)
    elif name in {"break", "continue"}:
        loop = next((block for block in reversed(walk.blocks) if block.name == "for"), None)
        if loop is None or loop.before != state:
            raise NotAnalyzable


def _end_branch(walk: _Walk, state: object, name: str) -> None:
    block = walk.blocks[-1]
    if len(walk.blocks) == 1 or block.before != state:
        raise NotAnalyzable
    block.all_shown &= block.shown
    block.shown = False
    if name == "else":
        block.has_else = True
    elif name in CLOSING:
        walk.blocks.pop()
        if block.has_else and block.all_shown and block.name != "for":
            walk.blocks[-1].shown = True


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """Compares by identity, and keeps its object alive."""

    value: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def _state(page: HtmlPage, place: str) -> object:
    """The state of the page that a branch must not change."""
    top = page.open[-1] if page.open else None
    return (place, page.hidden, page.since, len(page.open), _Same(top), _Same(page.link), page.end, page.map_name)


def _closed(walk: _Walk, link: OpenLink | None) -> None:
    """Check that the text for a link does not depend on values, and record whether it is the unsubscribe link."""
    if link is None:
        return
    if walk.marked and not walk.readable:
        raise NotAnalyzable
    if not link.seen:
        return
    if walk.marked or "\x01" in link.href:
        _check_link(walk, link)
    if link.usable and any(_may_be_address(walk.pieces[int(mark[1])]) for mark in MARK.finditer(link.href)):
        walk.may_show = True
    mark = MARK.match(link.href)
    if mark is None or walk.pieces[int(mark[1])].name != UNSUBSCRIBE or not link.usable:
        return
    if _ADDRESS_MORE.match(link.href, mark.end()) and (walk.readable or not walk.marked):
        walk.blocks[-1].shown = True


def _check_link(walk: _Walk, link: OpenLink) -> None:
    target = readable_address(link.href)
    written = "".join(walk.page.pieces[link.start :]).strip(f" {LINE}")
    visible_text = written.removesuffix(f"({target})").strip(f" {LINE}")
    if written == visible_text:
        if visible_text != target:
            raise NotAnalyzable
        return
    mark = MARK.match(target)
    is_ours = mark is not None and walk.pieces[int(mark[1])].name == UNSUBSCRIBE
    web = _WEB_ADDRESS.match(target)
    if not (is_ours or web):
        raise NotAnalyzable
    start, space, _ = visible_text.partition(" ")
    if space and not re.search("[\x01/]", start):
        return  # no URL has a space in its host
    if "\x01" in visible_text:
        raise NotAnalyzable
    if web and host_and_path(visible_text)[0] == host_and_path(target)[0]:
        raise NotAnalyzable
    if is_ours and "/" in visible_text:
        raise NotAnalyzable
