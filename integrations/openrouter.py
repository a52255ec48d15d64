"""OpenRouter, or any server with OpenAI's chat completions API, through the official SDK. One attempt per call."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from cancellation.deadlines import deadline
from core.telemetry import describe_error, logger
from integrations.completions import Completion, failure
from integrations.event_stream import EventStream, Mark, StreamTooLarge
from integrations.language import (
    ModelFailed,
    ModelTimedOut,
    ModelUnavailable,
    Prompt,
    PromptMessage,
    ReplyPiece,
    TextPiece,
    Tool,
)

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_CONNECT_SECONDS: Final = 5.0
# How long to wait for the usage after the end of the reply.
_USAGE_SECONDS: Final = 5.0
log = logger(__name__)


class OpenRouter:
    """A server of chat completions. `stall_seconds` is the timeout between two parts of a stream."""

    def __init__(self, *, base_url: str, api_key: str, stall_seconds: float = 20.0) -> None:
        self.base_url = base_url
        self.api_key = api_key
        self.stall_seconds = stall_seconds
        self.opened: AsyncOpenAI | None = None

    async def client(self) -> "AsyncOpenAI":
        """The SDK's client, created on first use. The SDK is imported in a thread, as that takes half a second."""
        if self.opened is None:
            await asyncio.to_thread(import_module, "openai")
        return self.open()

    def open(self) -> "AsyncOpenAI":
        """Create the client, if it was not created before."""
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

        from integrations.bounded import limit_size

        if self.opened is None:
            self.opened = AsyncOpenAI(
                base_url=self.base_url,
                api_key=self.api_key,
                max_retries=0,
                timeout=Timeout(self.stall_seconds, connect=_CONNECT_SECONDS),
                default_headers={"accept-encoding": "identity"},
                # A redirect would send the conversation and the key to an address that is not configured.
                http_client=DefaultAsyncHttpxClient(follow_redirects=False, event_hooks={"response": [limit_size]}),
            )
        return self.opened

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ReplyPiece, None]:
        """Text and usage as they arrive, then one `ReplyEnd`. Raises `ModelFailed`."""
        completion = Completion(prompt.models[0], {tool.name for tool in prompt.tools})
        used = completion.used
        client = await self.client()
        try:
            async with failures(), aclosing(events(client, body(prompt), completion)) as received:
                async for event in received:
                    if text := completion.add_chunk(event):
                        yield TextPiece(text)
                    if completion.used != used:
                        used = completion.used
                        yield used
        except ModelFailed as error:
            if not completion.is_finished:
                raise
            log.info("model's stream failed after the end of the reply", reason=describe_error(error))
        yield completion.ended()

    async def aclose(self) -> None:
        """Close the connections, if any were opened."""
        if self.opened is not None:
            await self.opened.close()


async def events(
    client: "AsyncOpenAI", request: dict[str, Any], completion: Completion
) -> AsyncGenerator[object, None]:
    """The server's events, up to the end marker or, after the end of the reply, for a few seconds more."""
    clock = asyncio.get_running_loop().time
    source, ends = EventStream(), math.inf
    async with client.chat.completions.with_streaming_response.create(**request) as response:
        parts = response.iter_bytes()
        while not completion.is_done and clock() < ends and (part := await _next_part(parts, ends - clock())):
            for event in source.feed(part):
                if event is Mark.DONE:
                    completion.is_done = True
                    break
                yield event
                ends = clock() + _USAGE_SECONDS if completion.is_finished else math.inf
    for event in source.finish():
        if not completion.is_done:
            yield event
    if source.unreadable:
        log.warning("model's stream had events that are not JSON", model=completion.model, events=source.unreadable)


async def _next_part(parts: AsyncIterator[bytes], seconds: float) -> bytes:
    """The next bytes; empty at the end of the stream, or when the time is up."""
    limit = None if seconds == math.inf else seconds
    try:
        async with deadline(limit):
            async for part in parts:
                if part:
                    return part
    except TimeoutError:
        if limit is None:
            raise
    return b""


@asynccontextmanager
async def failures() -> AsyncIterator[None]:
    """Raise the SDK's errors as our own, which contain neither the prompt nor the key."""
    import httpx2
    import openai

    try:
        yield
    except openai.APITimeoutError as error:
        raise ModelTimedOut("The model did not respond in time.") from error
    except openai.APIConnectionError as error:
        raise ModelUnavailable("The connection to the model was lost.") from error
    except openai.APIStatusError as error:
        raise failure(error.status_code) from error
    except StreamTooLarge as error:
        raise ModelUnavailable("The model's server sent too much data.") from error
    except httpx2.TimeoutException as error:
        raise ModelTimedOut("The model did not respond in time.") from error
    except (openai.APIError, httpx2.HTTPError) as error:
        raise ModelUnavailable("The connection to the model was lost.") from error


def body(prompt: Prompt) -> dict[str, Any]:
    """The arguments of the SDK's call."""
    request: dict[str, Any] = {
        "model": prompt.models[0],
        "messages": [_encode_message(message) for message in prompt.messages],
        "max_tokens": prompt.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if prompt.tools:
        request["tools"] = [_encode_tool(tool) for tool in prompt.tools]
    if len(prompt.models) > 1:
        request["extra_body"] = {"models": list(prompt.models)}
    return request


def _encode_message(message: PromptMessage) -> dict[str, Any]:
    """A message in the format of the API."""
    encoded: dict[str, Any] = {"role": str(message.role), "content": message.text}
    if message.calls:
        encoded["content"] = message.text or None
        encoded["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.calls
        ]
    if message.call_id is not None:
        encoded["tool_call_id"] = message.call_id
    return encoded


def _encode_tool(tool: Tool) -> dict[str, Any]:
    """A tool in the format of the API."""
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "strict": True,
            "parameters": dict(tool.parameters),
        },
    }
