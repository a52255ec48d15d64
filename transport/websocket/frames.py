"""Prepared WebSocket frames, written straight to the transport.

This module is the only one that uses uvicorn's private WebSocket protocol. The server offers the ASGI extension
`nudge.frames` with one function, `write(frame) -> bool`. Any other server does not, and messages are sent by ASGI as
usual. `tests/realtime/test_frames.py` fails when uvicorn's protocol changes.
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

FrameWriter: TypeAlias = Callable[[bytes], bool]


def text_frame(text: bytes) -> bytes:
    """The frame of a whole text message from a server: final, not masked (RFC 6455, 5.2)."""
    size = len(text)
    if size < SHORT:
        return bytes((FINAL_TEXT, size)) + text
    if size < MEDIUM:
        return bytes((FINAL_TEXT, SHORT)) + size.to_bytes(2, "big") + text
    return bytes((FINAL_TEXT, SHORT + 1)) + size.to_bytes(8, "big") + text


def frame_writer(scope: Scope) -> FrameWriter | None:
    """The function that writes a frame to a scope's connection; None where the server does not offer it."""
    extensions: MutableMapping[str, Any] = scope.get("extensions") or {}
    offered = extensions.get(EXTENSION)
    return offered["write"] if offered else None


class FrameProtocol(WebSocketsSansIOProtocol):
    """Uvicorn's WebSocket protocol with the `nudge.frames` extension."""

    write_paused = False

    def connection_made(self, transport: BaseTransport) -> None:
        """Take over from uvicorn's HTTP protocol, and break the reference cycle between it and its parser."""
        before = cast("Transport", transport).get_protocol()
        super().connection_made(transport)
        if isinstance(before, HttpToolsProtocol):
            before.parser = None  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        """Break reference cycles: the parser of `websockets` is a generator that refers to its connection."""
        super().connection_lost(exc)
        self.conn.parser.close()
        self.conn.parser_exc = None

    async def run_asgi(self) -> None:
        """Serve the connection with the extension in its scope."""
        extensions = self.scope["extensions"] or {}
        extensions[EXTENSION] = {"write": self.write_frame}
        try:
            await super().run_asgi()
        finally:
            del extensions[EXTENSION]  # otherwise a reference cycle keeps this connection until garbage collection

    def write_frame(self, frame: bytes) -> bool:
        """Write a frame at once. False, with nothing written, if writing is paused or the connection closes."""
        transport = self.transport
        if self.write_paused or self.close_sent or transport.is_closing():
            return False
        transport.write(frame)
        return True

    def pause_writing(self) -> None:
        """Refuse frames while the transport's buffer is above its high-water mark."""
        self.write_paused = True
        super().pause_writing()

    def resume_writing(self) -> None:
        """Accept frames again."""
        self.write_paused = False
        super().resume_writing()
