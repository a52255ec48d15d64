"""HTTP of the simulated vendors: JSON, timestamps, errors, and interrupted responses."""

import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

JsonObject = dict[str, object]


class HttpError(Exception):
    """An error response: the HTTP status and the body."""

    def __init__(self, status: int, body: Mapping[str, object], retry_after: int = 0) -> None:
        super().__init__(status, body)
        self.headers = {"retry-after": str(retry_after)} if retry_after else {}
        self.status = status
        self.body = body


class ConnectionCut(Exception):
    """Raised in a stream to drop the connection."""


class InterruptibleStream(StreamingResponse):
    """A streaming response that `ConnectionCut` ends incomplete, so that the server closes the connection."""

    async def stream_response(self, send: Send) -> None:
        """Send the parts; return early on `ConnectionCut`."""
        try:
            await super().stream_response(send)
        except ConnectionCut:
            return


def reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response."""
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


def interrupted(body: bytes) -> Response:
    """A response with its full Content-Length that ends in the middle."""

    async def half() -> AsyncIterator[bytes]:
        yield body[: max(1, len(body) // 2)]
        raise ConnectionCut

    return InterruptibleStream(half(), media_type="application/json", headers={"content-length": str(len(body))})


async def read_body(request: Request, limit: int) -> bytes | None:
    """The request's body, or None if it is longer than `limit` bytes."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        return None
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
    return b"".join(parts)


async def read_object(request: Request, limit: int = 1_000_000) -> JsonObject:
    """The JSON object in a control-plane request; raises a 400 for anything else."""
    body = await read_body(request, limit)
    try:
        value = orjson.loads(body or b"")
    except orjson.JSONDecodeError as error:
        raise HttpError(400, {"error": f"the body is not JSON: {error}"}) from error
    if not isinstance(value, dict):
        raise HttpError(400, {"error": "the body must be a JSON object"})
    return value


def timestamp(unix_seconds: float | None = None) -> str:
    """A Unix time in seconds in Postmark's format: UTC with seven fractional digits."""
    seconds = time.time() if unix_seconds is None else unix_seconds
    ticks = int(seconds * 10_000_000)
    return f"{datetime.fromtimestamp(ticks // 10_000_000, UTC):%Y-%m-%dT%H:%M:%S}.{ticks % 10_000_000:07d}Z"
