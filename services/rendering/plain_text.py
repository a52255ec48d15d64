"""White space and URLs in text parts."""

import re
from collections.abc import Sequence
from typing import Final

LINE: Final = "\x84"
"""Line end in text before `tidy`. In sources and values it is only ever a stray control character."""
EDGE: Final = "\x83"
"""Marks the start and end of a value in text before `finish_text`; as rare as `LINE`."""
_SHORTER: Final = {"  ": " ", f" {LINE}": LINE, f"{LINE} ": LINE, LINE * 3: LINE * 2}
_RUNS: Final = tuple(_SHORTER)
"""Superfluous runs of white space, in the order in which they are shortened."""
_SPACES: Final = re.compile(r"[ \t\n\r\f\xa0]+")
_UNSEEN_CHARACTERS: Final = re.compile(f"[{LINE}\xad\u200b-\u200f\u2060\ufeff]+")
_ADDRESS_START: Final = re.compile(r"\A(?:mailto:|tel:|sms:|(?:https?:)?//)?(?:www\.)?", re.IGNORECASE)
_TELEPHONE: Final = re.compile(r"\+?[0-9][0-9 ().-]{2,30}")
_NOT_DIGITS: Final = re.compile(r"[ ().\xa0-]+")


def tidy(text: str) -> str:
    """A page's text with single spaces, single empty lines, and a line end at the end."""
    return _lines(collapse_spaces(text))


def collapse_spaces(text: str) -> str:
    """The text without superfluous white space; its lines still end with `LINE`."""
    return _collapse(_SPACES.sub(" ", text)).strip(" " + LINE)


def finish_text(text: str, space_runs: Sequence[str]) -> str | None:
    """Finish a text rendered from a derived template, with `EDGE` around each value.

    `space_runs` are the superfluous runs of white space that it may contain. None if its values contain white space
    that depends on the HTML.
    """
    parts = text.split(EDGE)
    if len(parts) > 1:
        values = f"|{'|'.join(parts[1::2])}|"
        if " |" in values or "| " in values or not values.isprintable():
            return None
        text = "".join(parts)
        if "||" in values or "  " in values:
            space_runs = _RUNS
    return _lines(_collapse(text, space_runs) if space_runs else text)


def _collapse(text: str, runs: Sequence[str] = _RUNS) -> str:
    # Each pass shortens every run by at least a third; a regular expression would take five times as long.
    for run in runs:
        shorter = _SHORTER[run]
        while run in text:
            text = text.replace(run, shorter)
    return text


def _lines(text: str) -> str:
    return text.strip(" " + LINE).replace(LINE, "\n") + "\n"


def readable_address(href: str) -> str:
    """A URL for readers of plain text: empty for a fragment of this message, an e-mail address without `mailto:`."""
    scheme, colon, rest = href.partition(":")
    scheme = scheme.lower()
    if href.startswith("#") or (colon and scheme in {"javascript", "data", "vbscript"}):
        return ""
    if colon and scheme in {"mailto", "tel", "sms"}:
        return rest.partition("?")[0].strip()
    return href


def is_same_address(visible_text: str, target: str) -> bool:
    """Whether a link's text is its URL already, with or without scheme, `www.` and last slash."""
    text = _UNSEEN_CHARACTERS.sub("", visible_text).strip()
    return text == target or host_and_path(text) == host_and_path(target) or _is_number(text, target)


def host_and_path(address: str) -> tuple[str, str]:
    """The host and path of a URL with or without a scheme, for comparison."""
    host, slash, path = _ADDRESS_START.sub("", _UNSEEN_CHARACTERS.sub("", address)).partition("/")
    return host.lower(), (slash + path).rstrip("/")


def _is_number(visible_text: str, target: str) -> bool:
    """Whether both are the same telephone number, with different spaces and dashes."""
    return _TELEPHONE.fullmatch(target) is not None and _NOT_DIGITS.sub("", visible_text) == _NOT_DIGITS.sub(
        "", target
    )
