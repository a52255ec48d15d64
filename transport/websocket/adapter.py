"""A WebSocket with the interface of Strawberry's protocol handler, and a timeout for each message sent."""

from collections.abc import AsyncGenerator, Callable, Mapping

import orjson
from starlette.types import Receive, Send
from strawberry.http.exceptions import NonJsonMessageReceived, NonTextMessageReceived, WebSocketDisconnected

from cancellation.deadlines import deadline
from transport.http.endpoint import json_default

TOO_SLOW = 1013
MAX_REASON_BYTES = 123  # RFC 6455, 5.5: 125 bytes, less two for the code


class WebSocketAdapter:
    """One accepted WebSocket connection. Once it has closed, sending raises `WebSocketDisconnected`.

    `write_frame` writes a prepared frame, see `frames`; None where the server does not offer that.
    """

    def __init__(
        self, receive: Receive, send: Send, *, send_timeout: float, write_frame: Callable[[bytes], bool] | None = None
    ) -> None:
        self.receive = receive
        self.send = send
        self.send_timeout = send_timeout
        self.write_frame = write_frame
        self.closed = False

    async def iter_json(self) -> AsyncGenerator[object, None]:
        """The client's messages until it disconnects; raises Strawberry's errors for one that is not JSON text."""
        while not self.closed:
            message = await self.receive()
            if message["type"] == "websocket.disconnect":
                self.closed = True
                return
            text = message.get("text")
            if text is None:
                raise NonTextMessageReceived
            try:
                document = orjson.loads(text)
            except orjson.JSONDecodeError:
                raise NonJsonMessageReceived from None
            yield document

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send a message; close the connection with 1013 when the client does not take it within the timeout."""
        await self.send_text(orjson.dumps(message, default=json_default).decode())

    async def send_text(self, text: str) -> None:
        """Send a message that is JSON text already, as `send_json` does."""
        if self.closed:
            raise WebSocketDisconnected
        try:
            async with deadline(self.send_timeout):
                await self.send({"type": "websocket.send", "text": text})
        except TimeoutError:
            await self.close(TOO_SLOW, "Too slow: unread messages are waiting")
            raise WebSocketDisconnected from None
        except OSError:
            self.closed = True
            raise WebSocketDisconnected from None

    async def close(self, code: int, reason: str) -> None:
        """Close the connection, unless it has closed already."""
        if self.closed:
            return
        self.closed = True
        try:
            await self.send({"type": "websocket.close", "code": code, "reason": _truncated(reason)})
        except OSError:
            return  # the client closed it first


def _truncated(reason: str) -> str:
    """A reason that fits into a close frame."""
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
