"""Scalars of the API, each with the rule it keeps."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig

DateTime = NewType("DateTime", datetime)
EmailAddress = NewType("EmailAddress", str)
JSON = NewType("JSON", object)


def parse_datetime(value: object) -> datetime:
    """An RFC 3339 time with its offset; a time without one is refused, as it could mean any zone."""
    example = "Example: 2026-11-24T09:30:00Z"
    if not isinstance(value, str):
        raise GraphQLError(f"DateTime must be a string in RFC 3339 form. {example}")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise GraphQLError(f"Not a DateTime: {value[:40]!r}. {example}") from None
    if moment.tzinfo is None:
        raise GraphQLError(f"DateTime needs an offset: {value[:40]!r}. {example}")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise GraphQLError(f"DateTime is out of range: {value[:40]!r}. {example}") from None


def serialize_datetime(value: datetime) -> str:
    """RFC 3339 with offset."""
    return value.isoformat()


def parse_email(value: object) -> str:
    """A text; whether it is an address is answered as a `userError` beside the field, not as a malformed request."""
    if not isinstance(value, str):
        raise GraphQLError("EmailAddress must be a string.")
    return value


SCALARS: dict[object, Any] = {
    DateTime: strawberry.scalar(
        name="DateTime",
        description="A moment in RFC 3339 form, always with an offset, e.g. `2026-11-24T09:30:00Z`.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=serialize_datetime,
        parse_value=parse_datetime,
    ),
    EmailAddress: strawberry.scalar(
        name="EmailAddress",
        description=(
            "An e-mail address in ASCII, at most 254 characters, compared without regard to case. "
            "One that does not fit is answered with the userError INVALID_EMAIL."
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
    """Strawberry's configuration with our scalars; `read` gives a field's value off what is shown."""
    return StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=False, default_resolver=read)
