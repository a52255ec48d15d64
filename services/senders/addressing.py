"""A sender's name and address as a From header."""

import re
from typing import Final

from core import texts
from core.errors import ErrorCode, InvalidInput

_NAME_FIELD: Final = ("input", "name")
_MAX_NAME: Final = 100
# The specials of RFC 5322 (3.2.3): a name with one of them must be quoted.
_SPECIALS: Final = re.compile(r'[()<>\[\]:;@\\,."]')
# A mail client would decode it (RFC 2047), and show another name than the one that was checked.
_ENCODED_WORD: Final = re.compile(r"=\?[^?\s]*\?[bq]\?", re.IGNORECASE)


def check_name(name: str, email: str, *, max_from_bytes: int) -> str:
    """The name on one line; raises `InvalidInput` if it is empty, or the From header would exceed the limit."""
    cleaned = " ".join(texts.clean_line(name, field=_NAME_FIELD, max_length=_MAX_NAME).split())
    if not cleaned:
        raise InvalidInput(
            "A sender needs a name.",
            field=_NAME_FIELD,
            code=ErrorCode.REQUIRED,
            suggestion="Use the name that recipients should see, for example that of your organization.",
        )
    if _ENCODED_WORD.search(cleaned):
        raise InvalidInput(
            "The name contains an encoded word (=?...?=).",
            field=_NAME_FIELD,
            suggestion="Write the name as plain text.",
        )
    if len(from_header(cleaned, email).encode()) > max_from_bytes:
        raise InvalidInput(
            f"Name and address together have more than {max_from_bytes} bytes.",
            field=_NAME_FIELD,
            code=ErrorCode.TOO_LONG,
            suggestion="Shorten the name.",
        )
    return cleaned


def from_header(name: str, email: str) -> str:
    """The header's value, in Unicode, which the provider encodes; the name is quoted where RFC 5322 demands it."""
    if _SPECIALS.search(name):
        escaped = re.sub(r'(["\\])', r"\\\1", name)
        return f'"{escaped}" <{email}>'
    return f"{name} <{email}>"
