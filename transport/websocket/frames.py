"""Prepared websocket frames, written straight to the connection: all that we take for granted of uvicorn's protocol.

A server offers the ASGI extension `nudge.frames` with one function, `write(frame) -> bool`. Where it does not, as
any other server, messages go the usual way. `tests/realtime/test_frames.py` fails when uvicorn is no longer as here.
"""

from asyncio import BaseTransport, Transport
from collections.abc import Callable, MutableMapping
from typing import Any, TypeAlias, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

EXTENSION = "nudge.frames"
FINAL_TEXT = 0x81
SHORT = 126
MEDIUM = 1 << 16

Write: TypeAlias = Callable[[bytes], bool]


def text_frame(text: bytes) -> bytes:
    """A whole text message as a server sends it: final, not masked (RFC 6455, 5.2)."""
    size = len(text)
    if size < SHORT:
        return bytes((FINAL_TEXT, size)) + text
    if size < MEDIUM:
        return bytes((FINAL_TEXT, SHORT)) + size.to_bytes(2, "big") + text
    return bytes((FINAL_TEXT, SHORT + 1)) + size.to_bytes(8, "big") + text


def writer(scope: Scope) -> Write | None:
    """The function that writes a frame to the connection of a scope, where the server has one."""
    extensions: MutableMapping[str, Any] = scope.get("extensions") or {}
    offered = extensions.get(EXTENSION)
    return offered["write"] if offered else None


class FrameProtocol(WebSocketsSansIOProtocol):
    """Uvicorn's websocket, with the extension."""

    full = False

    def connection_made(self, transport: BaseTransport) -> None:
        """Take the connection over from uvicorn's HTTP, which would keep its parser, and that keep it."""
        before = cast("Transport", transport).get_protocol()
        super().connection_made(transport)
        if isinstance(before, HttpToolsProtocol):
            before.parser = None  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end, and take apart what refers to itself: websockets' parser is a generator of its connection."""
        super().connection_lost(exc)
        self.conn.parser.close()
        self.conn.parser_exc = None

    async def run_asgi(self) -> None:
        """Serve the connection, offering to write its frames."""
        extensions = self.scope["extensions"] or {}
        extensions[EXTENSION] = {"write": self.write_frame}
        try:
            await super().run_asgi()
        finally:
            del extensions[EXTENSION]  # it refers to this connection, which would wait for the collector

    def write_frame(self, frame: bytes) -> bool:
        """Write a frame at once. False when it has to wait, or the connection closes: then nothing was written."""
        transport = self.transport
        if self.full or self.close_sent or transport.is_closing():
            return False
        transport.write(frame)
        return True

    def pause_writing(self) -> None:
        """Note that the connection takes no more for now."""
        self.full = True
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that it does again."""
        self.full = False
        super().resume_writing()
