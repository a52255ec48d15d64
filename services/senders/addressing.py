"""A sender's name and address as a From header."""

import re
from typing import Final

from core import texts
from core.errors import ErrorCode, InvalidInput

NAME_FIELD: Final = ("input", "name")
MAX_NAME: Final = 100
# What RFC 5322 (3.2.3) calls specials; with any of them a name has to stand in quotes.
SPECIALS: Final = re.compile(r'[()<>\[\]:;@\\,."]')
# A client would decode it (RFC 2047), so that what it hides would show.
ENCODED_WORD: Final = re.compile(r"=\?[^?\s]*\?[bq]\?", re.IGNORECASE)


def check_name(name: str, email: str, *, max_from_bytes: int) -> str:
    """A display name on one line that makes a header within the limit with the address; raises `InvalidInput`."""
    found = " ".join(texts.clean_line(name, field=NAME_FIELD, max_length=MAX_NAME).split())
    if not found:
        raise InvalidInput(
            "A sender needs a name.",
            field=NAME_FIELD,
            code=ErrorCode.REQUIRED,
            suggestion="Give the name that recipients shall read, e.g. of your organization.",
        )
    if ENCODED_WORD.search(found):
        raise InvalidInput(
            "The name holds an encoded word (=?...?=).", field=NAME_FIELD, suggestion="Write the name as it reads."
        )
    if len(from_header(found, email).encode()) > max_from_bytes:
        raise InvalidInput(
            f"Name and address together take more than {max_from_bytes} bytes.",
            field=NAME_FIELD,
            code=ErrorCode.TOO_LONG,
            suggestion="Shorten the name.",
        )
    return found


def from_header(name: str, email: str) -> str:
    """The header's value: the name in quotes where RFC 5322 wants them, in Unicode, which the provider encodes."""
    if SPECIALS.search(name):
        escaped = re.sub(r'(["\\])', r"\\\1", name)
        return f'"{escaped}" <{email}>'
    return f"{name} <{email}>"
