"""Reading a body within a limit, however it comes and whatever it announces."""

from collections import deque
from collections.abc import Awaitable, Callable

import pytest

from core.http.bodies import DRAIN_FACTOR, AsgiMessage, BodyTooLarge, ClientDisconnected, read_body

LIMIT = 10


def arriving(*parts: bytes | None) -> tuple[Callable[[], Awaitable[AsgiMessage]], deque[AsgiMessage]]:
    """A body in these parts, and what of it has not been read yet; None is a client that goes away."""
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
async def test_a_body_within_the_limit_comes_whole(declared: str | None, parts: tuple[bytes, ...]) -> None:
    """In one part or several, up to the last byte that the limit allows, whatever was content_length."""
    receive, left = arriving(*parts)
    assert await read_body(receive, declared, LIMIT) == b"".join(parts)
    assert not left


@pytest.mark.parametrize(("declared", "parts"), [(None, (b"a" * 4, b"a" * 7, b"")), ("11", (b"a", b""))])
async def test_a_larger_body_is_read_to_its_end_and_refused(declared: str | None, parts: tuple[bytes, ...]) -> None:
    """A client that still writes hears no answer: what is over the limit is thrown away first."""
    receive, left = arriving(*parts)
    with pytest.raises(BodyTooLarge):
        await read_body(receive, declared, LIMIT)
    assert not left


@pytest.mark.parametrize("declared", [None, str(DRAIN_FACTOR * LIMIT + 1)])
async def test_nobody_is_read_without_end(declared: str | None) -> None:
    """Beyond sixteen times the limit, first_message or content_length, nothing more is read."""
    receive, left = arriving(*[b"a" * LIMIT] * 100)
    with pytest.raises(BodyTooLarge):
        await read_body(receive, declared, LIMIT)
    assert len(left) == (100 if declared else 100 - DRAIN_FACTOR - 1)


async def test_a_client_that_goes_away_is_told_apart() -> None:
    """What it has sent is no body."""
    receive, _ = arriving(b"a", None)
    with pytest.raises(ClientDisconnected):
        await read_body(receive, None, LIMIT)


async def test_a_message_that_has_come_already_is_not_waited_for() -> None:
    """The first message may have been received by the caller."""
    receive, left = arriving(b"b")
    first_message: AsgiMessage = {"type": "http.request", "body": b"a", "more_body": True}
    assert await read_body(receive, None, LIMIT, first_message=first_message) == b"ab"
    assert not left
