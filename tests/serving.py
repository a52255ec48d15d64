"""The application in a real HTTP server, in this process and on a free port."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import strawberry

from app import Application, Server, build_on
from runtime import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running server."""

    application: Application
    base: str

    @property
    def url(self) -> str:
        """The GraphQL endpoint."""
        return f"{self.base}/graphql"

    @property
    def websocket_url(self) -> str:
        """The GraphQL endpoint for WebSockets."""
        return self.url.replace("http://", "ws://")


@asynccontextmanager
async def served(runtime: Runtime, schema: strawberry.Schema | None = None) -> AsyncIterator[Served]:
    """Serve a runtime until the block ends. The runtime stays open."""
    application = build_on(runtime, schema)
    server = Server(application)
    listener = socket.create_server(("127.0.0.1", 0))
    task = asyncio.create_task(server.serve(sockets=[listener]), name="api")
    while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    if task.done():
        task.result()
        raise RuntimeError("the server did not start")
    try:
        yield Served(application=application, base=f"http://127.0.0.1:{listener.getsockname()[1]}")
    finally:
        server.should_exit = True
        await task
