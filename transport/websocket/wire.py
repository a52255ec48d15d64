"""A websocket as Strawberry's protocol handler wants it, with a limit on how long a reader may keep us waiting."""

from collections.abc import AsyncGenerator, Callable, Mapping

import orjson
from starlette.types import Receive, Send
from strawberry.http.exceptions import NonJsonMessageReceived, NonTextMessageReceived, WebSocketDisconnected

from cancellation.deadlines import deadline
from transport.http.endpoint import plain

TOO_SLOW = 1013
MAX_REASON_BYTES = 123  # RFC 6455, 5.5.1: what a close frame has beside its code


class Wire:
    """One accepted websocket. Once it has closed, sending raises `WebSocketDisconnected`.

    `write` is the server's for prepared frames, see `frames`, where it has one.
    """

    def __init__(
        self, receive: Receive, send: Send, *, send_timeout: float, write: Callable[[bytes], bool] | None = None
    ) -> None:
        self.receive = receive
        self.send = send
        self.send_timeout = send_timeout
        self.write = write
        self.closed = False

    async def iter_json(self) -> AsyncGenerator[object, None]:
        """The client's messages until it leaves; raises Strawberry's errors for what is no JSON text."""
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
        """Send a message. A reader that does not take it within the limit is closed with 1013."""
        await self.send_text(orjson.dumps(message, default=plain).decode())

    async def send_text(self, text: str) -> None:
        """Send a message that is JSON already, as `send_json` does."""
        if self.closed:
            raise WebSocketDisconnected
        try:
            async with deadline(self.send_timeout):
                await self.send({"type": "websocket.send", "text": text})
        except TimeoutError:
            await self.close(TOO_SLOW, "Too slow: messages wait for you")
            raise WebSocketDisconnected from None
        except OSError:
            self.closed = True
            raise WebSocketDisconnected from None

    async def close(self, code: int, reason: str) -> None:
        """Close the socket; a socket that has closed stays as it is."""
        if self.closed:
            return
        self.closed = True
        try:
            await self.send({"type": "websocket.close", "code": code, "reason": cut(reason)})
        except OSError:
            return  # the client was quicker


def cut(reason: str) -> str:
    """A reason that fits into a close frame."""
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
