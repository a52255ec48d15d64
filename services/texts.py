"""Short texts that people type or paste: names, tags, searches. What PostgreSQL or the eye can't take is refused."""

import re
import unicodedata

from core.errors import ErrorCode, InvalidInput

# Invisible and without meaning; spreadsheets paste them along. Removed without a word.
INVISIBLE = str.maketrans("", "", "\u00ad\u200b\u2060\ufeff")
# C0 and C1 controls, lone surrogates (JSON can carry them, UTF-8 can't), and what turns the direction of text around.
FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
FORBIDDEN_IN_PROSE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def line(text: str, *, field: tuple[str, ...], most: int) -> str:
    """One line of text in NFC, trimmed, without invisible characters; "" when nothing is left.

    Raises `InvalidInput`: a control character, or more than `most` characters.
    """
    refuse_controls(text, FORBIDDEN, field)
    result = unicodedata.normalize("NFC", text.translate(INVISIBLE)).strip()
    return within(result, field=field, most=most)


def prose(text: str, *, field: tuple[str, ...], most: int) -> str:
    """A text as it is, line breaks and tabs included; raises as `line` does."""
    refuse_controls(text, FORBIDDEN_IN_PROSE, field)
    return within(text, field=field, most=most)


def refuse_controls(text: str, forbidden: re.Pattern[str], field: tuple[str, ...]) -> None:
    """Raise `InvalidInput` for the first character that must not be stored."""
    found = forbidden.search(text)
    if found is None:
        return
    clean = forbidden.sub("", text).translate(INVISIBLE).strip()
    raise InvalidInput(
        f"The text holds a control character (U+{ord(found.group()):04X} at position {found.start() + 1}).",
        field=field,
        suggestion=f"Write it as {clean[:200]!r}." if clean else "Remove it.",
    )


def within(text: str, *, field: tuple[str, ...], most: int) -> str:
    """The text; raises `InvalidInput` when it is longer than `most` characters."""
    if len(text) > most:
        raise InvalidInput(
            f"At most {most} characters fit; this has {len(text)}.", field=field, code=ErrorCode.TOO_LONG
        )
    return text


def shown(text: str, *, most: int = 500) -> str:
    """What somebody else has said, fit to be stored and shown: without control characters, and cut."""
    return FORBIDDEN_IN_PROSE.sub("", text)[:most]
