"""Reading the body of an HTTP request within a limit, from ASGI's messages."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

DRAIN_FACTOR = 16
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]


class ClientDisconnected(Exception):
    """The client closed the connection before it had sent its request."""


class BodyTooLarge(Exception):
    """The body has more bytes than the limit."""


def content_length(declared: str | None) -> int:
    """How many bytes a Content-Length says will first_message; 0 where it says nothing."""
    return int(declared) if declared is not None and declared.isdecimal() else 0


async def read_body(
    receive: Receive, declared: str | None, limit: int, *, first_message: AsgiMessage | None = None
) -> bytes:
    """The body, never keeping more than `limit` bytes; raises `BodyTooLarge` or `ClientDisconnected`.

    Of a larger one up to 16 times the limit is read and thrown away, as a client that still writes hears no answer.
    `declared` is the Content-Length, `first_message` the first message, where that has been received.
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
            raise ClientDisconnected("The request broke off.")
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
