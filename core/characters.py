"""Which characters of a text are visible, or needed by a visible one: joiners, variation selectors and tags.

The ranges are Unicode's default ignorable and format characters. They are written out because Python 3.11 treats the
newest letters and emoji as unassigned. Visible format characters, such as Arabic number signs, are in none of them.
"""

import re
import unicodedata
from typing import Final

MARKS: Final = "\u061c\u200e\u200f"
EMBEDDINGS: Final = "\u202a-\u202e"
ISOLATES: Final = "\u2066-\u2069"
JOINERS: Final = "\u200c\u200d"
BREAKS: Final = "\u200b"
SELECTORS: Final = "\ufe00-\ufe0f"
IDEOGRAPH_SELECTORS: Final = "\U000e0100-\U000e01ef"
MONGOLIAN: Final = "\u180b-\u180f"
VOWEL_SEPARATOR: Final = "\u180e"
FLAG, TAGS, LAST_TAG, MAX_TAGS = "\U0001f3f4", "\U000e0030-\U000e0039\U000e0061-\U000e007a", "\U000e007f", 6
FORMATS: Final = (
    f"\u00ad{MARKS}{MONGOLIAN}{BREAKS}{JOINERS}{EMBEDDINGS}\u2060-\u206f{SELECTORS}\ufeff\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Surrogates, private use, and the code points that Unicode reserves as non-characters.
NOT_CHARACTERS: Final = "\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff\U000f0000-\U0010ffff" + "".join(
    f"{chr(plane * 0x10000 + 0xFFFE)}{chr(plane * 0x10000 + 0xFFFF)}" for plane in range(1, 15)
)
CONTROLS: Final = "\x00-\x08\x0b-\x1f\x7f-\x9f"

INVISIBLE: Final = re.compile(f"[{CONTROLS}{FORMATS}{NOT_CHARACTERS}]")
INVISIBLE_FORMATS: Final = re.compile(f"[{FORMATS}]")
DIRECTIONS: Final = re.compile(f"[{MARKS}{EMBEDDINGS}{ISOLATES}]")
IDEOGRAPHS: Final = re.compile("[\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003fffd]")
MONGOLIAN_LETTERS: Final = re.compile("[\u1800-\u180a\u1810-\u18af\U00011660-\U0001167f]")
SEPARABLE: Final = re.compile(f"{MONGOLIAN_LETTERS.pattern}|[\u180b-\u180d\u180f]")
# Scripts written without spaces between words, which break lines at zero width spaces.
UNSPACED: Final = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u1aaf]")
TAG: Final = re.compile(f"[{TAGS}]")
# No Latin or Greek letters, in any block: joiners have no effect on them.
JOINING: Final = re.compile("[\u0590-\u1dbf\u2190-\u2bff\u3000-\U0003fffd\ufe0f]")
KEYCAPS: Final = "#*0123456789"


class Cleaner:
    """Removes invisible characters from one text, fed in pieces: the result does not depend on where it was cut.

    Removes matches of `invisible`, except those that the character before them needs and those that match `allowed`.
    """

    def __init__(self, invisible: re.Pattern[str] = INVISIBLE, allowed: re.Pattern[str] | None = None) -> None:
        self.invisible = invisible
        self.allowed = allowed
        self.before = ""
        self.tags = 0

    def feed(self, text: str) -> str:
        """Clean the next piece."""
        parts: list[str] = []
        position = 0
        for match in self.invisible.finditer(text):
            if match.start() > position:
                self._note(text[match.start() - 1])
            parts.append(text[position : match.start()])
            position = match.end()
            char = match.group()
            if self._is_needed(char) or (self.allowed and self.allowed.match(char)):
                self._note(char)
                parts.append(char)
        if position < len(text):
            self._note(text[-1])
        parts.append(text[position:])
        return "".join(parts)

    def _note(self, char: str) -> None:
        self.tags = self.tags + 1 if "\U000e0020" <= char <= LAST_TAG else 0
        if not self.tags:
            self.before = char

    def _is_needed(self, char: str) -> bool:
        """Whether the character before this one needs it.

        At most two are needed in a row, as in a variant of an emoji or a letter that is joined to the next.
        """
        if "\U000e0000" <= char <= LAST_TAG:
            return self._spells_flag(char)
        if char in JOINERS:
            return _joins(self.before)
        if char in BREAKS:
            return UNSPACED.match(self.before) is not None
        if "\ufe00" <= char <= "\ufe0f":
            return _takes_selectors(self.before)
        if "\U000e0100" <= char <= "\U000e01ef":
            return IDEOGRAPHS.match(self.before) is not None
        letters = SEPARABLE if char == VOWEL_SEPARATOR else MONGOLIAN_LETTERS
        return "\u180b" <= char <= "\u180f" and letters.match(self.before) is not None

    def _spells_flag(self, char: str) -> bool:
        """Whether a tag character continues, or ends, the region code after a black flag."""
        if self.before != FLAG:
            return False
        return 0 < self.tags <= MAX_TAGS if char == LAST_TAG else self.tags < MAX_TAGS and bool(TAG.match(char))


def _joins(char: str) -> bool:
    """Whether joiners affect how a character joins the next; never for visible format characters."""
    return JOINING.match(char) is not None and unicodedata.category(char) != "Cf"


def _takes_selectors(char: str) -> bool:
    """Whether a character has variants: in ASCII the keycap bases, otherwise a letter, number, symbol or emoji."""
    if char <= "\x7f":
        return char != "" and char in KEYCAPS
    return unicodedata.category(char)[0] in "LNPS" or (char >= "\U0001f000" and not char >= "\U000e0000")
