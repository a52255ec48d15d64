"""Filters of texts. Other values are converted to text; the masks of the author's markup are kept (see `markup`)."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final
from urllib.parse import quote_plus, unquote_to_bytes

from services.rendering.errors import ValueProblem
from services.rendering.markup import joined, mapped, replaced, split, substituted
from services.rendering.values import LISTS, empty, size_of, text_of, truthy, whole_number

_SPACE: Final = "\t\n\v\f\r "
_SPACES: Final = re.compile(f"[{_SPACE}]+")
_WORD: Final = re.compile(f"[^{_SPACE}]+")
LINE_END: Final = re.compile(r"\r?\n")
_BLOCKS: Final = (("<script", "</script>"), ("<!--", "-->"), ("<style", "</style>"))
_MAX_LENGTH: Final = 1 << 31


def append(value: object, text: object) -> str:
    """The text followed by another."""
    return joined([text_of(value), text_of(text)])


def prepend(value: object, text: object) -> str:
    """The text preceded by another."""
    return joined([text_of(text), text_of(value)])


def upcase(value: object) -> str:
    """The text in upper case."""
    return mapped(text_of(value), str.upper)


def downcase(value: object) -> str:
    """The text in lower case."""
    return mapped(text_of(value), str.lower)


def capitalize(value: object) -> str:
    """The text in lower case, with its first letter in upper case."""
    return mapped(text_of(value), str.capitalize)


def strip(value: object) -> str:
    """The text without white space around it."""
    return lstrip(rstrip(value))


def lstrip(value: object) -> str:
    """The text without leading white space."""
    text = text_of(value)
    return text[len(text) - len(text.lstrip("\0" + _SPACE)) :]


def rstrip(value: object) -> str:
    """The text without trailing white space."""
    text = text_of(value)
    return text[: len(text.rstrip("\0" + _SPACE))]


def squish(value: object) -> str | None:
    """The text without white space around it, and with single spaces inside."""
    return None if value is None else substituted(_SPACES, strip(value), " ")


def strip_newlines(value: object) -> str:
    """The text without line ends."""
    return substituted(LINE_END, text_of(value), "")


def strip_html(value: object) -> str:
    """The text without scripts, comments, styles and tags."""
    return _without_tags(_without_blocks(text_of(value)))


def _without_blocks(text: str) -> str:
    # An opening without an end is not searched for again, so that the time stays linear.
    blocks, parts, position = list(_BLOCKS), [], 0
    while block := min(((text.find(start, position), start, end) for start, end in blocks), default=None):
        begins, opening, closing = block
        if begins < 0:
            blocks.remove((opening, closing))
            continue
        ends = text.find(closing, begins + len(opening))
        if ends < 0:
            blocks.remove((opening, closing))
            continue
        parts.append(text[position:begins])
        position = ends + len(closing)
    return joined([*parts, text[position:]]) if parts else text


def _without_tags(text: str) -> str:
    parts, position = [], 0
    while (begins := text.find("<", position)) >= 0 and (ends := text.find(">", begins)) >= 0:
        parts.append(text[position:begins])
        position = ends + 1
    return joined([*parts, text[position:]]) if parts else text


def remove(value: object, text: object) -> str:
    """The text without another, wherever it occurs."""
    return replaced(text_of(value), text_of(text), "")


def remove_first(value: object, text: object) -> str:
    """The text without the first occurrence of another."""
    return replaced(text_of(value), text_of(text), "", 1)


def remove_last(value: object, text: object) -> str:
    """The text without the last occurrence of another."""
    return replace_last(value, text, "")


def replace(value: object, text: object, replacement: object = "") -> str:
    """The text with another replaced wherever it occurs."""
    return replaced(text_of(value), text_of(text), text_of(replacement))


def replace_first(value: object, text: object, replacement: object = "") -> str:
    """The text with the first occurrence of another replaced."""
    return replaced(text_of(value), text_of(text), text_of(replacement), 1)


def replace_last(value: object, text: object, replacement: object) -> str:
    """The text with the last occurrence of another replaced."""
    string, searched = text_of(value), text_of(text)
    start = string.rfind(searched)
    if start < 0:
        return string
    return joined([string[:start], text_of(replacement), string[start + len(searched) :]])


def slice_(value: object, start: object, length: object = None) -> object:
    """A part of a text or list, from a position (negative: from the end), one character or item long by default."""
    first = _position(start)
    count = _position(length) if truthy(length) else 1
    sliced = value if isinstance(value, LISTS) else text_of(value)
    if first < 0:
        first += len(sliced)
    if first < 0 or first > len(sliced) or count < 0:
        return [] if isinstance(value, LISTS) else ""
    part = sliced[first : first + count]
    return list(part) if isinstance(value, LISTS) else part


def _position(value: object) -> int:
    return max(-_MAX_LENGTH, min(whole_number(value, "slice"), _MAX_LENGTH))


def truncate(value: object, length: object = 50, end: object = "...") -> str | None:
    """The text cut to a length in characters, including the ellipsis."""
    if value is None:
        return None
    text, most, tail = text_of(value), whole_number(length, "truncate"), text_of(end)
    if len(text) <= most:
        return text
    return joined([text[: max(most - len(tail), 0)], tail])


def truncatewords(value: object, words: object = 15, end: object = "...") -> str | None:
    """The text cut to a number of words."""
    if value is None:
        return None
    text, most = text_of(value), max(whole_number(words, "truncatewords"), 1)
    words_found = list(islice(_WORD.finditer(text), min(most, len(text)) + 1))
    # White space after the last word counts as another word, as in the reference.
    if len(words_found) < most or (len(words_found) == most and words_found[-1].end() == len(text)):
        return text
    parts = [text[word.start() : word.end()] for word in words_found[:most]]
    return joined([joined(parts, " "), text_of(end)])


def split_(value: object, separator: object) -> list[str]:
    """The parts between separators, without empty ones at the end."""
    text, pattern = text_of(value), text_of(separator)
    if pattern == " ":
        return [text[word.start() : word.end()] for word in _WORD.finditer(text)]
    parts = split(text, pattern) if pattern else [text[index : index + 1] for index in range(len(text))]
    while parts and not parts[-1]:
        parts.pop()
    return parts


def url_encode(value: object) -> str | None:
    """The text encoded for the query of a URL, with spaces as `+`."""
    return None if value is None else quote_plus(text_of(value), errors="replace")


def url_decode(value: object) -> str | None:
    """The text decoded from a URL; raises `ValueProblem` if it is not UTF-8."""
    if value is None:
        return None
    text = text_of(value).replace("+", " ")
    return _decoded(unquote_to_bytes(text.encode(errors="replace")), "url_decode")


def base64_encode(value: object) -> str:
    """The text's UTF-8 in base64."""
    return base64.b64encode(text_of(value).encode(errors="replace")).decode()


def base64_url_safe_encode(value: object) -> str:
    """The text's UTF-8 in base64 with `-` and `_`."""
    return base64.urlsafe_b64encode(text_of(value).encode(errors="replace")).decode()


def base64_decode(value: object) -> str:
    """The decoded text; raises `ValueProblem` if it is not base64 or not UTF-8."""
    try:
        return _decoded(base64.b64decode(text_of(value), validate=True), "base64_decode")
    except (binascii.Error, ValueError) as error:
        raise ValueProblem("base64_decode needs base64") from error


def base64_url_safe_decode(value: object) -> str:
    """The text decoded from base64 with `-` and `_`; raises `ValueProblem` for anything else."""
    text = text_of(value)
    try:
        return _decoded(
            base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True), "base64_url_safe_decode"
        )
    except (binascii.Error, ValueError) as error:
        raise ValueProblem("base64_url_safe_decode needs URL-safe base64") from error


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ValueProblem(f"the result of {name} is not text") from error


def size(value: object) -> int:
    """The number of characters or items."""
    return size_of(value) or 0


def default(value: object, other: object = "", *, allow_false: object = False) -> object:
    """The value, or another one for nil, false and empty values."""
    missing = value is None if truthy(allow_false) else not truthy(value)
    return other if missing or empty(value) else value


FILTERS: Final[Mapping[str, Callable[..., object]]] = {
    "append": append,
    "base64_decode": base64_decode,
    "base64_encode": base64_encode,
    "base64_url_safe_decode": base64_url_safe_decode,
    "base64_url_safe_encode": base64_url_safe_encode,
    "capitalize": capitalize,
    "default": default,
    "downcase": downcase,
    "lstrip": lstrip,
    "prepend": prepend,
    "remove": remove,
    "remove_first": remove_first,
    "remove_last": remove_last,
    "replace": replace,
    "replace_first": replace_first,
    "replace_last": replace_last,
    "rstrip": rstrip,
    "size": size,
    "slice": slice_,
    "split": split_,
    "squish": squish,
    "strip": strip,
    "strip_html": strip_html,
    "strip_newlines": strip_newlines,
    "truncate": truncate,
    "truncatewords": truncatewords,
    "upcase": upcase,
    "url_decode": url_decode,
    "url_encode": url_encode,
}
