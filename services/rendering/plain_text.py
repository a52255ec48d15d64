"""What a text part is made of: lines, and addresses as a reader wants them."""

import re
from collections.abc import Sequence
from typing import Final

LINE: Final = "\x84"
"""A line's end in text before `tidy`. No source or value can hold it but as a stray character."""
EDGE: Final = "\x83"
"""Before and after a value in text that `finished` has not seen; as rare as `LINE`."""
SHORTER: Final = {"  ": " ", f" {LINE}": LINE, f"{LINE} ": LINE, LINE * 3: LINE * 2}
RUNS: Final = tuple(SHORTER)
"""Runs of white space that no reader needs, in the order in which they are made shorter."""
SPACES: Final = re.compile(r"[ \t\n\r\f\xa0]+")
UNSEEN_CHARACTERS: Final = re.compile(f"[{LINE}\xad\u200b-\u200f\u2060\ufeff]+")
ADDRESS_START: Final = re.compile(r"\A(?:mailto:|tel:|sms:|(?:https?:)?//)?(?:www\.)?", re.IGNORECASE)
TELEPHONE: Final = re.compile(r"\+?[0-9][0-9 ().-]{2,30}")
NOT_DIGITS: Final = re.compile(r"[ ().\xa0-]+")


def tidy(text: str) -> str:
    """A page's text with single spaces, at most one empty line in a row, and a line end."""
    return _lines(squeezed(text))


def squeezed(text: str) -> str:
    """The text with no more white space than a reader needs, its lines still ended by `LINE`."""
    return _squeezed(SPACES.sub(" ", text)).strip(" " + LINE)


def finished(text: str, seams: Sequence[str]) -> str | None:
    """A text rendered from a derived template, `EDGE` around each value, with the runs of white space it can leave.

    None when its values hold white space that only the HTML can place.
    """
    parts = text.split(EDGE)
    if len(parts) > 1:
        values = f"|{'|'.join(parts[1::2])}|"
        if " |" in values or "| " in values or not values.isprintable():
            return None
        text = "".join(parts)
        if "||" in values or "  " in values:
            seams = RUNS
    return _lines(_squeezed(text, seams) if seams else text)


def _squeezed(text: str, runs: Sequence[str] = RUNS) -> str:
    # Each pass shortens every run by a third at least; substitution by a pattern takes five times as long.
    for run in runs:
        shorter = SHORTER[run]
        while run in text:
            text = text.replace(run, shorter)
    return text


def _lines(text: str) -> str:
    return text.strip(" " + LINE).replace(LINE, "\n") + "\n"


def readable_address(href: str) -> str:
    """An address as a reader wants it: nothing for a place in this message, an e-mail address without `mailto:`."""
    scheme, colon, rest = href.partition(":")
    scheme = scheme.lower()
    if href.startswith("#") or (colon and scheme in {"javascript", "data", "vbscript"}):
        return ""
    if colon and scheme in {"mailto", "tel", "sms"}:
        return rest.partition("?")[0].strip()
    return href


def is_same(shown: str, target: str) -> bool:
    """Whether a link's text says its address already, whatever of scheme, `www.` and last slash it leaves out."""
    text = UNSEEN_CHARACTERS.sub("", shown).strip()
    return text == target or host_and_path(text) == host_and_path(target) or _is_number(text, target)


def host_and_path(address: str) -> tuple[str, str]:
    """What tells two addresses apart that are written with and without a scheme."""
    host, slash, path = ADDRESS_START.sub("", UNSEEN_CHARACTERS.sub("", address)).partition("/")
    return host.lower(), (slash + path).rstrip("/")


def _is_number(shown: str, target: str) -> bool:
    """Whether both are one telephone number, written with other spaces and dashes."""
    return TELEPHONE.fullmatch(target) is not None and NOT_DIGITS.sub("", shown) == NOT_DIGITS.sub("", target)
