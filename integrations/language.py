"""The protocol of language models, without any vendor's terms."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol


class PromptRole(StrEnum):
    """The role of a message in a prompt."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool that the model calls. `arguments` is the model's text, which may be invalid JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptMessage:
    """One message of a prompt. An assistant's message may have `calls`; a tool's result has the `call_id` of one."""

    role: PromptRole
    text: str
    calls: Sequence[ToolCall] = ()
    call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may call; `parameters` is a strict JSON schema."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A request to a model. The server uses the first of `models` that is available."""

    models: Sequence[str]
    messages: Sequence[PromptMessage]
    tools: Sequence[Tool] = ()
    max_tokens: int = 2_000


class TextPiece(NamedTuple):
    """The next piece of the reply's text."""

    text: str


class Finish(StrEnum):
    """How a reply ended: complete, at the token limit, by the provider's content filter, or as a refusal."""

    COMPLETE = "complete"
    LENGTH = "length"
    FILTERED = "filtered"
    REFUSED = "refused"


class TokenUsage(NamedTuple):
    """The usage of the reply as the server reported it last; 0 tokens if it did not.

    Numbers are never negative, infinite or NaN. `cost` is in dollars, None if the server does not report it.
    """

    prompt_tokens: int
    completion_tokens: int
    cost: float | None


class ReplyEnd(NamedTuple):
    """The end of the reply: the tool calls in it, the model that was used, and how it ended.

    Calls of a reply that is not COMPLETE may be cut off, and must not be executed.
    """

    calls: Sequence[ToolCall]
    model: str
    finish: Finish = Finish.COMPLETE


ReplyPiece = TextPiece | TokenUsage | ReplyEnd


class ModelFailed(Exception):
    """The model did not finish its reply."""


class ModelUnavailable(ModelFailed):
    """No response, a server error, or a stream that broke off. A retry is right."""


class ModelRefused(ModelFailed):
    """The server refuses this request, or this key."""


class ModelTimedOut(ModelFailed):
    """The server sent nothing for too long."""


class LanguageModel(Protocol):
    """A language model's server."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[ReplyPiece, None]:
        """Text and usage as they arrive, then one `ReplyEnd`. One attempt. Raises `ModelFailed`.

        Text before a failure is part of the reply.
        """

    async def aclose(self) -> None:
        """Close the connections."""
