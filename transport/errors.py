"""Top-level errors as clients see them: a code and the request id; an unexpected error is masked and logged."""

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

UNAVAILABLE_MESSAGE = "A service that this request depends on is unavailable. Please try again in a few seconds."
UNAVAILABLE_RETRY_SECONDS = 5
UNAVAILABLE_STATUS = 503
INTERNAL_MESSAGE = "An internal error occurred. Please try again; if it persists, report the request id."


class RequestRefused(Exception):
    """The request gets one error and no data in response.

    `status` is the HTTP status for `application/graphql-response+json`, `retry_after` seconds or 0.
    """

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

    def to_dict(self, request_id: str) -> dict[str, Any]:
        """The error's JSON form."""
        extensions: dict[str, Any] = {"code": self.code, "requestId": request_id}
        if self.retry_after:
            extensions["retryAfter"] = self.retry_after
        if self.suggestion:
            extensions["suggestion"] = self.suggestion
        return {"message": self.message, "extensions": extensions}


class MalformedRequest(RequestRefused):
    """A parameter of the request has the wrong type: 400 over HTTP, close code 4400 over a WebSocket."""


def format_error(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """The JSON form of an error of parsing, validation or execution; masked and logged when it is the server's."""
    message, extensions = _classify(error, request_id)
    formatted: dict[str, Any] = {"message": message}
    if error.locations:
        formatted["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path is not None:
        formatted["path"] = error.path
    formatted["extensions"] = {**extensions, "requestId": request_id}
    return formatted


def _classify(error: GraphQLError, request_id: str) -> tuple[str, dict[str, Any]]:
    """The message and the extensions of an error, by its cause."""
    cause = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    if cause is None or isinstance(cause, GraphQLError):
        if not _is_result_error(error):
            return error.message, {"code": BAD_USER_INPUT}
        extensions = None
    else:
        extensions = _known_extensions(cause)
    if cause is not None and is_unavailable(cause):
        log.warning(
            "a field failed: a service is unavailable",
            field=error.path,
            request_id=request_id,
            error=describe_error(cause),
        )
        return UNAVAILABLE_MESSAGE, {"code": INTERNAL, "retryAfter": UNAVAILABLE_RETRY_SECONDS}
    if extensions is None:
        log.error("a field failed", field=error.path, request_id=request_id, exc_info=cause or error)
        return INTERNAL_MESSAGE, {"code": INTERNAL}
    return str(cause), extensions


def _is_result_error(error: GraphQLError) -> bool:
    """Whether a GraphQL error is about a field's result (the server's), such as an integer too large for Int.

    An error about an argument (the client's) has the argument's value as its node, not the field.
    """
    return error.path is not None and all(isinstance(node, FieldNode) for node in error.nodes or ())


def _known_extensions(cause: Exception) -> dict[str, Any] | None:
    """The extensions of an error that clients may see; None for any other."""
    match cause:
        case Unauthenticated():
            return {"code": UNAUTHENTICATED}
        case Forbidden():
            return {"code": FORBIDDEN}
        case RateLimited():
            return {"code": RATE_LIMITED, "retryAfter": cause.retry_after}
        case NudgeError():
            return _refusal_extensions(cause)
        case InputErrors():
            return _refusal_extensions(cause.errors[0])
    return None


def _refusal_extensions(error: errors.NudgeError) -> dict[str, Any]:
    """The extensions of a `NudgeError` outside a mutation's payload."""
    extensions: dict[str, Any] = {
        "code": NOT_FOUND if error.error_code is ErrorCode.NOT_FOUND else BAD_USER_INPUT,
        "reason": error.error_code,
    }
    if error.field:
        extensions["field"] = list(error.field)
    if error.suggestion:
        extensions["suggestion"] = error.suggestion
    return extensions
