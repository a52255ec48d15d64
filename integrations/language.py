"""What the product asks of a language model, in the product's words."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol


class Speaker(StrEnum):
    """Whose words a part of the prompt is."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool the model wants to use, with the arguments as it wrote them: JSON or not."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One message of a prompt. `calls` are an assistant's; `call_id` says which of them a tool's result answers."""

    speaker: Speaker
    text: str
    calls: Sequence[ToolCall] = ()
    call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function the model may call; `parameters` is a strict JSON schema."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question to a model. The first of `models` that is available answers."""

    models: Sequence[str]
    messages: Sequence[Utterance]
    tools: Sequence[Tool] = ()
    max_tokens: int = 2_000


class Said(NamedTuple):
    """The next piece of the model's text."""

    text: str


class Ended(NamedTuple):
    """The model is done: the calls it wants answered, the model that spoke, and what it used.

    `cost` is in dollars, None where the server does not say.
    """

    calls: Sequence[ToolCall]
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost: float | None


Piece = Said | Ended


class ModelFailed(Exception):
    """The model did not finish its reply."""


class ModelUnavailable(ModelFailed):
    """No answer, an error on their side, or a stream that broke off. Asking again later is right."""


class ModelRefused(ModelFailed):
    """The server will not answer this request, or not for this key."""


class ModelTimedOut(ModelFailed):
    """Nothing came for too long."""


class LanguageModel(Protocol):
    """A model behind an adapter."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        """Pieces of text as they come, then one `Ended`. One attempt. Raises `ModelFailed`."""

    async def aclose(self) -> None:
        """Close the connections."""
