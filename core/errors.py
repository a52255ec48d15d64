"""What can go wrong, as types. Each door maps them in one place (GraphQL: `userErrors`; routes: a status)."""

from enum import StrEnum
from typing import ClassVar


class ErrorCode(StrEnum):
    """Why a request was refused, for programs; the message says it for people."""

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
    """A refusal that the caller can act on. Never carries SQL, a stack or another tenant's data.

    `field` is the path of the input at fault in the API's own names, e.g. `("input", "htmlContent")`.
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
    """A value of the input does not fit; `field` says which."""


class NotFound(NudgeError):
    """No such thing in the caller's organisation, whether it never was or belongs to another."""

    code = ErrorCode.NOT_FOUND


class Conflict(NudgeError):
    """Somebody changed the row in between; reading it again and repeating is safe."""

    code = ErrorCode.CONFLICT


class InputErrors(Exception):
    """Several refusals of one request, so that a form can show all of them at once."""

    def __init__(self, errors: list[NudgeError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


class Unauthenticated(Exception):
    """No valid credentials came with the request."""


class Forbidden(Exception):
    """The caller is known but may not do this."""


class RateLimited(Exception):
    """Too much in too short a time; `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OperatorError(Exception):
    """What an operator has to mend. The message is logged: it names settings and servers, no secret and no data."""


class UnsafeDatabase(OperatorError):
    """The process must not start on this database; the message lists every reason."""


class ServerUnusable(OperatorError):
    """A server that a command needs cannot be used; the message says which, why, and what to do."""
