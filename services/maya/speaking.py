"""Maya's turn: she asks the model, looks up what it wants to know, and says what it says, until it wants nothing."""

from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import orjson

from core.db import Reads
from core.permissions import Role
from integrations.language import Ended, LanguageModel, ModelUnavailable, Prompt, Said, Speaker, ToolCall, Utterance
from services.maya import tools
from services.maya.cleaning import clean
from services.maya.events import ToolFinished, ToolStarted
from services.maya.journal import Journal
from services.maya.output import OutputFilter

MOST_STEPS: Final = 8
MOST_CALLS: Final = 20
MOST_REPEATS: Final = 3
LONGEST_REPLY: Final = 20_000
LONGEST_STEP_TOKENS: Final = 1_500
UNKNOWN_TOOL: Final = "unknown"


class LimitReached(Exception):
    """The run has used up what one run may use."""


@dataclass(slots=True, kw_only=True)
class Usage:
    """What the model reported over all steps; `cost` in dollars."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    steps: int = 0
    tool_calls: int = 0

    def add(self, ended: Ended) -> None:
        """Count a step."""
        self.prompt_tokens += ended.prompt_tokens
        self.completion_tokens += ended.completion_tokens
        self.cost += ended.cost or 0.0
        self.tool_calls += len(ended.calls)

    def as_json(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "promptTokens": self.prompt_tokens,
            "completionTokens": self.completion_tokens,
            "cost": round(self.cost, 9),
            "steps": self.steps,
            "toolCalls": self.tool_calls,
        }


@dataclass(slots=True, kw_only=True)
class Speech:
    """One reply in the making."""

    model: LanguageModel
    models: Sequence[str]
    reads: Reads
    role: Role
    journal: Journal
    own_url: str
    said: list[str] = field(default_factory=list)
    length: int = 0
    spoken_by: str | None = None
    usage: Usage = field(default_factory=Usage)
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def text(self) -> str:
        """What was said so far."""
        return "".join(self.said)

    async def deliver(self, messages: Sequence[Utterance]) -> None:
        """Answer the last of the messages. Raises `ModelFailed`, or `LimitReached` when it goes on and on."""
        told = list(messages)
        while True:
            if self.usage.steps >= MOST_STEPS:
                raise LimitReached(f"Maya stopped after {MOST_STEPS} steps without an answer.")
            text, ended = await self.step(told)
            if not ended.calls:
                break
            told += await self.answered(text, [self.admit(call) for call in ended.calls])
        if not self.text.strip():
            raise ModelUnavailable("The model said nothing.")

    async def step(self, messages: Sequence[Utterance]) -> tuple[str, Ended]:
        """Ask the model once, and say what it says as it comes."""
        self.usage.steps += 1
        prompt = Prompt(
            models=self.models,
            messages=messages,
            tools=tools.offered(self.role),
            max_tokens=LONGEST_STEP_TOKENS,
        )
        start = len(self.said)
        output = OutputFilter(self.own_url)
        try:
            async with aclosing(self.model.stream(prompt)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Said):
                        self.say(output.feed(piece.text), begins=start)
                    else:
                        self.usage.add(piece)
                        self.spoken_by = clean(piece.model)
                        return "".join(self.said[start:]), piece
        finally:
            self.say(output.finish(), begins=start)
        raise ModelUnavailable("The reply broke off.")

    def say(self, text: str, *, begins: int) -> None:
        """Say a piece; a blank line sets it apart from what an earlier step said."""
        if not text:
            return
        if begins and len(self.said) == begins:
            text = f"\n\n{text}"
        self.length += len(text)
        if self.length > LONGEST_REPLY:
            raise LimitReached("The reply got too long.")
        self.said.append(text)
        self.journal.say(text)

    def admit(self, call: ToolCall) -> ToolCall:
        """The call, under an id of ours. Raises `LimitReached`."""
        if self.usage.tool_calls > MOST_CALLS:
            raise LimitReached(f"Maya stopped after {MOST_CALLS} look-ups without an answer.")
        self.asked[call.name, call.arguments] += 1
        if self.asked[call.name, call.arguments] >= MOST_REPEATS:
            raise LimitReached("Maya stopped: the model asked for the same thing again and again.")
        return ToolCall(id=f"call_{uuid4().hex[:24]}", name=call.name, arguments=call.arguments)

    async def answered(self, text: str, calls: Sequence[ToolCall]) -> list[Utterance]:
        """What the model said and asked for, repeated to it, with the answers."""
        repeated = [ToolCall(id=call.id, name=shown_name(call), arguments=sendable(call.arguments)) for call in calls]
        return [
            Utterance(speaker=Speaker.ASSISTANT, text=text, calls=repeated),
            *[await self.look_up(call) for call in calls],
        ]

    async def look_up(self, call: ToolCall) -> Utterance:
        """Use a tool, with an event before and after."""
        self.journal.note(ToolStarted(shown_name(call)))
        succeeded, result = await tools.use(self.reads, self.role, call.name, call.arguments)
        self.journal.note(ToolFinished(shown_name(call), succeeded))
        return Utterance(speaker=Speaker.TOOL, text=result, call_id=call.id)


def shown_name(call: ToolCall) -> str:
    """The tool's name, when it is one of ours."""
    return call.name if call.name in tools.DEFINITIONS else UNKNOWN_TOOL


def sendable(arguments: str) -> str:
    """The arguments as a server takes them back: JSON, or an empty object in place of what is none."""
    try:
        return arguments if isinstance(orjson.loads(arguments), dict) else "{}"
    except orjson.JSONDecodeError:
        return "{}"
