"""Short texts that people type or paste: names, tags, fields, subjects, searches.

Control characters, lone surrogates and the right-to-left override are refused, with the clean text as the suggestion:
PostgreSQL cannot store some of them, and others display another text than is stored. Invisible padding is removed
before a text is stored or searched for: direction embeddings and the left-to-right override are pasted along with
telephone numbers from address books. Direction isolates that are closed, and direction marks, are harmless and stay.
"""

import re
import unicodedata
from typing import Final

from core.characters import BREAKS, DIRECTIONS, EMBEDDINGS, INVISIBLE_FORMATS, ISOLATES, MARKS, Cleaner
from core.errors import ErrorCode, InvalidInput

# C0 and C1 controls, lone surrogates (JSON can carry them, UTF-8 cannot), and the right-to-left override.
FORBIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u202e\ud800-\udfff]")
FORBIDDEN_IN_PROSE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e\ud800-\udfff]")
EMBEDDED: Final = re.compile(f"[{EMBEDDINGS}]")
ISOLATED: Final = re.compile(f"[{ISOLATES}]")
END_OF_ISOLATE: Final = "\u2069"
PADDING: Final = f"\u00ad{BREAKS}{MARKS}\u2060\u2066\u2067\u2068\u2069\ufeff"
SPACES: Final = (
    " \t\n\r\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
)
MAX_SHRINKING: Final = 4  # NFC composes at most 4 characters into one; normalizing much longer texts takes too long
BROKEN_LINES: Final = re.compile("[\t\n\r]+")
ZERO_WIDTH_SPACE: Final = "\u200b"


def clean_line(text: str, *, field: tuple[str, ...], max_length: int) -> str:
    """One line of text in NFC, trimmed, without invisible characters; "" if nothing is left.

    Joiners and selectors that a letter or an emoji needs stay. Raises `InvalidInput` for a control character or for
    more than `max_length` characters.
    """
    trimmed = text.strip(SPACES)
    require_no_controls(trimmed, FORBIDDEN, field)
    seen = Cleaner(INVISIBLE_FORMATS, allowed=DIRECTIONS).feed(trimmed).replace(ZERO_WIDTH_SPACE, "")
    if seen.isascii() or len(seen) > MAX_SHRINKING * max_length:
        return require_length(seen.strip(SPACES), field=field, max_length=max_length)
    bare = unicodedata.normalize("NFC", strip_directions(seen, ends=PADDING + SPACES))
    return require_length(bare, field=field, max_length=max_length)


def clean_prose(text: str, *, field: tuple[str, ...], max_length: int) -> str:
    """A text with line breaks and tabs, without padding and direction embeddings; raises as `clean_line` does."""
    require_no_controls(text, FORBIDDEN_IN_PROSE, field)
    return require_length(strip_directions(text), field=field, max_length=max_length)


def strip_directions(text: str, *, ends: str = PADDING) -> str:
    """The text without direction embeddings, padding at its ends, and isolates if one of them is not closed."""
    bare = EMBEDDED.sub("", text).strip(ends)
    depth = 0
    for each in ISOLATED.findall(bare):
        depth += -1 if each == END_OF_ISOLATE else 1
        if depth < 0:
            break
    return ISOLATED.sub("", bare) if depth else bare


def is_blank(text: str) -> bool:
    """Whether the text has no visible character."""
    return not Cleaner().feed(text).strip()


def require_no_controls(text: str, forbidden: re.Pattern[str], field: tuple[str, ...]) -> None:
    """Raise `InvalidInput` for the first forbidden character, with the text without them as the suggestion."""
    match = forbidden.search(text)
    if match is None:
        return
    clean = strip_directions(forbidden.sub("", BROKEN_LINES.sub(" ", text))).strip()
    raise InvalidInput(
        f"The text contains a control character (U+{ord(match.group()):04X} at position {match.start() + 1}).",
        field=field,
        suggestion=f"Write it as {clean[:200]!r}." if clean else "Remove it.",
    )


def require_length(text: str, *, field: tuple[str, ...], max_length: int) -> str:
    """The text itself; raises `InvalidInput` if it is longer than `max_length` characters."""
    if len(text) > max_length:
        raise InvalidInput(
            f"At most {max_length} characters are allowed; this text has {len(text)}.",
            field=field,
            code=ErrorCode.TOO_LONG,
        )
    return text


def sanitize(text: str, *, max_length: int = 500) -> str:
    """Text from another system, without control characters and cut to `max_length`, for storing and display."""
    return FORBIDDEN_IN_PROSE.sub("", text)[:max_length]
