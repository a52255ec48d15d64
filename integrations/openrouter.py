"""OpenRouter, or any server that speaks OpenAI's chat completions, through the official SDK. One attempt a call."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from integrations.language import (
    Ended,
    ModelRefused,
    ModelTimedOut,
    ModelUnavailable,
    Piece,
    Prompt,
    Said,
    Tool,
    ToolCall,
    Utterance,
)

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletionChunk

CONNECT_SECONDS: Final = 5.0
# What a server may refuse for good: the request, the key, the credit, the content.
REFUSALS: Final = frozenset({400, 401, 402, 403, 404, 413, 422})
MOST_CALLS: Final = 64
LONGEST_ARGUMENTS: Final = 20_000
LONGEST_NAME: Final = 200


@dataclass(slots=True)
class Gathered:
    """What a stream has told so far, besides its text. A hostile one cannot make it grow without bounds."""

    model: str
    calls: dict[int, dict[str, str]] = field(default_factory=dict)
    finish: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None

    def take(self, chunk: "ChatCompletionChunk") -> str:
        """Note what a chunk tells; its text."""
        self.model = str(chunk.model or self.model)[:LONGEST_NAME]
        if chunk.usage is not None:
            self.prompt_tokens = chunk.usage.prompt_tokens or 0
            self.completion_tokens = chunk.usage.completion_tokens or 0
            cost = (chunk.usage.model_extra or {}).get("cost")
            self.cost = float(cost) if isinstance(cost, int | float) else None
        said = ""
        for choice in chunk.choices or ():
            self.finish = choice.finish_reason or self.finish
            said += choice.delta.content or ""
            for part in choice.delta.tool_calls or ():
                if part.function is not None:
                    self.note(part.index, part.id, part.function.name, part.function.arguments)
        return said

    def note(self, index: int, call_id: str | None, name: str | None, arguments: str | None) -> None:
        """Add a fragment of a tool call. What is too long is cut, and is then no JSON any more."""
        if index not in self.calls and len(self.calls) >= MOST_CALLS:
            return
        call = self.calls.setdefault(index, {"id": "", "name": "", "arguments": ""})
        call["id"] = call_id or call["id"]
        call["name"] = (call["name"] + (name or ""))[:LONGEST_NAME]
        call["arguments"] = (call["arguments"] + (arguments or ""))[:LONGEST_ARGUMENTS]

    def ended(self) -> Ended:
        """The end of the reply; raises `ModelFailed` when the stream did not come to a good one."""
        if self.finish is None:
            raise ModelUnavailable("The reply broke off.")
        if self.finish == "content_filter":
            raise ModelRefused("The provider's content filter stopped the reply.")
        if self.finish == "error":
            raise ModelUnavailable("The provider failed in the middle of the reply.")
        calls = [ToolCall(**call) for _, call in sorted(self.calls.items())]
        return Ended(calls, self.model, self.prompt_tokens, self.completion_tokens, self.cost)


class OpenRouter:
    """A server of chat completions. `stall_seconds` is the longest silence of a stream."""

    def __init__(self, *, base_url: str, api_key: str, stall_seconds: float = 20.0) -> None:
        self.base_url = base_url
        self.api_key = api_key
        self.stall_seconds = stall_seconds
        self.opened: AsyncOpenAI | None = None

    async def client(self) -> "AsyncOpenAI":
        """The SDK's client, made on first use, and imported in a thread: that takes half a second."""
        if self.opened is None:
            await asyncio.to_thread(import_module, "openai")
        return self.open()

    def open(self) -> "AsyncOpenAI":
        """The one client of this adapter."""
        from openai import AsyncOpenAI, Timeout

        if self.opened is None:
            self.opened = AsyncOpenAI(
                base_url=self.base_url,
                api_key=self.api_key,
                max_retries=0,
                timeout=Timeout(self.stall_seconds, connect=CONNECT_SECONDS),
            )
        return self.opened

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        """Pieces of text as they come, then one `Ended`. Raises `ModelFailed`."""
        gathered = Gathered(prompt.models[0])
        client = await self.client()
        async with failures():
            async with await client.chat.completions.create(**body(prompt)) as chunks:
                async for chunk in chunks:
                    if text := gathered.take(chunk):
                        yield Said(text)
            yield gathered.ended()

    async def aclose(self) -> None:
        """Close the connections, if any were opened."""
        if self.opened is not None:
            await self.opened.close()


@asynccontextmanager
async def failures() -> AsyncIterator[None]:
    """What the SDK raises, in the product's words. Neither prompt nor key are ever part of it."""
    import openai

    try:
        yield
    except openai.APITimeoutError as error:
        raise ModelTimedOut("The model was silent for too long.") from error
    except openai.APIConnectionError as error:
        raise ModelUnavailable("The connection to the model broke.") from error
    except openai.APIStatusError as error:
        raise failure(error.status_code) from error
    except openai.APIError as error:
        code = error.body.get("code") if isinstance(error.body, dict) else None
        raise failure(code if isinstance(code, int) else 0) from error
    except (ValueError, AttributeError, TypeError) as error:
        raise ModelUnavailable("The model's server sent what is no chat completion.") from error


def failure(status: int) -> ModelRefused | ModelUnavailable:
    """A status of the server, before the first token or in the middle."""
    if status in REFUSALS:
        return ModelRefused(f"The model's server refused the request ({status}).")
    return ModelUnavailable(f"The model is not available ({status or 'no status'}).")


def body(prompt: Prompt) -> dict[str, Any]:
    """The request, as the SDK takes it."""
    request: dict[str, Any] = {
        "model": prompt.models[0],
        "messages": [message(utterance) for utterance in prompt.messages],
        "max_tokens": prompt.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if prompt.tools:
        request["tools"] = [function(tool) for tool in prompt.tools]
    if len(prompt.models) > 1:
        request["extra_body"] = {"models": list(prompt.models)}
    return request


def message(utterance: Utterance) -> dict[str, Any]:
    """One message on the wire."""
    sent: dict[str, Any] = {"role": str(utterance.speaker), "content": utterance.text}
    if utterance.calls:
        sent["content"] = utterance.text or None
        sent["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in utterance.calls
        ]
    if utterance.call_id is not None:
        sent["tool_call_id"] = utterance.call_id
    return sent


def function(tool: Tool) -> dict[str, Any]:
    """A tool on the wire."""
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "strict": True,
            "parameters": dict(tool.parameters),
        },
    }
