"""E-mail addresses: what we can mail, and how two of them compare."""

from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from core.errors import ErrorCode, InvalidInput


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

    Raises `InvalidEmail` with a message that says what is wrong with it.
    """
    try:
        found = validate_email(text.strip(), allow_smtputf8=False, check_deliverability=False, strict=True)
    except EmailNotValidError as error:
        raise InvalidEmail(
            f"Not a valid e-mail address: {error}", field=field, suggestion="Write it as name@example.com."
        ) from None
    address = found.ascii_email or found.normalized
    return Address(address, address.lower())
