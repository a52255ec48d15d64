"""Text from people, imports and models, before a model reads it or a screen shows it. Never for what is looked up."""

from collections.abc import Mapping, Sequence

from core.characters import Cleaner


def clean(text: str) -> str:
    """The text without control characters (tab and line feed stay) and without what nobody sees and nothing needs."""
    return Cleaner().feed(text)


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
