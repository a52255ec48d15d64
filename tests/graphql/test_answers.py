"""Responses in one write, and what this relies on in uvicorn's private protocol."""

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
    """A POST, with these headers in addition."""
    head = [
        f"POST /graphql HTTP/{version}",
        "host: localhost",
        "content-type: application/json",
        f"content-length: {len(BODY)}",
        *lines,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + BODY


async def read_until_closed(server: Served, *sent: bytes) -> bytes:
    """Everything that the server sends after these bytes, until it closes the connection."""
    address = urlsplit(server.base)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(b"".join(sent))
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            return await reader.read()
    finally:
        writer.close()


def split_responses(data: bytes) -> list[bytes]:
    """The single responses, without the parts that differ from one to the next."""
    return CHANGING.sub(rb"\1\2", data).split(b"HTTP/1.1 ")[1:]


@pytest.fixture
def asgi_messages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages that go through uvicorn's `send` from now on."""
    message_types: list[str] = []
    send = RequestResponseCycle.send

    async def recorded(cycle: RequestResponseCycle, message: dict[str, object]) -> None:
        message_types.append(str(message["type"]))
        await send(cycle, message)  # type: ignore[arg-type]

    monkeypatch.setattr(RequestResponseCycle, "send", recorded)
    return message_types


async def test_a_response_has_the_bytes_that_uvicorn_would_write(
    api_server: Served, asgi_messages: list[str]
) -> None:
    """The same bytes except for `connection: close`, and without a call of uvicorn's `send`.

    Uvicorn sends the last response of a connection and adds that header. The three requests were sent at once;
    responses keep their order.
    """
    *at_once, last = split_responses(
        await read_until_closed(api_server, request(), request(), request("connection: close"))
    )
    assert asgi_messages == ["http.response.start", "http.response.body"]
    assert at_once == [last.replace(b"connection: close\r\n", b"")] * 2
    assert b'\r\n\r\n{"data":{"__typename":"Query"}' in last


async def test_an_error_response_is_written_at_once(api_server: Served, asgi_messages: list[str]) -> None:
    """A status other than 200; the connection serves the next request."""
    wrong = request().replace(b"application/json", b"application/wrong")
    unsupported, right, _ = split_responses(
        await read_until_closed(api_server, wrong, request(), request("connection: close"))
    )
    assert unsupported.startswith(b"415 Unsupported Media Type\r\n")
    assert right.startswith(b"200 OK\r\n")
    assert len(asgi_messages) == 2


async def test_http_1_0_is_answered_by_asgi(api_server: Served, asgi_messages: list[str]) -> None:
    """HTTP/1.0 closes after each response."""
    (answer,) = split_responses(await read_until_closed(api_server, request(version="1.0")))
    assert b"connection: close\r\n" in answer
    assert asgi_messages == ["http.response.start", "http.response.body"]


async def test_responses_wait_for_a_slow_reader(api_server: Served, asgi_messages: list[str]) -> None:
    """While the transport is paused, responses wait in uvicorn's `send`; every one arrives complete."""
    names = " ".join(f"{'x' * 200}{number}: __typename" for number in range(25))
    body = b'{"query": "{ %s }"}' % names.encode()
    one = request().replace(f"length: {len(BODY)}".encode(), f"length: {len(body)}".encode()).replace(BODY, body)
    many = 2_000  # 11 MB: more than all buffers between the two hold
    address = urlsplit(api_server.base)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1024)
    writer.write(one * many + request("connection: close"))
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not asgi_messages:  # noqa: ASYNC110 - the server is here, and has no event for it
                await asyncio.sleep(0.01)
            data = await reader.read(-1)
    finally:
        writer.close()
    answers = split_responses(data)
    assert len(answers) == many + 1
    assert len(set(answers[:-1])) == 1
    assert b'"data"' in answers[0]
    assert len(asgi_messages) > 2, "the server never had to wait"
