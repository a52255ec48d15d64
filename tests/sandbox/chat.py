"""Shared by the tests of the model: conversations, and the official SDK with the sandbox."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import orjson
from openai import AsyncOpenAI, omit

from tests.sandbox.conftest import Client, Json

if TYPE_CHECKING:
    from openai import AsyncStream
    from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam, ChatCompletionToolParam

PATH = "/api/v1/chat/completions"
COUNT: Json = {"type": "function", "function": {"name": "count_contacts"}}
HELLO: list[Json] = [{"role": "user", "content": "Hello"}]


def user(text: str) -> Json:
    """A user's message."""
    return {"role": "user", "content": text}


def tool_turn(call_id: str, name: str, result: object, arguments: str = "{}") -> list[Json]:
    """An assistant's tool call, and the tool's result."""
    call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": orjson.dumps(result).decode()},
    ]


async def ask(client: Client, messages: list[Json], **changes: object) -> Json:
    """The choice of a completion without streaming."""
    document = {"model": "vendor/model", "messages": messages, **changes}
    answer = await client.call("POST", PATH, document, Authorization="Bearer key")
    assert answer.status == 200, answer.body
    choices = answer.object()["choices"]
    assert isinstance(choices, list)
    choice: Json = choices[0]
    return choice


async def text(client: Client, messages: list[Json], **changes: object) -> str:
    """The text of a completion without streaming."""
    message = (await ask(client, messages, **changes))["message"]
    assert isinstance(message, dict)
    return str(message["content"])


def sdk(client: Client, key: str = "key") -> AsyncOpenAI:
    """The official SDK with the sandbox."""
    return AsyncOpenAI(base_url=f"{client.url}/api/v1", api_key=key, max_retries=0)


async def opened(
    client: AsyncOpenAI, messages: list[Json], tools: list[Json] | None = None
) -> "AsyncStream[ChatCompletionChunk]":
    """A stream opened with the official SDK."""
    return await client.chat.completions.create(
        model="vendor/model",
        messages=cast("list[ChatCompletionMessageParam]", messages),
        tools=cast("list[ChatCompletionToolParam]", tools) if tools else omit,
        stream=True,
    )


def join_chunks(chunks: Iterable["ChatCompletionChunk"]) -> tuple[str, dict[int, tuple[str, str]]]:
    """The text and the tool calls (name, arguments) of a stream."""
    text, calls = "", dict[int, tuple[str, str]]()
    for chunk in chunks:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            for part in choice.delta.tool_calls or []:
                name, arguments = calls.get(part.index, ("", ""))
                function = part.function
                assert function is not None
                calls[part.index] = (name + (function.name or ""), arguments + (function.arguments or ""))
    return text, calls
