"""From a fault in a template to a message its author can act on: where it is, and what was probably meant."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from liquid.exceptions import LiquidError

from services.rendering.environment import PLAIN
from services.rendering.errors import TemplateInvalid

TAG: Final = re.compile(r"\{%-?\s*(\w+)")
BLOCKS: Final = frozenset({"if", "unless", "for", "case", "capture", "comment", "raw"})
QUOTES: Final = ("&quot;", "&#34;", "&#39;", "\u201c", "\u201d", "\u2018", "\u2019")


def position(source: str, index: int) -> tuple[int, int]:
    """Line and column of a character, both from 1; lines end at a line feed."""
    return source.count("\n", 0, index) + 1, index - source.rfind("\n", 0, index)


def invalid(
    message: str, source: str, index: int, *, field: tuple[str, ...], suggestion: str | None = None
) -> TemplateInvalid:
    """The refusal that points at one character of the source."""
    line, column = position(source, index)
    return TemplateInvalid(message, line=line, column=column, field=field, suggestion=suggestion)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The question whether the nearest known word was meant, or None when none is near."""
    folded = {name.casefold(): name for name in known}
    found = get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return f"Did you mean {folded[found[0]]}?" if found else None


def unclosed_block(source: str) -> tuple[str, int] | None:
    """The innermost block that is opened and never closed: its name and where it opens."""
    opened: list[tuple[str, int]] = []
    for tag in TAG.finditer(source):
        name = tag[1]
        if name in BLOCKS:
            opened.append((name, tag.start()))
        elif name.startswith("end") and opened and opened[-1][0] == name[3:]:
            opened.pop()
    return opened[-1] if opened else None


def explain(error: LiquidError, source: str, field: tuple[str, ...]) -> TemplateInvalid:
    """A parser's error as a refusal with line, column and, where it can be guessed, a remedy."""
    message = str(error.message or "the template cannot be read")
    index = error.token.start_index if error.token else -1
    if isinstance(error.__cause__, RecursionError):
        return invalid("The template is too deeply nested", source, 0, field=field)
    if unexpected := re.fullmatch(r"unexpected tag '(\w*)'", message):
        return _unexpected_tag(unexpected[1], source, index, field)
    if (block := unclosed_block(source)) and (index < 0 or "end" in message):
        name, start = block
        return invalid(
            f"{{% {name} %}} is never closed",
            source,
            start,
            field=field,
            suggestion=f"Add {{% end{name} %}} where the block should end.",
        )
    suggestion = None
    if message.endswith("found '='"):
        suggestion = "Compare with == instead of =."
    elif any(quote in _around(source, index) for quote in QUOTES):
        suggestion = "Use plain quotes (\" or ') inside {{ }} and {% %}; an editor may have replaced them."
    message = f"The template cannot be read: {message[:200]}"
    return invalid(message, source, max(index, 0), field=field, suggestion=suggestion)


def cannot_work(error: LiquidError, source: str, field: tuple[str, ...]) -> TemplateInvalid:
    """The refusal of a template that fails whatever the contact, e.g. for a filter without its argument."""
    message = str(error.message)
    index = max(error.token.start_index if error.token else 0, 0)
    suggestion = None
    if missing := re.match(r"(\w+?)_?\(\) missing", message):
        message = f"{missing[1]} needs a value"
        suggestion = f'Write it like {missing[1]}: "value".'
    elif re.search(r"takes .* positional arguments? but", message):
        message = "A filter has more values than it takes"
    return invalid(f"The template does not work: {message[:200]}", source, index, field=field, suggestion=suggestion)


def unknown_filter(name: str, source: str, index: int, field: tuple[str, ...]) -> TemplateInvalid:
    """The refusal of a filter that does not exist."""
    suggestion = nearest(name, PLAIN.filters)
    return invalid(f"There is no filter called {name!r}", source, index, field=field, suggestion=suggestion)


def _unexpected_tag(name: str, source: str, index: int, field: tuple[str, ...]) -> TemplateInvalid:
    known = {tag for tag in PLAIN.tags if tag.isalpha() and tag not in {"content", "output", "illegal"}}
    inner = {"else", "elsif", "when", "raw", *(f"end{block}" for block in BLOCKS)}
    if name in inner:
        return invalid(f"{{% {name} %}} closes or continues a block that is not open", source, index, field=field)
    suggestion = nearest(name, known | inner)
    return invalid(f"There is no tag called {name!r}", source, index, field=field, suggestion=suggestion)


def _around(source: str, index: int) -> str:
    start = max(source.rfind("{", 0, index), 0)
    end = source.find("}", index)
    return source[start : end if end >= 0 else len(source)][:1_000]
