"""Cleaning JSON from other servers, so that PostgreSQL can store it as `jsonb`."""

import math
import re
from typing import Any, Final

_MAX_DEPTH: Final = 64
_MAX_BITS: Final = 4_096  # Python refuses to convert larger integers to text (sys.set_int_max_str_digits)
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


class TooDeep(ValueError):
    """The JSON is nested too deeply for an event."""


def clean(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - JSON
    """The value without NUL characters, lone surrogates, NaN and infinities.

    Raises `TooDeep` beyond 64 levels.
    """
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value if value.bit_length() <= _MAX_BITS else None
    if depth == _MAX_DEPTH:
        raise TooDeep(f"The event is nested more than {_MAX_DEPTH} levels deep.")
    if isinstance(value, list):
        return [clean(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_clean_text(str(key)): clean(item, depth + 1) for key, item in value.items()}
    return value


def _clean_text(text: str) -> str:
    """The text without NUL, with lone surrogates replaced."""
    return _UNSTORABLE.sub(lambda match: "" if match.group() == "\x00" else _REPLACEMENT, text)
