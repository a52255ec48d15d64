"""Reading a body up to a limit, in any number of messages and with any Content-Length."""

from collections import deque
from collections.abc import Awaitable, Callable

import pytest

from core.http.bodies import DRAIN_FACTOR, AsgiMessage, BodyTooLarge, ClientDisconnected, read_body

LIMIT = 10


def arriving(*parts: bytes | None) -> tuple[Callable[[], Awaitable[AsgiMessage]], deque[AsgiMessage]]:
    """A `receive` that returns these parts, and the messages not read yet; None is a client that disconnects."""
    messages: deque[AsgiMessage] = deque(
        {"type": "http.disconnect"}
        if part is None
        else {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}
        for number, part in enumerate(parts)
    )

    async def receive() -> AsgiMessage:
        return messages.popleft()

    return receive, messages


@pytest.mark.parametrize("declared", [None, "10", "no number", "3"])
@pytest.mark.parametrize("parts", [(b"a" * LIMIT,), (b"a" * 4, b"a" * 6, b""), (b"",)])
async def test_a_body_within_the_limit_is_read_whole(declared: str | None, parts: tuple[bytes, ...]) -> None:
    """In one part or several, up to the last byte of the limit, with any Content-Length."""
    receive, left = arriving(*parts)
    assert await read_body(receive, declared, LIMIT) == b"".join(parts)
    assert not left


@pytest.mark.parametrize(("declared", "parts"), [(None, (b"a" * 4, b"a" * 7, b"")), ("11", (b"a", b""))])
async def test_a_larger_body_is_drained_and_refused(declared: str | None, parts: tuple[bytes, ...]) -> None:
    """A client that is still sending does not read the response: the rest of the body is discarded first."""
    receive, left = arriving(*parts)
    with pytest.raises(BodyTooLarge):
        await read_body(receive, declared, LIMIT)
    assert not left


@pytest.mark.parametrize("declared", [None, str(DRAIN_FACTOR * LIMIT + 1)])
async def test_an_endless_body_is_not_drained(declared: str | None) -> None:
    """Beyond sixteen times the limit, received or declared, nothing more is read."""
    receive, left = arriving(*[b"a" * LIMIT] * 100)
    with pytest.raises(BodyTooLarge):
        await read_body(receive, declared, LIMIT)
    assert len(left) == (100 if declared else 100 - DRAIN_FACTOR - 1)


async def test_a_disconnected_client_raises_an_error_of_its_own() -> None:
    """The part that it has sent is not taken for a body."""
    receive, _ = arriving(b"a", None)
    with pytest.raises(ClientDisconnected):
        await read_body(receive, None, LIMIT)


async def test_a_first_message_already_received_is_used() -> None:
    """The caller may have received the first message itself."""
    receive, left = arriving(b"b")
    first_message: AsgiMessage = {"type": "http.request", "body": b"a", "more_body": True}
    assert await read_body(receive, None, LIMIT, first_message=first_message) == b"ab"
    assert not left
