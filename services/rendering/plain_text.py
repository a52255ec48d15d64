"""What a text part is made of: lines, and addresses as a reader wants them."""

import re
from typing import Final

LINE: Final = "\x84"
"""A line's end in text before `tidy`. No source or value can hold it but as a stray character."""
SPACES: Final = re.compile(r"[ \t\n\r\f\xa0]+")
UNSEEN_CHARACTERS: Final = re.compile(f"[{LINE}\xad\u200b-\u200f\u2060\ufeff]+")
ADDRESS_START: Final = re.compile(r"\A(?:mailto:|tel:|sms:|(?:https?:)?//)?(?:www\.)?", re.IGNORECASE)
TELEPHONE: Final = re.compile(r"\+?[0-9][0-9 ().-]{2,30}")
NOT_DIGITS: Final = re.compile(r"[ ().\xa0-]+")


def tidy(text: str) -> str:
    """A page's text with single spaces, at most one empty line in a row, and a line end."""
    text = SPACES.sub(" ", text)
    text = re.sub(f" ?{LINE} ?", LINE, text)
    return re.sub(LINE + "{3,}", LINE * 2, text).strip(" " + LINE).replace(LINE, "\n") + "\n"


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
    return text == target or _host_and_path(text) == _host_and_path(target) or _is_number(text, target)


def _host_and_path(address: str) -> tuple[str, str]:
    host, slash, path = ADDRESS_START.sub("", address).partition("/")
    return host.lower(), (slash + path).rstrip("/")


def _is_number(shown: str, target: str) -> bool:
    """Whether both are one telephone number, written with other spaces and dashes."""
    return TELEPHONE.fullmatch(target) is not None and NOT_DIGITS.sub("", shown) == NOT_DIGITS.sub("", target)
