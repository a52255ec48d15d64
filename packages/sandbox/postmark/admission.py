import asyncio

import orjson
from starlette.requests import Request

from sandbox.faults import Faults
from sandbox.state import Sandbox
from sandbox.wire import HttpError, JsonObject, read_body

BATCH_BYTES = 50_000_000
SINGLE_BYTES = 10_000_000
TEST_TOKEN = "POSTMARK_API_TEST"  # noqa: S105 - Postmark's published token for a validating dry run


def refusal(status: int, code: int, message: str, retry_after: int = 0) -> HttpError:
    """Postmark's error: a status and `{ErrorCode, Message}`; `retry_after` is in seconds, 0 for no header."""
    return HttpError(status, {"ErrorCode": code, "Message": message}, retry_after)


def check_token(sandbox: Sandbox, request: Request) -> bool:
    """Refuse a missing or wrong server token; returns whether it is the token for dry runs."""
    token = request.headers.get("x-postmark-server-token", "")
    expected = sandbox.config.server_token
    if token == TEST_TOKEN:
        return True
    if not token or (expected and token != expected):
        raise refusal(401, 10, "The request has no valid server token (X-Postmark-Server-Token).")
    return False


def check_accept(request: Request) -> None:
    """Refuse a request that does not accept JSON."""
    accept = request.headers.get("accept", "").lower()
    if not ("application/json" in accept or "*/*" in accept):
        raise refusal(422, 409, "The Accept header must allow application/json.")


async def read_json(request: Request, limit: int) -> object:
    """The request's JSON; raises 422 (409) for another media type, 413 above `limit`, 422 (402) for invalid JSON."""
    check_accept(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise refusal(422, 409, "The Content-Type header must be application/json.")
    body = await read_body(request, limit)
    if body is None:
        raise refusal(413, 0, f"The request is larger than {limit // 1_000_000} MB.")
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise refusal(422, 402, f"Invalid JSON: {error}") from error
    return value


async def before_accepting(faults: Faults) -> None:
    """The faults that occur before anything is accepted."""
    if fault := faults.take("postmark", "rate_limited"):
        raise refusal(429, 429, "Rate limit exceeded. Slow down and try again.", fault.integer("retry_after", 0))
    if fault := faults.take("postmark", "http_status"):
        status = fault.integer("status", 422)
        code = fault.integer("error_code", 405)
        raise refusal(status, code, fault.text("message", f"The account refuses the request (code {code})."))
    if faults.take("postmark", "server_error_before_accept"):
        raise server_error()
    if fault := faults.take("postmark", "stall_before_accept"):
        await asyncio.sleep(fault.number("seconds", 1))


def server_error() -> HttpError:
    """The vendor's internal server error."""
    return refusal(500, 0, "Internal server error.")


def objects(value: object) -> list[JsonObject]:
    """The batch as a list of objects; raises a 422 if it is not an array of at most 500 objects."""
    if not isinstance(value, list):
        raise refusal(422, 403, "Incompatible JSON: the batch must be a bare array of messages.")
    if len(value) > 500:  # noqa: PLR2004 - Postmark's limit
        raise refusal(422, 410, "A batch holds at most 500 messages.")
    for item in value:
        if not isinstance(item, dict):
            raise refusal(422, 403, "Incompatible JSON: every message must be an object.")
    return value
