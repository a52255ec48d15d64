"""A bare WebSocket client that sends any message, valid or not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from tests.serving import Served
from tests.waiting import WAIT_SECONDS

PROTOCOL = "graphql-transport-ws"


@dataclass(frozen=True, slots=True)
class Socket:
    """An open WebSocket."""

    raw: aiohttp.ClientWebSocketResponse

    async def send(self, message: object) -> None:
        """Send a value as JSON."""
        await self.raw.send_str(orjson.dumps(message).decode())

    async def init(self, token: str | None) -> None:
        """Send connection_init with a token, or without one."""
        await self.send({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"} if token else {}})

    async def ready(self, token: str) -> None:
        """Authenticate, and wait for the acknowledgement."""
        await self.init(token)
        assert (await self.next())["type"] == "connection_ack"

    async def subscribe(self, query: str, identifier: str = "1", **payload: object) -> None:
        """Start an operation."""
        await self.send({"id": identifier, "type": "subscribe", "payload": {"query": query, **payload}})

    async def next(self, within: float = WAIT_SECONDS) -> dict[str, Any]:
        """The server's next message."""
        message = await self.raw.receive(within)
        assert message.type is aiohttp.WSMsgType.TEXT, (message.type, self.raw.close_code, message.extra)
        document: dict[str, Any] = orjson.loads(message.data)
        return document

    async def closed(self, within: float = WAIT_SECONDS) -> tuple[int | None, str]:
        """The code and the reason of the server's close; skips messages before it."""
        async with asyncio.timeout(within):
            while True:
                message = await self.raw.receive()
                if message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING}:
                    return self.raw.close_code, str(message.extra or "")


@asynccontextmanager
async def connected(server: Served, *, protocol: str | None = PROTOCOL) -> AsyncIterator[Socket]:
    """A WebSocket to the server, not yet authenticated."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(server.websocket_url, protocols=[protocol] if protocol else [], max_msg_size=0) as raw,
    ):
        yield Socket(raw)


async def settles(condition: Any, within: float = WAIT_SECONDS) -> None:  # noqa: ANN401 - a function without arguments
    """Wait until a condition is true; fail when it is not within the limit."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - the condition has no event
            await asyncio.sleep(0.01)
