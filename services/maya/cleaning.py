"""Text from people, imports and models, before a model reads it or a screen shows it."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

# Format characters (zero-width, direction, tags), surrogates, private use, unassigned: models see them, nobody else.
UNSEEN: Final = frozenset({"Cf", "Cs", "Co", "Cn"})
CONTROLS: Final = "[\x00-\x08\x0b-\x1f\x7f-\x9f]"
SELECTORS: Final = "[\ufe00-\ufe0f\U000e0100-\U000e01ef]"
SUSPECT: Final = re.compile(f"{CONTROLS}|{SELECTORS}|[^\x00-\x7f]")


def clean(text: str) -> str:
    """The text without control characters (tab and line feed stay) and without what no eye can see."""
    return SUSPECT.sub(_seen, text)


def _seen(found: re.Match[str]) -> str:
    char = found.group()
    if char <= "\x9f" or "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef":
        return ""
    return "" if unicodedata.category(char) in UNSEEN else char


def clipped(text: str, most: int) -> str:
    """The text, cleaned, with at most `most` characters and a mark where it was cut."""
    seen = clean(text)
    return seen if len(seen) <= most else seen[: most - 1] + "…"


def cleaned(value: object, *, longest_text: int) -> object:
    """A JSON value with every text in it cleaned and clipped, keys included."""
    if isinstance(value, str):
        return clipped(value, longest_text)
    if isinstance(value, Mapping):
        return {
            clipped(str(key), longest_text): cleaned(each, longest_text=longest_text) for key, each in value.items()
        }
    if isinstance(value, Sequence):
        return [cleaned(each, longest_text=longest_text) for each in value]
    return value
