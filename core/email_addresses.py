"""E-mail addresses: what we can mail, and how two of them compare."""

import re
from dataclasses import dataclass
from typing import Final

import idna
from email_validator import EmailNotValidError, validate_email

from core.characters import INVISIBLE_FORMATS, SELECTORS, Cleaner
from core.errors import ErrorCode, InvalidInput

MAX_TEXT_LENGTH: Final = 1_000  # with what is left out of it
OVERRIDE: Final = "\u202e"
VARIANTS: Final = re.compile(f"[{SELECTORS}]")


class InvalidEmail(InvalidInput):
    """The text is not an address that a mailbox provider would take."""

    code = ErrorCode.INVALID_EMAIL


@dataclass(frozen=True, slots=True)
class Address:
    """An address as it is written to (`email`, at most 254 ASCII characters) and as it is compared (`norm`)."""

    email: str
    norm: str


def parse(text: str, *, field: tuple[str, ...] = ("input", "email")) -> Address:
    """Read an address; RFC 5321 mailboxes in ASCII only, with international domains as punycode.

    Blanks around it and characters that nobody sees are left out, as they come along when an address is pasted.
    Raises `InvalidEmail` with a message that says what is wrong with it.
    """
    if len(text) > MAX_TEXT_LENGTH:
        raise InvalidEmail("An e-mail address has at most 254 characters.", field=field)
    address = strip_invisible(text)
    if OVERRIDE in text:
        raise InvalidEmail(
            "The address holds a character that turns its direction around (U+202E).",
            field=field,
            suggestion=f"Write it as {address[:254]!r}.",
        )
    try:
        found = validate_email(address, allow_smtputf8=False, check_deliverability=False, strict=True)
    except EmailNotValidError as error:
        raise InvalidEmail(
            f"Not a valid e-mail address: {error}", field=field, suggestion="Write it as name@example.com."
        ) from None
    address = found.ascii_email or found.normalized
    return Address(address, address.lower())


def strip_invisible(text: str) -> str:
    """The text without blanks around it and what nobody sees; a domain keeps joiners that its script needs."""
    return VARIANTS.sub("", Cleaner(INVISIBLE_FORMATS).feed(text)).strip()


def normalize_query(text: str) -> str:
    """An address that is looked up, as addresses are compared; what is no address is compared as a part of one."""
    try:
        return parse(text).norm
    except InvalidEmail:
        return normalize_part(text)


def normalize_part(text: str) -> str:
    """A part of an address that is looked up, as addresses are compared: an international domain as punycode."""
    local, at, domain = strip_invisible(text).rpartition("@")
    return f"{local}{at}{'.'.join(map(_label, domain.split('.')))}".lower()


def _label(label: str) -> str:
    """A label of a domain in ASCII, where it can be written so."""
    if label.isascii():
        return label
    try:
        return idna.encode(label, uts46=True).decode()
    except idna.IDNAError:
        return label
