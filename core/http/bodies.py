"""Reading the body of an HTTP request up to a limit, from ASGI messages."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

DRAIN_FACTOR = 16
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]


class ClientDisconnected(Exception):
    """The client closed the connection before the request was complete."""


class BodyTooLarge(Exception):
    """The body has more bytes than the limit."""


def content_length(header: str | None) -> int:
    """The number in a Content-Length header; 0 if the header is missing or is not a number."""
    return int(header) if header is not None and header.isdecimal() else 0


async def read_body(
    receive: Receive, declared: str | None, limit: int, *, first_message: AsgiMessage | None = None
) -> bytes:
    """Read the body, holding at most `limit` bytes in memory; raises `BodyTooLarge` or `ClientDisconnected`.

    Up to 16 times the limit of a larger body is read and discarded first: a client that is still sending does not
    read the response. `declared` is the Content-Length header, `first_message` the first ASGI message if the caller
    has received it already.
    """
    chunks: list[bytes] = []
    size = 0
    expected = content_length(declared)
    too_large = expected > limit
    if expected > DRAIN_FACTOR * limit:
        raise BodyTooLarge
    while True:
        message, first_message = (await receive() if first_message is None else first_message), None
        if message["type"] == "http.disconnect":
            raise ClientDisconnected("The client disconnected before the request was complete.")
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        too_large = too_large or size > limit
        if too_large:
            chunks.clear()
        else:
            chunks.append(chunk)
        if size > DRAIN_FACTOR * limit:
            raise BodyTooLarge
        if not message.get("more_body", False):
            break
    if too_large:
        raise BodyTooLarge
    return b"".join(chunks)
