"""The errors of the application. GraphQL maps them to `userErrors`, routes to a status, each in one place.

How an error of any kind is described in a log is defined in `core/failures.py`.
"""

from collections.abc import Collection
from datetime import datetime
from enum import Enum, StrEnum
from typing import ClassVar, Final


class ErrorCode(StrEnum):
    """Machine-readable reason why a request was refused; the message is for people."""

    INVALID = "INVALID"
    REQUIRED = "REQUIRED"
    TOO_LONG = "TOO_LONG"
    TOO_MANY = "TOO_MANY"
    TAKEN = "TAKEN"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    INVALID_EMAIL = "INVALID_EMAIL"
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    INVALID_STATE = "INVALID_STATE"
    TEMPLATE_INVALID = "TEMPLATE_INVALID"
    CAMPAIGN_NOT_SENDABLE = "CAMPAIGN_NOT_SENDABLE"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    PROVIDER_REFUSED = "PROVIDER_REFUSED"
    SIGN_UP_CLOSED = "SIGN_UP_CLOSED"
    SENDER_NOT_CONFIRMED = "SENDER_NOT_CONFIRMED"
    FEATURE_UNAVAILABLE = "FEATURE_UNAVAILABLE"


class NudgeError(Exception):
    """An error that the caller can act on. Never contains SQL, a stack trace or another tenant's data.

    `field` is the path of the invalid input, in the API's names, e.g. `("input", "htmlContent")`.
    """

    code: ClassVar[ErrorCode] = ErrorCode.INVALID

    def __init__(
        self,
        message: str,
        *,
        field: tuple[str, ...] = (),
        suggestion: str | None = None,
        code: ErrorCode | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.suggestion = suggestion
        self.error_code = code or self.code


class InvalidInput(NudgeError):
    """A value of the input is invalid; `field` is its path."""


class NotFound(NudgeError):
    """No such object in the caller's organization: it does not exist, or belongs to another organization."""

    code = ErrorCode.NOT_FOUND


class InvalidState(NudgeError):
    """The object is in a state that does not allow the operation.

    `state` is the object's state, None if it has none; `allowed` are the states that allow the operation. They are
    members of an enum of the API.
    """

    code = ErrorCode.INVALID_STATE

    def __init__(
        self,
        message: str,
        *,
        field: tuple[str, ...] = (),
        suggestion: str | None = None,
        state: Enum | None = None,
        allowed: Collection[Enum] = (),
    ) -> None:
        super().__init__(message, field=field, suggestion=suggestion)
        self.state = state
        self.allowed = allowed


class Conflict(NudgeError):
    """The row was changed concurrently; reading it again and retrying is safe.

    `current_version` is the object's current version, None if it has none.
    """

    code = ErrorCode.CONFLICT

    def __init__(
        self,
        message: str,
        *,
        field: tuple[str, ...] = (),
        suggestion: str | None = None,
        current_version: int | None = None,
    ) -> None:
        super().__init__(message, field=field, suggestion=suggestion)
        self.current_version = current_version


class QuotaExceeded(NudgeError):
    """The operation would exceed a quota of the organization.

    `used` of `limit` are in use. `resets_at` is when the operation is allowed again, None if that does not depend on
    time.
    """

    code = ErrorCode.LIMIT_EXCEEDED

    def __init__(
        self,
        message: str,
        *,
        limit: int,
        used: int,
        resets_at: datetime | None = None,
        field: tuple[str, ...] = (),
        suggestion: str | None = None,
    ) -> None:
        super().__init__(message, field=field, suggestion=suggestion)
        self.limit = limit
        self.used = used
        self.resets_at = resets_at


CODES_WITH_CLASS: Final = frozenset({ErrorCode.INVALID_STATE, ErrorCode.CONFLICT, ErrorCode.LIMIT_EXCEEDED})
"""Codes that only `InvalidState`, `Conflict` and `QuotaExceeded` may have, because clients expect their fields."""


class InputErrors(Exception):
    """All errors of one request, so that a form can show them together."""

    def __init__(self, errors: list[NudgeError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


class Unauthenticated(Exception):
    """The request has no valid credentials."""


class Forbidden(Exception):
    """The caller is authenticated but lacks the permission."""


class RateLimited(Exception):
    """The caller has exceeded a rate limit; `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OperatorError(Exception):
    """A problem for the operator to fix. The message is logged: settings and servers by name, no secrets, no data."""


class UnsafeDatabase(OperatorError):
    """The process must not use this database; the message lists all reasons."""


class ServerUnusable(OperatorError):
    """A server cannot be used; the message names it, with the reason and what to do."""
