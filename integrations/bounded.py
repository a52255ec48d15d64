"""Responses of a model's server, with a bound on their bytes."""

from collections.abc import AsyncIterator

import httpx2

from integrations.event_stream import MAX_STREAM_BYTES, StreamTooLarge


async def bound(response: httpx2.Response) -> None:
    """Let no response be longer than a chat completion can be, also one that is an error or was compressed."""
    # Nobody asked for compression, which could make a thousand bytes of one: what comes is read as it is.
    response.headers.pop("content-encoding", None)
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = Bounded(response.stream)


class Bounded(httpx2.AsyncByteStream):
    """The bytes of a response. Raises `StreamTooLarge` when there are too many."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self.stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes as they come."""
        size = 0
        async for part in self.stream:
            size += len(part)
            if size > MAX_STREAM_BYTES:
                raise StreamTooLarge
            yield part

    async def aclose(self) -> None:
        """Close the connection."""
        await self.stream.aclose()
