"""Reading a request's body with a limit, so that nobody fills our memory."""

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
