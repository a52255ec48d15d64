import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.wire import ConnectionCut, InterruptibleStream
from tests.sandbox.conftest import serving


@asynccontextmanager
async def garbled(
    body: bytes, headers: Mapping[str, str] | None = None, *, status: int = 200, then: bytes | None = None
) -> AsyncIterator[str]:
    """A server that responds to every chat completion with these bytes as its event stream; yields its base URL.

    `then` is repeated endlessly; if it is empty, the connection stays open without data. With a `content-length`
    header the connection is closed after the bytes.
    """
    silence = asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield body
        while then:
            await asyncio.sleep(0.001)
            yield then
        if then is not None:
            await silence.wait()
        if headers and "content-length" in headers:
            raise ConnectionCut

    async def answer(_: Request) -> Response:
        return InterruptibleStream(parts(), status, dict(headers or {}), media_type="text/event-stream")

    async with serving(Starlette(routes=[Route("/chat/completions", answer, methods=["POST"])])) as url:
        try:
            yield url
        finally:
            silence.set()
