"""Generating a reply: prompts the model, runs the tools that it calls, and repeats until it calls none."""

from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import orjson

from core.access.actor import Actor
from core.database.scopes import Reader
from integrations.language import (
    Finish,
    LanguageModel,
    ModelRefused,
    ModelUnavailable,
    Prompt,
    PromptMessage,
    PromptRole,
    ReplyEnd,
    TextPiece,
    TokenUsage,
    ToolCall,
)
from services.maya import tools
from services.maya.cleaning import clean
from services.maya.events import ToolFinished, ToolStarted
from services.maya.journal import Journal
from services.maya.output import OutputFilter

_MAX_STEPS: Final = 8
_MAX_CALLS: Final = 20
_MAX_IDENTICAL_CALLS: Final = 2  # one more call of a tool with the same arguments stops the reply
_MAX_REPLY_LENGTH: Final = 20_000
_MAX_STEP_TOKENS: Final = 1_500
_MAX_RECEIVED_LENGTH: Final = (
    5 * _MAX_REPLY_LENGTH
)  # characters from the model, including those that are filtered out
_CHUNK_LENGTH: Final = 2_000  # characters that are filtered at a time
_UNKNOWN_TOOL: Final = "unknown"


class LimitReached(Exception):
    """The generation has reached a limit of steps, tool calls or text."""


class CutOff(Exception):
    """The model stopped at its limit of tokens. The reply keeps the text so far."""


class ContentFiltered(Exception):
    """The provider's content filter stopped the model. The reply keeps the text so far."""


@dataclass(slots=True, kw_only=True)
class Usage:
    """The usage that the model reported, summed over all steps; `cost` in US dollars."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    steps: int = 0
    tool_calls: int = 0

    def add(self, used: TokenUsage) -> None:
        """Add the usage of a step, also of one that failed."""
        self.prompt_tokens += used.prompt_tokens
        self.completion_tokens += used.completion_tokens
        self.cost += used.cost or 0.0

    def as_json(self) -> dict[str, Any]:
        """The usage as it is stored."""
        return {
            "promptTokens": self.prompt_tokens,
            "completionTokens": self.completion_tokens,
            "cost": round(self.cost, 9),
            "steps": self.steps,
            "toolCalls": self.tool_calls,
        }


@dataclass(slots=True, kw_only=True)
class ReplyGeneration:
    """The generation of one reply.

    `public_url` is the public URL of this installation, the only site that the reply may link to. `received_length`
    is the number of characters from the model, including those that are filtered out.
    """

    model: LanguageModel
    models: Sequence[str]
    reads: Reader
    actor: Actor
    journal: Journal
    public_url: str
    pieces: list[str] = field(default_factory=list)
    length: int = 0
    received_length: int = 0
    model_used: str | None = None
    usage: Usage = field(default_factory=Usage)
    calls_made: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.pieces)

    async def run(self, messages: Sequence[PromptMessage]) -> None:
        """Answer the last of the messages.

        Raises `ModelRefused`, `ModelUnavailable`, `ModelTimedOut` (of `integrations.language`), `CutOff`,
        `ContentFiltered`, or `LimitReached`.
        """
        conversation = list(messages)
        while True:
            if self.usage.steps >= _MAX_STEPS:
                raise LimitReached(f"Maya stopped after {_MAX_STEPS} steps without an answer.")
            text, end = await self._step(conversation)
            if not end.calls:
                break
            conversation += await self._call_tools(text, [self._check_call(call) for call in end.calls])
        if not self.text.strip():
            raise ModelUnavailable("The model returned no text.")

    async def _step(self, messages: Sequence[PromptMessage]) -> tuple[str, ReplyEnd]:
        """Prompt the model once, and stream its text; returns the text, and the end with its tool calls."""
        self.usage.steps += 1
        prompt = Prompt(
            models=self.models,
            messages=messages,
            tools=tools.available_tools(self.actor),
            max_tokens=_MAX_STEP_TOKENS,
        )
        first_piece = len(self.pieces)
        output = OutputFilter(self.public_url)
        used = TokenUsage(0, 0, None)
        try:
            async with aclosing(self.model.stream(prompt)) as events:
                async for event in events:
                    match event:
                        case TextPiece(text):
                            self._receive(output, text, first_piece=first_piece)
                        case TokenUsage():
                            used = event
                        case ReplyEnd():
                            self.usage.tool_calls += len(event.calls)
                            self.model_used = clean(event.model)
                            _check_finish(event.finish)
                            return "".join(self.pieces[first_piece:]), event
        finally:
            self.usage.add(used)
            self._add_text(output.finish(), first_piece=first_piece)
        raise ModelUnavailable("The reply ended unexpectedly.")

    def _receive(self, output: OutputFilter, text: str, *, first_piece: int) -> None:
        """Filter text of the model and add it to the reply. Raises `LimitReached`."""
        for at in range(0, len(text), _CHUNK_LENGTH):
            chunk = text[at : at + _CHUNK_LENGTH]
            self.received_length += len(chunk)
            if self.received_length > _MAX_RECEIVED_LENGTH:
                raise LimitReached("The reply is too long.")
            self._add_text(output.feed(chunk), first_piece=first_piece)

    def _add_text(self, text: str, *, first_piece: int) -> None:
        """Add text to the reply; an empty line separates it from the text of earlier steps. Raises `LimitReached`.

        `first_piece` is the index in `pieces` of the first piece of this step.
        """
        if not text:
            return
        if first_piece and len(self.pieces) == first_piece:
            text = f"\n\n{text}"
        allowed = text[: _MAX_REPLY_LENGTH - self.length]
        if allowed:
            self.length += len(allowed)
            self.pieces.append(allowed)
            self.journal.add_text(allowed)
        if len(allowed) < len(text):
            raise LimitReached("The reply is too long.")

    def _check_call(self, call: ToolCall) -> ToolCall:
        """The call with a new id. Raises `LimitReached` for too many calls in total or identical ones."""
        if self.usage.tool_calls > _MAX_CALLS:
            raise LimitReached(f"Maya stopped after {_MAX_CALLS} tool calls without an answer.")
        self.calls_made[call.name, call.arguments] += 1
        if self.calls_made[call.name, call.arguments] > _MAX_IDENTICAL_CALLS:
            raise LimitReached("Maya stopped, because the model repeated the same tool calls.")
        return ToolCall(id=f"call_{uuid4().hex[:24]}", name=call.name, arguments=call.arguments)

    async def _call_tools(self, text: str, calls: Sequence[ToolCall]) -> list[PromptMessage]:
        """Call the tools; returns the messages for the next prompt: the model's text and calls, and the results."""
        valid_calls = [
            ToolCall(id=call.id, name=_shown_name(call), arguments=_valid_arguments(call.arguments)) for call in calls
        ]
        return [
            PromptMessage(role=PromptRole.ASSISTANT, text=text, calls=valid_calls),
            *[await self._call_tool(call) for call in calls],
        ]

    async def _call_tool(self, call: ToolCall) -> PromptMessage:
        """Call a tool, with an event before and after."""
        self.journal.add_event(ToolStarted(_shown_name(call)))
        succeeded, result = await tools.call(self.reads, self.actor, call.name, call.arguments)
        self.journal.add_event(ToolFinished(_shown_name(call), succeeded))
        return PromptMessage(role=PromptRole.TOOL, text=result, call_id=call.id)


def _check_finish(finish: Finish) -> None:
    """Raise unless the model finished normally."""
    if finish is Finish.LENGTH:
        raise CutOff("The reply was cut off, because it reached the maximum number of tokens.")
    if finish is Finish.FILTERED:
        raise ContentFiltered("The provider's content filter stopped the reply.")
    if finish is Finish.REFUSED:
        raise ModelRefused("The model declined to answer.")


def _shown_name(call: ToolCall) -> str:
    """The tool's name if it exists, else `unknown`."""
    return call.name if call.name in tools.DEFINITIONS else _UNKNOWN_TOOL


def _valid_arguments(arguments: str) -> str:
    """The arguments if they are a JSON object, else an empty object, because servers refuse anything else."""
    try:
        return arguments if isinstance(orjson.loads(arguments), dict) else "{}"
    except orjson.JSONDecodeError:
        return "{}"
