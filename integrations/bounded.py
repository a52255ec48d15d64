"""A size limit for the responses of a model's server."""

from collections.abc import AsyncIterator

import httpx2

from integrations.event_stream import MAX_STREAM_BYTES, StreamTooLarge


async def limit_size(response: httpx2.Response) -> None:
    """Limit a response to the size of the largest chat completion, errors included. A hook of httpx."""
    # We do not request compression, and do not decompress: a small response could become a very large one.
    response.headers.pop("content-encoding", None)
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = LimitedStream(response.stream)


class LimitedStream(httpx2.AsyncByteStream):
    """The bytes of a response. Raises `StreamTooLarge` beyond the limit."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self.stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes as they arrive."""
        size = 0
        async for part in self.stream:
            size += len(part)
            if size > MAX_STREAM_BYTES:
                raise StreamTooLarge
            yield part

    async def aclose(self) -> None:
        """Close the connection."""
        await self.stream.aclose()
