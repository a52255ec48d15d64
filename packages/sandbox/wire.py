"""What every stand-in says on the wire: JSON, timestamps, refusals, and replies that break off."""

import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

JsonObject = dict[str, object]


class Refused(Exception):
    """The vendor says no: an HTTP status and the body that explains it."""

    def __init__(self, status: int, body: Mapping[str, object], retry_after: int = 0) -> None:
        super().__init__(status, body)
        self.headers = {"retry-after": str(retry_after)} if retry_after else {}
        self.status = status
        self.body = body


class Cut(Exception):
    """Raised by a stream that ends by dropping the connection."""


class CuttableStream(StreamingResponse):
    """A stream that a `Cut` ends without its proper end, so that the server closes the connection."""

    async def stream_response(self, send: Send) -> None:
        """Send the parts; on `Cut` return with the reply incomplete."""
        try:
            await super().stream_response(send)
        except Cut:
            return


def reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON reply."""
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


def cut_short(body: bytes) -> Response:
    """A reply that announces its whole length and breaks off in the middle."""

    async def half() -> AsyncIterator[bytes]:
        yield body[: max(1, len(body) // 2)]
        raise Cut

    return CuttableStream(half(), media_type="application/json", headers={"content-length": str(len(body))})


async def read_body(request: Request, limit: int) -> bytes | None:
    """The request's body, or None as soon as it is longer than `limit` bytes."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
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
    """The JSON object of a control-plane request; 400 when it is anything else."""
    body = await read_body(request, limit)
    try:
        value = orjson.loads(body or b"")
    except orjson.JSONDecodeError as error:
        raise Refused(400, {"error": f"the body is not JSON: {error}"}) from error
    if not isinstance(value, dict):
        raise Refused(400, {"error": "the body must be a JSON object"})
    return value


def timestamp(at: float | None = None) -> str:
    """A Unix time in seconds as Postmark writes it: UTC, seven fractional digits."""
    seconds = time.time() if at is None else at
    ticks = int(seconds * 10_000_000)
    return f"{datetime.fromtimestamp(ticks // 10_000_000, UTC):%Y-%m-%dT%H:%M:%S}.{ticks % 10_000_000:07d}Z"
