"""Answers in one write, and what we take for granted of uvicorn for them."""

import asyncio
import re
from urllib.parse import urlsplit

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tests.serving import Served
from tests.waiting import WAIT_SECONDS

BODY = b'{"query": "{ __typename }"}'
CHANGING = re.compile(rb'((?:x-request-id|date|ratelimit): )[^\r]*|("(?:remaining|resetAt)":)[^,}]*')


def request(*lines: str, version: str = "1.1") -> bytes:
    """A POST with these headers, too."""
    head = [
        f"POST /graphql HTTP/{version}",
        "host: localhost",
        "content-type: application/json",
        f"content-length: {len(BODY)}",
        *lines,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + BODY


async def until_closed(server: Served, *sent: bytes) -> bytes:
    """All that the server says to what is sent at once on one connection, until it closes it."""
    address = urlsplit(server.base)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(b"".join(sent))
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            return await reader.read()
    finally:
        writer.close()


def split(said: bytes) -> list[bytes]:
    """Answers one by one, without what changes from one to the next."""
    return CHANGING.sub(rb"\1\2", said).split(b"HTTP/1.1 ")[1:]


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages that go through uvicorn's `send` from now on."""
    seen: list[str] = []
    send = RequestResponseCycle.send

    async def told(cycle: RequestResponseCycle, message: dict[str, object]) -> None:
        seen.append(str(message["type"]))
        await send(cycle, message)  # type: ignore[arg-type]

    monkeypatch.setattr(RequestResponseCycle, "send", told)
    return seen


async def test_an_answer_is_what_uvicorn_would_write(api_server: Served, usual: list[str]) -> None:
    """The same bytes but for `connection: close`, and nothing of them goes through uvicorn's `send`.

    The last request of a connection goes the usual way, as uvicorn then says that it closes. The three were sent at
    once: each is answered when it is its turn.
    """
    *at_once, last = split(await until_closed(api_server, request(), request(), request("connection: close")))
    assert usual == ["http.response.start", "http.response.body"]
    assert at_once == [last.replace(b"connection: close\r\n", b"")] * 2
    assert b'\r\n\r\n{"data":{"__typename":"Query"}' in last


async def test_a_refusal_is_written_at_once_too(api_server: Served, usual: list[str]) -> None:
    """A status other than 200, and the connection serves the next request."""
    wrong = request().replace(b"application/json", b"application/wrong")
    refused, right, _ = split(await until_closed(api_server, wrong, request(), request("connection: close")))
    assert refused.startswith(b"415 Unsupported Media Type\r\n")
    assert right.startswith(b"200 OK\r\n")
    assert len(usual) == 2


async def test_old_clients_are_answered_the_usual_way(api_server: Served, usual: list[str]) -> None:
    """HTTP/1.0 closes after each answer."""
    (answer,) = split(await until_closed(api_server, request(version="1.0")))
    assert b"connection: close\r\n" in answer
    assert usual == ["http.response.start", "http.response.body"]


async def test_a_reader_that_is_behind_is_waited_for(api_server: Served, usual: list[str]) -> None:
    """While the connection takes no more, answers wait in uvicorn's `send`; every one arrives, whole."""
    names = " ".join(f"{'x' * 200}{number}: __typename" for number in range(25))
    body = b'{"query": "{ %s }"}' % names.encode()
    one = request().replace(f"length: {len(BODY)}".encode(), f"length: {len(body)}".encode()).replace(BODY, body)
    many = 2_000  # 11 MB: more than all buffers between the two hold
    address = urlsplit(api_server.base)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1024)
    writer.write(one * many + request("connection: close"))
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not usual:  # noqa: ASYNC110 - the server is here, and has no event for it
                await asyncio.sleep(0.01)
            said = await reader.read(-1)
    finally:
        writer.close()
    answers = split(said)
    assert len(answers) == many + 1
    assert len(set(answers[:-1])) == 1
    assert b'"data"' in answers[0]
    assert len(usual) > 2, "the server never had to wait"
