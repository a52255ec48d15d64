"""A reply of the model: text, tool calls or an error, and its parts in a stream."""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import orjson

from sandbox.openrouter.checking import ChatRequest, refused
from sandbox.wire import JsonObject

PROMPT_PRICE, COMPLETION_PRICE = 0.000_000_5, 0.000_001_5
LETTERS_PER_TOKEN = 4
WORD = re.compile(r"\s*\S+\s*")
FRAGMENT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool call; its arguments may be invalid JSON."""

    name: str
    arguments: str
    call_id: str = field(default_factory=lambda: f"call_{secrets.token_hex(12)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply. `error` (code and message) ends it, after the `text`, if any."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    error: tuple[int, str] | None = None
    finish_reason: str | None = None

    def ending(self) -> str:
        """The finish reason."""
        return self.finish_reason or ("tool_calls" if self.tool_calls else "stop")


def scripted(turn: object) -> Reply:
    """The reply of a test's script: a text, or `{text, tool_calls: [{name, arguments}], error, finish_reason}`."""
    if isinstance(turn, str):
        return Reply(text=turn)
    if not isinstance(turn, dict):
        raise refused(400, "A scripted turn must be a string or an object.")
    calls = turn.get("tool_calls", [])
    error = turn.get("error")
    finish_reason = turn.get("finish_reason")
    return Reply(
        text=str(turn.get("text", "")),
        tool_calls=tuple(_call(call) for call in calls if isinstance(call, dict)) if isinstance(calls, list) else (),
        error=(int(error.get("code", 502)), str(error.get("message", "Scripted error.")))
        if isinstance(error, dict)
        else None,
        finish_reason=str(finish_reason) if finish_reason else None,
    )


def _call(call: JsonObject) -> ToolCall:
    arguments = call.get("arguments", {})
    text = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
    name = str(call.get("name", ""))
    return (
        ToolCall(name=name, arguments=text, call_id=str(call["id"]))
        if "id" in call
        else ToolCall(name=name, arguments=text)
    )


def shortened(reply: Reply, max_tokens: int | None) -> Reply:
    """The reply cut at `max_tokens`; each word counts as a token."""
    words = WORD.findall(reply.text)
    if max_tokens is None or len(words) <= max_tokens:
        return reply
    return replace(reply, text="".join(words[:max_tokens]), tool_calls=(), finish_reason="length")


def deltas(reply: Reply) -> Iterator[JsonObject]:
    """The reply word by word, then each tool call in fragments."""
    for word in WORD.findall(reply.text):
        yield {"role": "assistant", "content": word}
    for index, call in enumerate(reply.tool_calls):
        head = {"index": index, "id": call.call_id, "type": "function"}
        yield _fragment({**head, "function": {"name": call.name, "arguments": ""}})
        for start in range(0, len(call.arguments), FRAGMENT):
            part = call.arguments[start : start + FRAGMENT]
            yield _fragment({"index": index, "function": {"arguments": part}})


def _fragment(call: JsonObject) -> JsonObject:
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def whole(reply: Reply) -> JsonObject:
    """The reply as one message."""
    message: JsonObject = {"role": "assistant", "content": reply.text or None, "refusal": None}
    if reply.tool_calls:
        message["tool_calls"] = [
            {
                "index": index,
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for index, call in enumerate(reply.tool_calls)
        ]
    return message


def usage(request: ChatRequest, reply: Reply) -> JsonObject:
    """The estimated tokens and the cost in dollars."""
    prompt = 8 + sum(len(orjson.dumps(message)) for message in request.messages) // LETTERS_PER_TOKEN
    written = len(WORD.findall(reply.text)) + sum(
        len(call.arguments) // LETTERS_PER_TOKEN + 8 for call in reply.tool_calls
    )
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "cost": round(prompt * PROMPT_PRICE + written * COMPLETION_PRICE, 9),
        "is_byok": False,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
