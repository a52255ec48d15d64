"""Validation of a chat completion request, as by a strict OpenAI-compatible server."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from sandbox.wire import HttpError, JsonObject

ROLES = frozenset(("system", "developer", "user", "assistant", "tool"))
TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
CHOICES = frozenset(("none", "auto", "required"))
MAX_FALLBACKS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may call, with the JSON schema of its arguments."""

    name: str
    description: str
    parameters: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A valid request. `models` are tried in order."""

    models: tuple[str, ...]
    messages: tuple[JsonObject, ...]
    tools: tuple[Tool, ...]
    tool_choice: str
    stream: bool
    max_tokens: int | None


def refused(status: int, message: str, retry_after: int = 0) -> HttpError:
    """OpenRouter's error before the first token; `retry_after` is in seconds, 0 for no header."""
    return HttpError(status, {"error": {"code": status, "message": message}}, retry_after)


def check(body: bytes | None) -> tuple[ChatRequest, JsonObject]:
    """The request, typed and as received; raises a 400 if it is invalid."""
    try:
        document = orjson.loads(body or b"")
    except orjson.JSONDecodeError as error:
        raise refused(400, f"The body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise refused(400, "The body must be a JSON object.")
    tools = _tools(document.get("tools"))
    request = ChatRequest(
        models=_models(document),
        messages=_messages(document.get("messages")),
        tools=tools,
        tool_choice=_tool_choice(document.get("tool_choice"), tools),
        stream=_flag(document, "stream"),
        max_tokens=_limit(document),
    )
    return request, document


def _models(document: Mapping[str, object]) -> tuple[str, ...]:
    model, fallbacks = document.get("model"), document.get("models", [])
    if model is not None and not isinstance(model, str):
        raise refused(400, "'model' must be a string.")
    if not isinstance(fallbacks, list) or not all(isinstance(name, str) and name for name in fallbacks):
        raise refused(400, "'models' must be an array of strings.")
    if len(fallbacks) > MAX_FALLBACKS:
        raise refused(400, f"'models' holds at most {MAX_FALLBACKS} names.")
    names = tuple(dict.fromkeys([*([model] if model else []), *fallbacks]))
    if not names:
        raise refused(400, "No models provided.")
    return names


def _messages(value: object) -> tuple[JsonObject, ...]:
    if not isinstance(value, list) or not value:
        raise refused(400, "'messages' must be a non-empty array.")
    open_calls: set[str] = set()
    for position, message in enumerate(value):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise refused(400, f"messages[{position}] needs a role of {', '.join(sorted(ROLES))}.")
        role = message["role"]
        if role == "tool":
            _close_call(position, message, open_calls)
        elif open_calls:
            raise refused(400, f"messages[{position}]: tool calls {sorted(open_calls)} have no tool message yet.")
        if role == "assistant" and message.get("tool_calls"):
            open_calls = _calls(position, message["tool_calls"])
        else:
            _content(position, message.get("content"))
    if open_calls:
        raise refused(400, f"Tool calls {sorted(open_calls)} have no tool message.")
    return tuple(value)


def _close_call(position: int, message: Mapping[str, object], open_calls: set[str]) -> None:
    call_id = message.get("tool_call_id")
    if not isinstance(call_id, str) or call_id not in open_calls:
        raise refused(400, f"messages[{position}]: tool_call_id {call_id!r} answers no preceding tool call.")
    open_calls.remove(call_id)


def _calls(position: int, value: object) -> set[str]:
    if not isinstance(value, list):
        raise refused(400, f"messages[{position}].tool_calls must be an array.")
    ids: set[str] = set()
    for call in value:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or call.get("type") != "function" or not isinstance(call.get("id"), str):
            raise refused(400, f"messages[{position}].tool_calls: each needs id, type 'function' and function.")
        if not isinstance(function.get("name"), str) or not isinstance(function.get("arguments"), str):
            raise refused(400, f"messages[{position}].tool_calls: name and arguments must be strings.")
        if call["id"] in ids:
            raise refused(400, f"messages[{position}].tool_calls: id {call['id']!r} twice.")
        ids.add(call["id"])
    return ids


def _content(position: int, content: object) -> None:
    if isinstance(content, str):
        return
    if not isinstance(content, list) or not content:
        raise refused(400, f"messages[{position}].content must be a string or an array of parts.")
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise refused(400, f"messages[{position}].content: only text parts are supported here.")


def text_of(message: Mapping[str, object]) -> str:
    """The text of a message, with its parts joined."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)
    return str(content or "")


def _tools(value: object) -> tuple[Tool, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not value:
        raise refused(400, "'tools' must be a non-empty array.")
    tools = tuple(_tool(position, entry) for position, entry in enumerate(value))
    if len({tool.name for tool in tools}) != len(tools):
        raise refused(400, "'tools' names a function twice.")
    return tools


def _tool(position: int, entry: object) -> Tool:
    function = entry.get("function") if isinstance(entry, dict) and entry.get("type") == "function" else None
    if not isinstance(function, dict):
        raise refused(400, f"tools[{position}] needs type 'function' and function.")
    name, description = function.get("name"), function.get("description", "")
    if not isinstance(name, str) or not TOOL_NAME.fullmatch(name) or not isinstance(description, str):
        raise refused(400, f"tools[{position}].function: invalid name or description.")
    parameters = function.get("parameters", {"type": "object", "properties": {}})
    if not isinstance(parameters, dict) or parameters.get("type") != "object":
        raise refused(400, f"tools[{position}].function.parameters must be a schema of type 'object'.")
    properties, required = parameters.get("properties", {}), parameters.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list) or not set(required) <= set(properties):
        raise refused(400, f"tools[{position}].function.parameters: 'required' must name 'properties'.")
    if function.get("strict") is True and (
        parameters.get("additionalProperties") is not False or set(required) != set(properties)
    ):
        raise refused(400, f"tools[{position}] is strict: close the schema and require every property.")
    return Tool(name=name, description=description, parameters=parameters)


def _tool_choice(value: object, tools: Sequence[Tool]) -> str:
    if value is None:
        return "auto"
    if isinstance(value, str) and value in CHOICES:
        if value == "required" and not tools:
            raise refused(400, "'tool_choice' is required, but no tools are given.")
        return value
    function = value.get("function") if isinstance(value, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or name not in {tool.name for tool in tools}:
        raise refused(400, "'tool_choice' must be none, auto, required, or name one of the tools.")
    return f"function:{name}"


def _flag(document: Mapping[str, object], name: str) -> bool:
    value = document.get(name, False)
    if not isinstance(value, bool | None):
        raise refused(400, f"'{name}' must be a boolean.")
    return value is True


def _limit(document: Mapping[str, object]) -> int | None:
    value = document.get("max_completion_tokens", document.get("max_tokens"))
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise refused(400, "'max_tokens' must be a positive integer.")
    return value
