"""JSON from outside, made into what PostgreSQL can hold."""

import math
import re
from typing import Any, Final

MAX_DEPTH: Final = 64
MAX_BITS: Final = 4_096  # whole numbers beyond cannot be written as text any more without a limit being lifted
UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


class TooDeep(ValueError):
    """The JSON is nested more deeply than any event."""


def cleaned(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - JSON
    """The value without NUL characters, with half surrogates replaced, without numbers that are none.

    Raises `TooDeep` beyond 64 levels.
    """
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value if value.bit_length() <= MAX_BITS else None
    if depth == MAX_DEPTH:
        raise TooDeep(f"The event is nested more than {MAX_DEPTH} levels deep.")
    if isinstance(value, list):
        return [cleaned(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {clean_text(str(key)): cleaned(item, depth + 1) for key, item in value.items()}
    return value


def clean_text(text: str) -> str:
    """The text without NUL, with each half of a surrogate pair replaced."""
    return UNSTORABLE.sub(lambda found: "" if found.group() == "\x00" else REPLACEMENT, text)
