"""The offline Maya: a rule-based model that calls the offered tools and describes their results."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from sandbox.openrouter.arguments import arguments_for
from sandbox.openrouter.checking import ChatRequest, Tool, text_of
from sandbox.openrouter.drafting import draft
from sandbox.openrouter.replies import Reply, ToolCall
from sandbox.openrouter.sentences import describe
from sandbox.wire import JsonObject

INTRODUCTION = "I am the offline Maya, a rule-based simulation that works without a language model. "
CAPABILITIES = (
    "Ask me about your campaigns, their results, or how many contacts you have: I look the figures up. "
    "For real drafting and advice, set an API key for a language model."
)
MAX_STEPS = 3
WHO = re.compile(r"\b(who are you|are you|your name|which model|what model|offline|real ai)\b", re.IGNORECASE)
TOPIC_WORDS = {
    "results": (
        "result",
        "stat",
        "open rate",
        "opened",
        "click",
        "perform",
        "bounce",
        "how did",
        "how is",
        "progress",
    ),
    "contacts": ("contact", "subscriber", "audience", "people", "customer", "recipient"),
    "campaigns": ("campaign", "newsletter", "mailing", "sent"),
}
TOOL_NAME_STEMS = {
    "results": ("result", "stat", "report", "performance", "metric", "progress", "analytic"),
    "contacts": ("contact", "subscriber", "audience", "people"),
    "campaigns": ("campaign", "newsletter"),
}
DRAFTING = re.compile(r"\b(draft|write|compose)\b", re.IGNORECASE)
COUNTING = re.compile(r"\b(how many|count|number of|total)\b", re.IGNORECASE)
WRITING = (
    "create",
    "update",
    "delete",
    "draft",
    "send",
    "schedule",
    "propose",
    "add",
    "remove",
    "duplicate",
    "pause",
)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool in this turn."""

    tool: str
    result: object


def answer(chat: ChatRequest) -> Reply:
    """The next message of the conversation: a tool call, or sentences about the results of the tools."""
    start = max((index for index, message in enumerate(chat.messages) if message["role"] == "user"), default=0)
    question = text_of(chat.messages[start])
    seen = _seen(chat.messages[start:])
    call = _next_call(chat, question, seen)
    if call is not None:
        return Reply(tool_calls=(call,))
    body = describe(seen[-1].tool, seen[-1].result) if seen else CAPABILITIES
    if DRAFTING.search(question):
        body = draft(question) + (f" For reference: {body}" if seen else "")
    first = not any(message["role"] == "assistant" and text_of(message) for message in chat.messages)
    return Reply(text=(INTRODUCTION if first or WHO.search(question) else "") + body)


def _seen(turn: Sequence[JsonObject]) -> list[ToolResult]:
    names: dict[object, str] = {}
    seen: list[ToolResult] = []
    for message in turn:
        calls = message.get("tool_calls")
        if message["role"] == "assistant" and isinstance(calls, list):
            names |= {call["id"]: call["function"]["name"] for call in calls}
        elif message["role"] == "tool":
            seen.append(ToolResult(names.get(message.get("tool_call_id"), "tool"), _parsed(text_of(message))))
    return seen


def _parsed(text: str) -> object:
    try:
        value: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return value


def _next_call(chat: ChatRequest, question: str, seen: Sequence[ToolResult]) -> ToolCall | None:
    if not chat.tools or chat.tool_choice == "none" or len(seen) >= MAX_STEPS:
        return None
    called = {each.tool for each in seen}
    results = [each.result for each in seen]
    for group in _wanted(chat, question, seen):
        if any(tool.name in called for tool in group):
            return None
        for tool in group:
            arguments = arguments_for(tool.parameters, question, results)
            if arguments is not None:
                return ToolCall(name=tool.name, arguments=orjson.dumps(arguments).decode())
    return None


def _wanted(chat: ChatRequest, question: str, seen: Sequence[ToolResult]) -> list[list[Tool]]:
    """The tools worth calling, best first, in groups; one call of a group is enough."""
    if chat.tool_choice.startswith("function:"):
        name = chat.tool_choice.removeprefix("function:")
        return [[tool for tool in chat.tools if tool.name == name]]
    readers = sorted((tool for tool in chat.tools if _reads(tool)), key=lambda tool: _rank(tool, question))
    groups = [[tool for tool in readers if _topic(tool) == topic] for topic in _topics(question)]
    if not any(groups) and chat.tool_choice == "required" and not seen:
        return [list(chat.tools)]
    return groups


def _topics(question: str) -> list[str]:
    """The topics of the question, most specific first; results require a lookup of the campaign first."""
    lowered = question.lower()
    topics = [topic for topic, words in TOPIC_WORDS.items() if any(word in lowered for word in words)]
    return ["results", "campaigns", "contacts"] if "results" in topics else topics


def _topic(tool: Tool) -> str | None:
    name = tool.name.lower()
    return next((topic for topic, stems in TOOL_NAME_STEMS.items() if any(stem in name for stem in stems)), None)


def _reads(tool: Tool) -> bool:
    return not any(word in re.split(r"[_-]", tool.name.lower()) for word in WRITING)


def _rank(tool: Tool, question: str) -> tuple[bool, int]:
    counts = "count" in tool.name.lower()
    return counts is not bool(COUNTING.search(question)), len(tool.name)
