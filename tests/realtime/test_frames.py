"""Prepared WebSocket frames, and the parts of uvicorn that they rely on."""

import asyncio

import pytest
import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from transport.websocket.frames import EXTENSION, FrameProtocol, frame_writer, text_frame


def parse_frame(data: bytes) -> Frame:
    """A frame as a client parses it; no bytes may be left over."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    steps = Frame.parse(reader.read_exact, mask=False, max_size=None)
    try:
        next(steps)
    except StopIteration as stop:
        frame: Frame = stop.value
        assert list(reader.read_to_eof(1)) == []
        return frame
    raise AssertionError("the frame is incomplete")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000])
def test_frames_are_read_by_a_client(size: int) -> None:
    """Headers of every length are as in the protocol."""
    frame = parse_frame(text_frame(b"x" * size))
    assert (frame.opcode, frame.fin, frame.data) == (Opcode.TEXT, True, b"x" * size)
    assert (frame.rsv1, frame.rsv2, frame.rsv3) == (False, False, False)


async def application(scope: object, receive: object, send: object) -> None:
    """An application that does nothing."""


class RecordingTransport(asyncio.Transport):
    """A transport that stores the data written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Store the data."""
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        """The value that the test has set."""
        return self.closing


async def test_frames_are_written_only_when_uvicorn_would_write() -> None:
    """A frame is written if uvicorn would write immediately, never while it waits for the buffer or closes."""
    config = uvicorn.Config(application, ws=FrameProtocol, log_config=None)
    config.load()
    protocol = FrameProtocol(config, ServerState(), {})
    assert isinstance(protocol, WebSocketsSansIOProtocol)
    transport = protocol.transport = RecordingTransport()
    assert protocol.write_frame(b"first")
    protocol.pause_writing()
    assert not protocol.write_frame(b"while the buffer is full")
    protocol.resume_writing()
    assert protocol.write_frame(b"second")
    protocol.close_sent = True
    assert not protocol.write_frame(b"after our close")
    protocol.close_sent = False
    transport.closing = True
    assert not protocol.write_frame(b"after the client's")
    assert transport.written == [b"first", b"second"]


def test_the_extension_is_found_only_if_the_server_offers_it() -> None:
    """A scope of another server does not have it."""
    assert frame_writer({"type": "websocket"}) is None
    assert frame_writer({"type": "websocket", "extensions": None}) is None
    assert frame_writer({"type": "websocket", "extensions": {"websocket.http.response": {}}}) is None
    assert frame_writer({"type": "websocket", "extensions": {EXTENSION: {"write": bool}}}) is bool
