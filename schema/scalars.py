"""Scalars of the API, each with the rule it keeps."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig

DateTime = NewType("DateTime", datetime)
EmailAddress = NewType("EmailAddress", str)
JSON = NewType("JSON", object)


# RFC 3339, 5.6: `T` and `Z` in either case (its note), no white space; 4.3: `-00:00` is UTC of an unknown place.
DATE_TIME = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt]([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.(\d+))?"
    r"(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)
MAX_DATE_TIME_CHARACTERS = 128
LEAP_SECOND = 60
EXAMPLE = "Example: 2026-11-24T09:30:00Z"


def parse_datetime(value: object) -> datetime:
    """An RFC 3339 `date-time` in UTC, its fraction cut to microseconds; raises `GraphQLError` for anything else."""
    if not isinstance(value, str):
        raise GraphQLError(f"DateTime must be a string in RFC 3339 form. {EXAMPLE}")
    match = DATE_TIME.fullmatch(value) if len(value) <= MAX_DATE_TIME_CHARACTERS else None
    if match is None:
        raise GraphQLError(f"Not a DateTime: {value[:40]!r}. {hint(value)}{EXAMPLE}")
    try:
        return moment_of(match)
    except ValueError as error:
        raise GraphQLError(f"Not a DateTime: {value[:40]!r}: {error}. {EXAMPLE}") from None
    except OverflowError:
        raise GraphQLError(f"DateTime is out of range: {value[:40]!r}. {EXAMPLE}") from None


def moment_of(match: re.Match[str]) -> datetime:
    """The moment of a well-formed `date-time`; raises `ValueError` for no such day, `OverflowError` out of range.

    A leap second counts as the second after it, as in POSIX time. It can only be the last of a month in UTC.
    """
    *numbers, fraction, sign, hours, minutes = match.groups()
    year, month, day, hour, minute, second = map(int, numbers)
    leap = second == LEAP_SECOND
    local = datetime(year, month, day, hour, minute, second - leap, tzinfo=UTC)
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    moment = (local + offset if sign == "-" else local - offset) + timedelta(seconds=leap)
    if leap and (moment.day, moment.hour, moment.minute) != (1, 0, 0):
        raise ValueError("a leap second ends a month, at 23:59:60 UTC")
    return moment.replace(microsecond=int((fraction or "")[:6].ljust(6, "0")))


def hint(value: str) -> str:
    """A hint for a common mistake, or an empty string."""
    if len(value) > MAX_DATE_TIME_CHARACTERS:
        return f"At most {MAX_DATE_TIME_CHARACTERS} characters. "
    if DATE_TIME.fullmatch(f"{value}Z"):
        return "It needs an offset, such as `Z` or `+01:00`. "
    if DATE_TIME.fullmatch(value.strip().replace(" ", "T", 1)):
        return "`T` must separate date and time. "
    if re.fullmatch(r".*[+-]\d{4}", value, re.ASCII):
        return "The offset needs a colon, as in `+01:00`. "
    return ""


def serialize_datetime(value: datetime) -> str:
    """RFC 3339 in UTC; raises `ValueError` for a time without a zone, which could be any moment."""
    if value.tzinfo is None:
        raise ValueError("a DateTime needs a time zone")
    return value.astimezone(UTC).isoformat()


def parse_email(value: object) -> str:
    """A text; whether it is an address is answered as a `userError` beside the field, not as a malformed request."""
    if not isinstance(value, str):
        raise GraphQLError("EmailAddress must be a string.")
    return value


SCALARS: dict[object, Any] = {
    DateTime: strawberry.scalar(
        name="DateTime",
        description=(
            "A point in time in the `date-time` format of RFC 3339, always with an offset: for example "
            "`2026-11-24T09:30:00Z` or `2026-11-24T10:30:00.25+01:00`. Output is in UTC.\n\n"
            "Other formats of ISO 8601 are refused, including a space instead of `T`; `T` and `Z` may be lower case. "
            "Years from 0001 to 9999 in UTC, at most 128 characters. Fractions of a second are truncated to "
            "microseconds. A leap second (23:59:60 UTC at the end of a month) is read as the second after it."
        ),
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=serialize_datetime,
        parse_value=parse_datetime,
    ),
    EmailAddress: strawberry.scalar(
        name="EmailAddress",
        description=(
            "An e-mail address in ASCII, at most 254 characters, compared without regard to case. International "
            "domains are converted to Punycode, and invisible characters are removed. In the "
            "input of a mutation, a malformed address is refused with `INVALID_EMAIL`, or by `logIn` with "
            "`INVALID_CREDENTIALS`."
        ),
        specified_by_url="https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2",
        serialize=str,
        parse_value=parse_email,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=lambda value: value,
        parse_value=lambda value: value,
    ),
}


def configuration(*, read: Callable[[Any, str], object] = getattr) -> StrawberryConfig:
    """Strawberry's configuration with our scalars; `read` returns a field's value of an object."""
    return StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=False, default_resolver=read)
