"""Texts with a mask of the characters that are the author's own markup.

In HTML, `{% capture %}` and `newline_to_br` produce them. For filters and comparisons they are ordinary plain text;
printing leaves the author's characters as they are and escapes all others. Filters that cut, trim, replace and join
preserve the mask; other results of filters are values, and are escaped.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Self, SupportsIndex

_RUN: Final = re.compile(b"\x00+|\x01+")


class MarkedText(str):
    """A text with a mask of one byte per character: 1 for the author's markup, 0 for values.

    `form` caches its HTML, and whether the markup in it is complete.
    """

    mask: bytes
    form: tuple[str, bool] | None
    __slots__ = ("form", "mask")

    def __new__(cls, text: str, mask: bytes) -> Self:
        """A text and its mask of the same length."""
        marked = super().__new__(cls, text)
        marked.mask = mask
        marked.form = None
        return marked

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        if isinstance(key, slice):
            return marked(super().__getitem__(key), self.mask[key])
        return super().__getitem__(key)


def marked(text: str, mask: bytes) -> str:
    """The text with its mask, or an ordinary text if nothing in it is markup."""
    return MarkedText(text, mask) if 1 in mask else text


def markup(text: str) -> str:
    """The text as markup of the author."""
    return MarkedText(text, b"\x01" * len(text)) if text else text


def mask_of(text: str) -> bytes:
    """One byte per character, 1 for the author's markup."""
    return text.mask if isinstance(text, MarkedText) else bytes(len(text))


def runs(text: MarkedText) -> Iterator[tuple[str, bool]]:
    """The maximal runs of markup and of values, each with whether it is the author's markup."""
    plain = str(text)
    for run in _RUN.finditer(text.mask):
        yield plain[run.start() : run.end()], run[0][0] == 1


def joined(parts: Iterable[str], separator: str = "") -> str:
    """The parts as one text."""
    parts = list(parts)
    text = separator.join(parts)
    if not any(isinstance(part, MarkedText) for part in (separator, *parts)):
        return text
    return marked(text, mask_of(separator).join(map(mask_of, parts)))


def substituted(pattern: re.Pattern[str], text: str, replacement: str) -> str:
    """The text with each match replaced; the replacement is taken literally."""
    if not isinstance(text, MarkedText) and not isinstance(replacement, MarkedText):
        return pattern.sub(lambda _: replacement, text)
    parts: list[str] = []
    position = 0
    for match in pattern.finditer(str(text)):
        parts += (text[position : match.start()], replacement)
        position = match.end()
    return joined([*parts, text[position:]])


def replaced(text: str, searched: str, replacement: str, count: int = -1) -> str:
    """Like `str.replace`."""
    if not isinstance(text, MarkedText) and not isinstance(replacement, MarkedText):
        return text.replace(searched, replacement, count)
    if not searched:
        # The replacement goes between all characters, so that no markup stays intact.
        return str(text).replace(searched, str(replacement), count)
    return joined(_pieces(text, searched, count), replacement)


def split(text: str, separator: str) -> list[str]:
    """Like `str.split` with a separator that is not empty."""
    return list(_pieces(text, separator, -1)) if isinstance(text, MarkedText) else text.split(separator)


def mapped(text: str, function: Callable[[str], str]) -> str:
    """The text with a function applied; keeps the mask if the length is unchanged."""
    result = function(str(text))
    if not isinstance(text, MarkedText) or len(result) != len(text):
        return result
    return marked(result, text.mask)


def _pieces(text: str, separator: str, count: int) -> Iterator[str]:
    plain, position = str(text), 0
    while count and (end := plain.find(separator, position)) >= 0:
        yield text[position:end]
        position = end + len(separator)
        count -= 1
    yield text[position:]
