"""Deriving the text part's Liquid template from the pieces of an HTML template and its visible text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from services.rendering.plain_text import EDGE, LINE

MARK: Final = re.compile("\x01([0-9]+)\x02")
OPENING: Final = frozenset({"if", "unless", "for"})
BRANCHING: Final = frozenset({"else", "elsif"})
CLOSING: Final = frozenset({"endif", "endunless", "endfor"})
_BRACE: Final = re.compile(r"\{(?=[{%]|\Z)")
ALWAYS_CLEAN: Final = frozenset({"unsubscribeUrl", "contact.email", "forloop.index", "forloop.index0"})
"""Values that are never empty and contain no white space."""
_WORD_CHARACTER: Final = "x"
"""Stands for any character that is neither a space nor a line end."""


class Piece(NamedTuple):
    """A part of a template's source: literal text, an output or a tag, without white space control."""

    kind: str
    name: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTemplate:
    """The source of a text part's template; `space_runs` are the runs of white space that renderings may contain."""

    source: str
    space_runs: tuple[str, ...]


def derive_text_template(pieces: list[Piece], marked: str) -> TextTemplate:
    """The template of a text in which marks stand for outputs and tags."""
    runs = _space_runs(pieces, MARK.split(marked))
    return TextTemplate(source=_to_liquid(pieces, marked), space_runs=tuple(sorted(runs)))


def _to_liquid(pieces: list[Piece], marked: str) -> str:
    """The marked text as a Liquid template; a block that prints something in the HTML does so in the text as well."""
    texts = MARK.split(marked)
    in_html = _printing(pieces, ((number, bool(piece.source.strip())) for number, piece in enumerate(pieces)))
    in_text = _printing(pieces, _marked_texts(texts))
    written = [_literal_liquid(texts[0])]
    for number, text in zip(map(int, texts[1::2]), texts[2::2], strict=True):
        piece = pieces[number]
        is_plain = piece.kind == "tag" or piece.name in ALWAYS_CLEAN
        written.append(piece.source if is_plain else f"{EDGE}{piece.source}{EDGE}")
        if in_html.get(number) and not in_text.get(number):
            # Liquid does not print blocks of white space only.
            written.append("{{ '' }}")
        written.append(_literal_liquid(text))
    return "".join(written)


def _literal_liquid(text: str) -> str:
    # A brace at the end could combine with the brace of the next tag.
    return _BRACE.sub("{{ '{' }}", text)


def _marked_texts(texts: list[str]) -> Iterator[tuple[int | None, bool]]:
    yield None, bool(texts[0].strip())
    for mark, text in zip(texts[1::2], texts[2::2], strict=True):
        yield int(mark), True
        yield None, bool(text.strip())


def _printing(pieces: list[Piece], parts: Iterator[tuple[int | None, bool]]) -> dict[int, bool]:
    """For each tag that begins a branch, whether the branch prints more than white space.

    All branches of an `if` have the same value: that of any of them.
    """
    printing: dict[int, bool] = {}
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
                printing[block.starts.pop()] = block.prints
                block.outside |= block.prints
                block.prints = False
            block.starts.append(number)
        elif piece.name in CLOSING:
            printing.update(dict.fromkeys(block.starts, block.prints))
            blocks.pop()
            blocks[-1].prints |= block.prints or block.outside
    return printing


@dataclass(slots=True, kw_only=True)
class _Printed:
    """An open block: the tags that begin its branches, and whether anything in them prints."""

    starts: list[int] = field(default_factory=list)
    is_loop: bool = False
    prints: bool = False
    outside: bool = False


@dataclass(slots=True, kw_only=True)
class _Flow:
    """The possible ends of the text before an open block, after its branches, and after `break` of a loop."""

    before: set[str]
    after: set[str] = field(default_factory=set)
    is_loop: bool = False
    has_else: bool = False


def _space_runs(pieces: list[Piece], texts: list[str]) -> set[str]:
    """Trace the possible ends of the text through branches and loops, taking each value for a word."""
    runs: set[str] = set()
    loops: dict[int, set[str]] = {}
    for _ in range(3):  # the end of a loop's body precedes its next round; an end has at most three characters
        _follow(pieces, texts, runs, loops)
    return runs


def _follow(pieces: list[Piece], texts: list[str], runs: set[str], loops: dict[int, set[str]]) -> None:
    ends = _joined({""}, texts[0], runs)
    blocks: list[tuple[int, _Flow]] = []
    for number, text in zip(map(int, texts[1::2]), texts[2::2], strict=True):
        piece = pieces[number]
        if piece.kind != "tag":
            ends = {_WORD_CHARACTER}
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
        ends = _joined(ends, text, runs)


def _joined(ends: set[str], text: str, runs: set[str]) -> set[str]:
    """The possible ends of the text after another piece, within which white space is collapsed already."""
    if not text:
        return ends
    start = text[: len(text) - len(text.lstrip(f" {LINE}"))]
    after = set()
    for end in ends:
        run_at_join = end.removeprefix(_WORD_CHARACTER) + start if end else ""
        runs.update(run for run in ("  ", f" {LINE}", f"{LINE} ", LINE * 3) if run in run_at_join)
        if start == text:
            after.add((end[:1].strip(f" {LINE}") + run_at_join)[-3:] if end else "")
    if start != text:
        after = {_WORD_CHARACTER + text[len(text.rstrip(f" {LINE}")) :]}
    return after
