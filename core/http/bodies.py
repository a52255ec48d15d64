"""Reading the body of an HTTP request within a limit, from ASGI's messages."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

DRAINED_LIMITS = 16
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class ClientGone(Exception):
    """The client closed the connection before it had sent its request."""


class BodyTooLarge(Exception):
    """The body has more bytes than the limit."""


def announced(declared: str | None) -> int:
    """How many bytes a Content-Length says will come; 0 where it says nothing."""
    return int(declared) if declared is not None and declared.isdecimal() else 0


async def read_body(receive: Receive, declared: str | None, limit: int, *, come: Message | None = None) -> bytes:
    """The body, never keeping more than `limit` bytes; raises `BodyTooLarge` or `ClientGone`.

    Of a larger one up to 16 times the limit is read and thrown away, as a client that still writes hears no answer.
    `declared` is the Content-Length, `come` the first message, where that has been received.
    """
    chunks: list[bytes] = []
    size = 0
    expected = announced(declared)
    too_large = expected > limit
    if expected > DRAINED_LIMITS * limit:
        raise BodyTooLarge
    while True:
        message, come = (await receive() if come is None else come), None
        if message["type"] == "http.disconnect":
            raise ClientGone("The request broke off.")
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        too_large = too_large or size > limit
        if too_large:
            chunks.clear()
        else:
            chunks.append(chunk)
        if size > DRAINED_LIMITS * limit:
            raise BodyTooLarge
        if not message.get("more_body", False):
            break
    if too_large:
        raise BodyTooLarge
    return b"".join(chunks)
