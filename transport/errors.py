"""Top-level errors as clients see them: a code and the request id; what we did not foresee stays with us."""

from typing import Any

from graphql import FieldNode, GraphQLError

from core import errors
from core.database.errors import is_unavailable
from core.errors import ErrorCode, Forbidden, InputErrors, NudgeError, RateLimited, Unauthenticated
from core.telemetry import describe_error, logger

log = logger(__name__)

UNAUTHENTICATED = "UNAUTHENTICATED"
FORBIDDEN = "FORBIDDEN"
NOT_FOUND = "NOT_FOUND"
BAD_USER_INPUT = "BAD_USER_INPUT"
RATE_LIMITED = "RATE_LIMITED"
COST_EXCEEDED = "COST_EXCEEDED"
INTERNAL = "INTERNAL"
PERSISTED_QUERY_NOT_SUPPORTED = "PERSISTED_QUERY_NOT_SUPPORTED"

AWAY = "Something that we need does not answer at the moment. Please try again in a few seconds."
AWAY_SECONDS = 5
AWAY_STATUS = 503
MASK = "Something went wrong on our side. Please try again; if it stays, tell us the request id."


class Refused(Exception):
    """The request is answered with one error and no data. `status` is the HTTP status of a GraphQL response."""

    def __init__(
        self,
        message: str,
        *,
        code: str = BAD_USER_INPUT,
        status: int = 400,
        retry_after: int = 0,
        suggestion: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.retry_after = retry_after
        self.suggestion = suggestion

    def formatted(self, request_id: str) -> dict[str, Any]:
        """The error's JSON form."""
        extensions: dict[str, Any] = {"code": self.code, "requestId": request_id}
        if self.retry_after:
            extensions["retryAfter"] = self.retry_after
        if self.suggestion:
            extensions["suggestion"] = self.suggestion
        return {"message": self.message, "extensions": extensions}


class Malformed(Refused):
    """A parameter of the request has the wrong type: 400 over HTTP, close code 4400 over a websocket."""


def formatted(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """An error of parsing, validation or execution in its JSON form, masked when it is our fault."""
    message, extensions = judged(error, request_id)
    shown: dict[str, Any] = {"message": message}
    if error.locations:
        shown["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path is not None:
        shown["path"] = error.path
    shown["extensions"] = {**extensions, "requestId": request_id}
    return shown


def judged(error: GraphQLError, request_id: str) -> tuple[str, dict[str, Any]]:
    """Message and extensions of an error, by what caused it."""
    cause = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    if cause is None or isinstance(cause, GraphQLError):
        if not in_our_value(error):
            return error.message, {"code": BAD_USER_INPUT}
        extensions = None
    else:
        extensions = foreseen(cause)
    if cause is not None and is_unavailable(cause):
        log.warning(
            "a field failed, as something is away",
            field=error.path,
            request_id=request_id,
            error=describe_error(cause),
        )
        return AWAY, {"code": INTERNAL, "retryAfter": AWAY_SECONDS}
    if extensions is None:
        log.error("a field failed", field=error.path, request_id=request_id, exc_info=cause or error)
        return MASK, {"code": INTERNAL}
    return str(cause), extensions


def in_our_value(error: GraphQLError) -> bool:
    """Whether an error of GraphQL itself is about what a field gave, such as a number too large for Int.

    One about an argument, which is the client's, points at the argument's value instead of the whole field.
    """
    return error.path is not None and all(isinstance(node, FieldNode) for node in error.nodes or ())


def foreseen(cause: Exception) -> dict[str, Any] | None:
    """The extensions of an error that clients should see; None for any other."""
    match cause:
        case Unauthenticated():
            return {"code": UNAUTHENTICATED}
        case Forbidden():
            return {"code": FORBIDDEN}
        case RateLimited():
            return {"code": RATE_LIMITED, "retryAfter": cause.retry_after}
        case NudgeError():
            return told(cause)
        case InputErrors():
            return told(cause.errors[0])
    return None


def told(error: errors.NudgeError) -> dict[str, Any]:
    """The extensions of a refusal outside a mutation's payload."""
    extensions: dict[str, Any] = {
        "code": NOT_FOUND if error.error_code is ErrorCode.NOT_FOUND else BAD_USER_INPUT,
        "reason": error.error_code,
    }
    if error.field:
        extensions["field"] = list(error.field)
    if error.suggestion:
        extensions["suggestion"] = error.suggestion
    return extensions
