"""Removing invisible characters from text that a model reads or a screen shows. Not for values to look up."""

from collections.abc import Mapping, Sequence

from core.characters import Cleaner


def clean(text: str) -> str:
    """The text without control characters (except tab and line feed) and without superfluous invisible characters."""
    return Cleaner().feed(text)


def _truncate(text: str, max_length: int) -> str:
    """The cleaned text, cut to at most `max_length` characters, the last of which is then an ellipsis."""
    cleaned = clean(text)
    return cleaned if len(cleaned) <= max_length else cleaned[: max_length - 1] + "…"


def clean_json(value: object, *, max_text_length: int) -> object:
    """A JSON value in which all texts, including keys, are cleaned and truncated."""
    if isinstance(value, str):
        return _truncate(value, max_text_length)
    if isinstance(value, Mapping):
        return {
            _truncate(str(key), max_text_length): clean_json(each, max_text_length=max_text_length)
            for key, each in value.items()
        }
    if isinstance(value, Sequence):
        return [clean_json(each, max_text_length=max_text_length) for each in value]
    return value
