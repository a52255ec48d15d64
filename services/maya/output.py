"""Sanitizing a model's Markdown while it streams: no images, no external links, no HTML.

The filter only inserts spaces and removes invisible characters, so that no new construct can result from a removal.
A space breaks an image (`! [`), a link (`] (`), a definition (`] :`), a tag (`< img`), a URL (`https: //`, `www .`)
and an entity (`& #58;`); the reader still sees it as text. URLs under our own public URL stay intact. The result does
not depend on how the text is split into pieces.
"""

import re
import string
from typing import Final

from core.characters import Cleaner

_ENTITY: Final = re.compile(r"&#?[A-Za-z0-9]{1,31};")
_PARTIAL_ENTITY: Final = re.compile(r"&(#?[A-Za-z0-9]{0,31})?")
_AFTER_OWN: Final = re.compile(r"[/?#\s)\]]")
_WWW: Final = "www"
# For each character, the characters that must not follow it directly.
_BREAKS: Final = {"!": "[", "<": string.ascii_letters + "/!?"}


class OutputFilter:
    """The filter of one reply. `public_url` is the public URL without a trailing slash; links to it are allowed."""

    def __init__(self, public_url: str) -> None:
        self.public_url = public_url
        self.rules = {"]": self._bracket, "&": _entity, ":": _colon, "w": _www, "W": _www}
        self.triggers = {public_url[:1], *_BREAKS, *self.rules}
        self.cleaner = Cleaner()
        self.buffer = ""

    def feed(self, piece: str) -> str:
        """The output for the next piece. Text that may be the start of a construct is held back."""
        return self._pass(self.buffer + self.cleaner.feed(piece), final=False)

    def finish(self) -> str:
        """The text that was held back, at the end."""
        return self._pass(self.buffer, final=True)

    def _pass(self, text: str, *, final: bool) -> str:
        out: list[str] = []
        at = 0
        while at < len(text):
            if text[at] not in self.triggers:
                consumed, output = 1, text[at]
            else:
                consumed, output = self._decide(text, at, final=final)
            if not consumed:
                break
            out.append(output)
            at += consumed
        self.buffer = text[at:]
        return "".join(out)

    def _decide(self, text: str, at: int, *, final: bool) -> tuple[int, str]:
        """How many characters are decided from here, and their output; 0 if it depends on text still to come."""
        is_own = self._is_own(text, at, final=final)
        if is_own is None:
            return 0, ""
        if is_own:
            return len(self.public_url), self.public_url
        char = text[at]
        if char in _BREAKS:
            return _before(text, at, _BREAKS[char], final=final)
        return self.rules[char](text, at, final=final) if char in self.rules else (1, char)

    def _is_own(self, text: str, at: int, *, final: bool) -> bool | None:
        """Whether a URL under our own URL begins here; None if it depends on text still to come."""
        candidate = text[at : at + len(self.public_url) + 1]
        if len(candidate) <= len(self.public_url):
            if not self.public_url.startswith(candidate):
                return False
            return candidate == self.public_url if final else None
        return candidate.startswith(self.public_url) and _AFTER_OWN.match(candidate[-1]) is not None

    def _bracket(self, text: str, at: int, *, final: bool) -> tuple[int, str]:
        if at + 1 == len(text):
            return (1, "]") if final else (0, "")
        if text[at + 1] == ":":
            return 1, "] "
        if text[at + 1] != "(":
            return 1, "]"
        is_own = self._is_own(text, at + 2, final=final)
        if is_own is None:
            return 0, ""
        return 2, "](" if is_own else "] ("


def _entity(text: str, at: int, *, final: bool) -> tuple[int, str]:
    if _ENTITY.match(text, at):
        return 1, "& "
    if not final and _PARTIAL_ENTITY.fullmatch(text, at):
        return 0, ""
    return 1, "&"


def _colon(text: str, at: int, *, final: bool) -> tuple[int, str]:
    return _separate(text, at, "/", final=final)


def _www(text: str, at: int, *, final: bool) -> tuple[int, str]:
    candidate = text[at : at + len(_WWW)]
    if candidate.lower() == _WWW:
        last = at + len(_WWW) - 1
        consumed, output = _separate(text, last, ".", final=final)
        if not consumed:
            return 0, ""
        return (len(_WWW), f"{candidate} ") if output.endswith(" ") else (1, text[at])
    return (0, "") if not final and _WWW.startswith(candidate.lower()) else (1, text[at])


def _before(text: str, at: int, following: str, *, final: bool) -> tuple[int, str]:
    """The character here, with a space after it if one of these follows."""
    if at + 1 == len(text):
        return (1, text[at]) if final else (0, "")
    return 1, text[at] + (" " if text[at + 1] in following else "")


def _separate(text: str, at: int, following: str, *, final: bool) -> tuple[int, str]:
    """The character here, with a space after it if the other follows, with or without a backslash."""
    ahead = text[at + 1 : at + 3]
    if ahead[:1] == following or ahead == f"\\{following}":
        return 1, f"{text[at]} "
    if ahead in {"", "\\"} and not final:
        return 0, ""
    return 1, text[at]
