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


class Finish(StrEnum):
    """How a reply ended: complete, at its limit of tokens, by the provider's content filter, or as a refusal."""

    COMPLETE = "complete"
    LENGTH = "length"
    FILTERED = "filtered"
    REFUSED = "refused"


class Used(NamedTuple):
    """What the reply has used, as the server reported it last; 0 where it has said nothing.

    Figures are never negative, infinite or NaN. `cost` is in dollars, None where the server does not say.
    """

    prompt_tokens: int
    completion_tokens: int
    cost: float | None


class Ended(NamedTuple):
    """The model is done: the calls it wants answered, the model that spoke, and how it ended.

    Calls of a reply that is not complete may be cut off, and are not to be answered.
    """

    calls: Sequence[ToolCall]
    model: str
    finish: Finish = Finish.COMPLETE


Piece = Said | Used | Ended


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
        """Pieces of text and reports of usage as they come, then one `Ended`. One attempt. Raises `ModelFailed`.

        The text before a failure is the reply's as well.
        """

    async def aclose(self) -> None:
        """Close the connections."""
