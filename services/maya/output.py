"""What a model writes, made harmless while it streams: Markdown without images, foreign links or HTML.

Only blanks are put in, nothing is taken away but characters nobody sees, so no new construct can arise from the
pieces around a gap. A blank breaks an image (`! [`), a link (`] (`), a definition (`] :`), a tag (`< img`), an
address (`https: //`, `www .`) and an entity (`& #58;`); the reader still sees all of it, as text. Addresses under
our own public URL stay whole. The result does not depend on how the text is cut into pieces.
"""

import re
import string
from typing import Final

from core.characters import Cleaner

ENTITY: Final = re.compile(r"&#?[A-Za-z0-9]{1,31};")
ENTITY_BEGUN: Final = re.compile(r"&(#?[A-Za-z0-9]{0,31})?")
AFTER_OWN: Final = re.compile(r"[/?#\s)\]]")
WWW: Final = "www"
# A character, and those before which it begins something.
BREAKS: Final = {"!": "[", "<": string.ascii_letters + "/!?"}


class OutputFilter:
    """The filter of one reply. `own_url` is the public URL, without a trailing slash, that links may lead to."""

    def __init__(self, own_url: str) -> None:
        self.own_url = own_url
        self.rules = {"]": self._bracket, "&": _entity, ":": _colon, "w": _www, "W": _www}
        self.triggers = {own_url[:1], *BREAKS, *self.rules}
        self.cleaner = Cleaner()
        self.held = ""

    def feed(self, piece: str) -> str:
        """The text that is certain after the next piece; what may be the start of a construct waits."""
        return self._pass(self.held + self.cleaner.feed(piece), final=False)

    def finish(self) -> str:
        """What was waiting, at the end of the text."""
        return self._pass(self.held, final=True)

    def _pass(self, text: str, *, final: bool) -> str:
        out: list[str] = []
        at = 0
        while at < len(text):
            if text[at] not in self.triggers:
                taken, shown = 1, text[at]
            else:
                taken, shown = self._decide(text, at, final=final)
            if not taken:
                break
            out.append(shown)
            at += taken
        self.held = text[at:]
        return "".join(out)

    def _decide(self, text: str, at: int, *, final: bool) -> tuple[int, str]:
        """How many characters are settled from here, and how they are shown; 0 when more text must come first."""
        owned = self._is_own(text, at, final=final)
        if owned is None:
            return 0, ""
        if owned:
            return len(self.own_url), self.own_url
        char = text[at]
        if char in BREAKS:
            return _before(text, at, BREAKS[char], final=final)
        return self.rules[char](text, at, final=final) if char in self.rules else (1, char)

    def _is_own(self, text: str, at: int, *, final: bool) -> bool | None:
        """Whether an address under our own URL begins here; None when more text must come first."""
        found = text[at : at + len(self.own_url) + 1]
        if len(found) <= len(self.own_url):
            if not self.own_url.startswith(found):
                return False
            return found == self.own_url if final else None
        return found.startswith(self.own_url) and AFTER_OWN.match(found[-1]) is not None

    def _bracket(self, text: str, at: int, *, final: bool) -> tuple[int, str]:
        if at + 1 == len(text):
            return (1, "]") if final else (0, "")
        if text[at + 1] == ":":
            return 1, "] "
        if text[at + 1] != "(":
            return 1, "]"
        owned = self._is_own(text, at + 2, final=final)
        if owned is None:
            return 0, ""
        return 2, "](" if owned else "] ("


def _entity(text: str, at: int, *, final: bool) -> tuple[int, str]:
    if ENTITY.match(text, at):
        return 1, "& "
    if not final and ENTITY_BEGUN.fullmatch(text, at):
        return 0, ""
    return 1, "&"


def _colon(text: str, at: int, *, final: bool) -> tuple[int, str]:
    return _apart(text, at, "/", final=final)


def _www(text: str, at: int, *, final: bool) -> tuple[int, str]:
    found = text[at : at + len(WWW)]
    if found.lower() == WWW:
        last = at + len(WWW) - 1
        taken, shown = _apart(text, last, ".", final=final)
        if not taken:
            return 0, ""
        return (len(WWW), f"{found} ") if shown.endswith(" ") else (1, text[at])
    return (0, "") if not final and WWW.startswith(found.lower()) else (1, text[at])


def _before(text: str, at: int, following: str, *, final: bool) -> tuple[int, str]:
    """The character here, with a blank after it when one of these follows."""
    if at + 1 == len(text):
        return (1, text[at]) if final else (0, "")
    return 1, text[at] + (" " if text[at + 1] in following else "")


def _apart(text: str, at: int, following: str, *, final: bool) -> tuple[int, str]:
    """The character here, with a blank after it when the other follows, be it escaped by a backslash."""
    ahead = text[at + 1 : at + 3]
    if ahead[:1] == following or ahead == f"\\{following}":
        return 1, f"{text[at]} "
    if ahead in {"", "\\"} and not final:
        return 0, ""
    return 1, text[at]
