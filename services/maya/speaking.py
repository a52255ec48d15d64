"""Maya's turn: she asks the model, looks up what it wants to know, and says what it says, until it wants nothing."""

from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import orjson

from core.access.actor import Actor
from core.database.scopes import Reads
from integrations.language import (
    Ended,
    Finish,
    LanguageModel,
    ModelRefused,
    ModelUnavailable,
    Prompt,
    Said,
    Speaker,
    ToolCall,
    Used,
    Utterance,
)
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
MAX_RECEIVED: Final = 5 * LONGEST_REPLY  # characters, those included that are not shown
PIECE: Final = 2_000  # characters that are filtered at a time
UNKNOWN_TOOL: Final = "unknown"


class LimitReached(Exception):
    """The run has used up what one run may use."""


class CutOff(Exception):
    """The model stopped in the middle, at its limit of tokens. The text so far is the reply's."""


class ContentFiltered(Exception):
    """The provider's content filter stopped the model. The text so far is the reply's."""


@dataclass(slots=True, kw_only=True)
class Usage:
    """What the model reported over all steps; `cost` in dollars."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    steps: int = 0
    tool_calls: int = 0

    def add(self, used: Used) -> None:
        """Count what a step has used, also one that failed."""
        self.prompt_tokens += used.prompt_tokens
        self.completion_tokens += used.completion_tokens
        self.cost += used.cost or 0.0

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
    actor: Actor
    journal: Journal
    own_url: str
    said: list[str] = field(default_factory=list)
    length: int = 0
    received: int = 0
    spoken_by: str | None = None
    usage: Usage = field(default_factory=Usage)
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def text(self) -> str:
        """What was said so far."""
        return "".join(self.said)

    async def deliver(self, messages: Sequence[Utterance]) -> None:
        """Answer the last of the messages.

        Raises `ModelFailed`, `CutOff`, `ContentFiltered`, or `LimitReached` when it goes on and on.
        """
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
            tools=tools.offered(self.actor),
            max_tokens=LONGEST_STEP_TOKENS,
        )
        start = len(self.said)
        output = OutputFilter(self.own_url)
        used = Used(0, 0, None)
        try:
            async with aclosing(self.model.stream(prompt)) as pieces:
                async for piece in pieces:
                    match piece:
                        case Said(text):
                            self.hear(output, text, begins=start)
                        case Used():
                            used = piece
                        case Ended():
                            self.usage.tool_calls += len(piece.calls)
                            self.spoken_by = clean(piece.model)
                            check_finish(piece.finish)
                            return "".join(self.said[start:]), piece
        finally:
            self.usage.add(used)
            self.say(output.finish(), begins=start)
        raise ModelUnavailable("The reply broke off.")

    def hear(self, output: OutputFilter, text: str, *, begins: int) -> None:
        """Filter what came, and say it. Raises `LimitReached`."""
        for at in range(0, len(text), PIECE):
            piece = text[at : at + PIECE]
            self.received += len(piece)
            if self.received > MAX_RECEIVED:
                raise LimitReached("The reply got too long.")
            self.say(output.feed(piece), begins=begins)

    def say(self, text: str, *, begins: int) -> None:
        """Say a piece; a blank line sets it apart from what an earlier step said. Raises `LimitReached`."""
        if not text:
            return
        if begins and len(self.said) == begins:
            text = f"\n\n{text}"
        fitting = text[: LONGEST_REPLY - self.length]
        if fitting:
            self.length += len(fitting)
            self.said.append(fitting)
            self.journal.say(fitting)
        if len(fitting) < len(text):
            raise LimitReached("The reply got too long.")

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
        succeeded, result = await tools.use(self.reads, self.actor, call.name, call.arguments)
        self.journal.note(ToolFinished(shown_name(call), succeeded))
        return Utterance(speaker=Speaker.TOOL, text=result, call_id=call.id)


def check_finish(finish: Finish) -> None:
    """Raise unless the model came to a good end."""
    if finish is Finish.LENGTH:
        raise CutOff("The reply was cut off: it reached the most tokens that one answer may have.")
    if finish is Finish.FILTERED:
        raise ContentFiltered("The provider's content filter stopped the reply.")
    if finish is Finish.REFUSED:
        raise ModelRefused("The model declined to answer.")


def shown_name(call: ToolCall) -> str:
    """The tool's name, when it is one of ours."""
    return call.name if call.name in tools.DEFINITIONS else UNKNOWN_TOOL


def sendable(arguments: str) -> str:
    """The arguments as a server takes them back: JSON, or an empty object in place of what is none."""
    try:
        return arguments if isinstance(orjson.loads(arguments), dict) else "{}"
    except orjson.JSONDecodeError:
        return "{}"
