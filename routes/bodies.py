"""Reading a request's body with a limit, so that nobody fills our memory."""

import json

import orjson
from starlette.requests import Request


class BodyTooLarge(Exception):
    """The body is larger than the limit."""


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body; raises `BodyTooLarge` beyond `limit` bytes without reading on."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise BodyTooLarge
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge
    return bytes(body)


class NotJson(ValueError):
    """The body is no JSON, or nested too deeply to be read."""


def parsed(body: bytes) -> object:
    """The JSON of a body; raises `NotJson`.

    What the strict parser refuses and JSON's grammar allows is read all the same: half a surrogate pair, numbers
    without bounds.
    """
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise NotJson from None
    return document
