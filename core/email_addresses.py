"""E-mail addresses: which can be mailed, and how two are compared."""

import re
from dataclasses import dataclass
from typing import Final

import idna
from email_validator import EmailNotValidError, validate_email

from core.characters import INVISIBLE_FORMATS, SELECTORS, Cleaner
from core.errors import ErrorCode, InvalidInput

MAX_TEXT_LENGTH: Final = 1_000  # before invisible characters are removed
OVERRIDE: Final = "\u202e"
VARIANTS: Final = re.compile(f"[{SELECTORS}]")


class InvalidEmail(InvalidInput):
    """The text is not an address that mail can be sent to."""

    code = ErrorCode.INVALID_EMAIL


@dataclass(frozen=True, slots=True)
class Address:
    """An address for sending (`email`, at most 254 ASCII characters) and for comparison (`norm`, in lower case)."""

    email: str
    norm: str


def parse(text: str, *, field: tuple[str, ...] = ("input", "email")) -> Address:
    """Parse an address: an RFC 5321 mailbox in ASCII; international domains become punycode.

    Removes blanks around it and invisible characters, which are common in pasted addresses. Raises `InvalidEmail`,
    with the reason as its message.
    """
    if len(text) > MAX_TEXT_LENGTH:
        raise InvalidEmail("An e-mail address has at most 254 characters.", field=field)
    address = strip_invisible(text)
    if OVERRIDE in text:
        raise InvalidEmail(
            "The address contains the right-to-left override (U+202E).",
            field=field,
            suggestion=f"Write it as {address[:254]!r}.",
        )
    try:
        validated = validate_email(address, allow_smtputf8=False, check_deliverability=False, strict=True)
    except EmailNotValidError as error:
        raise InvalidEmail(
            f"Not a valid e-mail address: {error}", field=field, suggestion="Write it as name@example.com."
        ) from None
    address = validated.ascii_email or validated.normalized
    return Address(address, address.lower())


def strip_invisible(text: str) -> str:
    """The text without surrounding blanks and invisible characters; joiners that a domain's script needs stay."""
    return VARIANTS.sub("", Cleaner(INVISIBLE_FORMATS).feed(text)).strip()


def normalize_query(text: str) -> str:
    """Normalize an address to search for; text that is not a valid address is normalized as a part of one."""
    try:
        return parse(text).norm
    except InvalidEmail:
        return normalize_part(text)


def normalize_part(text: str) -> str:
    """Normalize a part of an address to search for: in lower case, an international domain as punycode."""
    local, at, domain = strip_invisible(text).rpartition("@")
    return f"{local}{at}{'.'.join(map(_label, domain.split('.')))}".lower()


def _label(label: str) -> str:
    """A domain label in ASCII, or unchanged if it has no ASCII form."""
    if label.isascii():
        return label
    try:
        return idna.encode(label, uts46=True).decode()
    except idna.IDNAError:
        return label
