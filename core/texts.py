"""Short texts that people type or paste: names, tags, fields, subjects, searches.

What PostgreSQL or the eye cannot take is refused, with the clean text as the suggestion: controls, lone surrogates,
and the right-to-left override, which shows another text than is stored. Padding that nobody sees is removed, so that
the clean text is what is stored, and what is looked up: embeddings of direction, and the left-to-right override, come
along with telephone numbers from address books. Isolates and marks are harmless where they are complete, and stay.
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
MAX_SHRINKING: Final = 4  # of how many characters NFC makes one; sorting the marks of longer texts takes too long
BROKEN_LINES: Final = re.compile("[\t\n\r]+")
ZERO_WIDTH_SPACE: Final = "\u200b"


def clean_line(text: str, *, field: tuple[str, ...], max_length: int) -> str:
    """One line of text in NFC, trimmed, without invisible characters; "" when nothing is left.

    Joiners and selectors stay where a letter or an emoji needs them. Raises `InvalidInput`: a control character, or
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
    """A text with its line breaks and tabs, without padding and embeddings of direction; raises as `line` does."""
    require_no_controls(text, FORBIDDEN_IN_PROSE, field)
    return require_length(strip_directions(text), field=field, max_length=max_length)


def strip_directions(text: str, *, ends: str = PADDING) -> str:
    """The text without embeddings of direction, without padding at its ends, and without incomplete isolates."""
    bare = EMBEDDED.sub("", text).strip(ends)
    depth = 0
    for each in ISOLATED.findall(bare):
        depth += -1 if each == END_OF_ISOLATE else 1
        if depth < 0:
            break
    return ISOLATED.sub("", bare) if depth else bare


def is_blank(text: str) -> bool:
    """Whether nothing of the text can be seen."""
    return not Cleaner().feed(text).strip()


def require_no_controls(text: str, forbidden: re.Pattern[str], field: tuple[str, ...]) -> None:
    """Raise `InvalidInput` for the first character that must not be stored."""
    found = forbidden.search(text)
    if found is None:
        return
    clean = strip_directions(forbidden.sub("", BROKEN_LINES.sub(" ", text))).strip()
    raise InvalidInput(
        f"The text holds a control character (U+{ord(found.group()):04X} at position {found.start() + 1}).",
        field=field,
        suggestion=f"Write it as {clean[:200]!r}." if clean else "Remove it.",
    )


def require_length(text: str, *, field: tuple[str, ...], max_length: int) -> str:
    """The text; raises `InvalidInput` when it is longer than `max_length` characters."""
    if len(text) > max_length:
        raise InvalidInput(
            f"At most {max_length} characters fit; this has {len(text)}.", field=field, code=ErrorCode.TOO_LONG
        )
    return text


def sanitized(text: str, *, max_length: int = 500) -> str:
    """What somebody else has said, fit to be stored and shown: without control characters, and cut."""
    return FORBIDDEN_IN_PROSE.sub("", text)[:max_length]
