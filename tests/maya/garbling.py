from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.sandbox.conftest import serving


@asynccontextmanager
async def garbled(body: bytes) -> AsyncIterator[str]:
    """A server that answers every chat completion with these bytes as its event stream; its base URL."""

    async def answer(_: Request) -> Response:
        return Response(body, media_type="text/event-stream")

    async with serving(Starlette(routes=[Route("/chat/completions", answer, methods=["POST"])])) as url:
        yield url
