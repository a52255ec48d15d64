"""The text part as a Liquid template, from the pieces of an HTML template and the text that was read in it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from services.rendering.plain_text import EDGE, LINE

MARK: Final = re.compile("\x01([0-9]+)\x02")
OPENING: Final = frozenset({"if", "unless", "for"})
BRANCHING: Final = frozenset({"else", "elsif"})
CLOSING: Final = frozenset({"endif", "endunless", "endfor"})
BRACE: Final = re.compile(r"\{(?=[{%]|\Z)")
ALWAYS_CLEAN: Final = frozenset({"unsubscribeUrl", "contact.email", "forloop.index", "forloop.index0"})
"""Values that are never empty and hold no white space."""
TEXT_SEAM: Final = "x"
"""Any character but a space and a line's end."""


class Piece(NamedTuple):
    """A part of a template's source: literal text, an output or a tag, without white space control."""

    kind: str
    name: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """The source of a text part's template; `seams` are the runs of white space that its branches can leave."""

    source: str
    seams: tuple[str, ...]


def derived(pieces: list[Piece], marked: str) -> Derived:
    """The template of a text in which marks stand for pieces."""
    return Derived(source=liquid(pieces, marked), seams=tuple(sorted(_seams(pieces, MARK.split(marked)))))


def liquid(pieces: list[Piece], marked: str) -> str:
    """The marked text as a Liquid template; a block that prints in the HTML prints in the text too."""
    texts = MARK.split(marked)
    in_html = _printing(pieces, ((number, bool(piece.source.strip())) for number, piece in enumerate(pieces)))
    in_text = _printing(pieces, _marked_texts(texts))
    written = [_literal_liquid(texts[0])]
    for number, text in zip(map(int, texts[1::2]), texts[2::2], strict=True):
        piece = pieces[number]
        is_plain = piece.kind == "tag" or piece.name in ALWAYS_CLEAN
        written.append(piece.source if is_plain else f"{EDGE}{piece.source}{EDGE}")
        if in_html.get(number) and not in_text.get(number):
            # Liquid prints no block of nothing but white space.
            written.append("{{ '' }}")
        written.append(_literal_liquid(text))
    return "".join(written)


def _literal_liquid(text: str) -> str:
    # A brace at the end may meet one of the next tag.
    return BRACE.sub("{{ '{' }}", text)


def _marked_texts(texts: list[str]) -> Iterator[tuple[int | None, bool]]:
    yield None, bool(texts[0].strip())
    for mark, text in zip(texts[1::2], texts[2::2], strict=True):
        yield int(mark), True
        yield None, bool(text.strip())


def _printing(pieces: list[Piece], parts: Iterator[tuple[int | None, bool]]) -> dict[int, bool]:
    """By the tags that begin a branch, whether it holds more than white space; those of one `if` hold together."""
    found: dict[int, bool] = {}
    blocks: list[_Printed] = [_Printed()]
    for number, prints in parts:
        piece = pieces[number] if number is not None else None
        block = blocks[-1]
        if number is None or piece is None or piece.kind != "tag":
            block.prints |= prints
        elif piece.name in OPENING:
            blocks.append(_Printed(starts=[number], is_loop=piece.name == "for"))
        elif piece.name in BRANCHING:
            if block.is_loop:
                found[block.starts.pop()] = block.prints
                block.outside |= block.prints
                block.prints = False
            block.starts.append(number)
        elif piece.name in CLOSING:
            found.update(dict.fromkeys(block.starts, block.prints))
            blocks.pop()
            blocks[-1].prints |= block.prints or block.outside
    return found


@dataclass(slots=True, kw_only=True)
class _Printed:
    """An open block: the tags that begin its branches, and whether anything in them prints."""

    starts: list[int] = field(default_factory=list)
    is_loop: bool = False
    prints: bool = False
    outside: bool = False


@dataclass(slots=True, kw_only=True)
class _Flow:
    """The ends that the text can have before an open block, after its branches, and where a loop is left."""

    before: set[str]
    after: set[str] = field(default_factory=set)
    is_loop: bool = False
    has_else: bool = False


def _seams(pieces: list[Piece], texts: list[str]) -> set[str]:
    """Follow what the text can end with through branches and loops, taking every value for a word."""
    found: set[str] = set()
    loops: dict[int, set[str]] = {}
    for _ in range(3):  # what a loop's body ends with comes before its body: no end is longer than two lines
        _follow(pieces, texts, found, loops)
    return found


def _follow(pieces: list[Piece], texts: list[str], found: set[str], loops: dict[int, set[str]]) -> None:
    ends = _joined({""}, texts[0], found)
    blocks: list[tuple[int, _Flow]] = []
    for number, text in zip(map(int, texts[1::2]), texts[2::2], strict=True):
        piece = pieces[number]
        if piece.kind != "tag":
            ends = {TEXT_SEAM}
        elif piece.name in OPENING:
            is_loop = piece.name == "for"
            blocks.append((number, _Flow(before=set(ends), is_loop=is_loop)))
            ends = ends | loops.get(number, set())
        elif piece.name in BRANCHING:
            flow = blocks[-1][1]
            flow.after |= ends
            flow.has_else |= piece.name == "else"
            if flow.is_loop:
                loops.setdefault(blocks[-1][0], set()).update(ends)
            ends = set(flow.before)
        elif piece.name in CLOSING:
            start, flow = blocks.pop()
            if flow.is_loop and not flow.has_else:
                loops.setdefault(start, set()).update(ends)
            ends = ends | flow.after
            if flow.is_loop or not flow.has_else:
                ends = ends | flow.before
        elif piece.name in {"break", "continue"}:
            start, flow = next(block for block in reversed(blocks) if block[1].is_loop)
            loops.setdefault(start, set()).update(ends)
            flow.after |= ends
        ends = _joined(ends, text, found)


def _joined(ends: set[str], text: str, found: set[str]) -> set[str]:
    """What the text can end with after one more run, whose own white space is squeezed."""
    if not text:
        return ends
    start = text[: len(text) - len(text.lstrip(f" {LINE}"))]
    after = set()
    for end in ends:
        seam = end.removeprefix(TEXT_SEAM) + start if end else ""
        found.update(run for run in ("  ", f" {LINE}", f"{LINE} ", LINE * 3) if run in seam)
        if start == text:
            after.add((end[:1].strip(f" {LINE}") + seam)[-3:] if end else "")
    if start != text:
        after = {TEXT_SEAM + text[len(text.rstrip(f" {LINE}")) :]}
    return after
