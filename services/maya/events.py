"""What happens in a reply, as its log keeps it: JSON, one object an event."""

from dataclasses import asdict, dataclass
from typing import ClassVar

import orjson


@dataclass(frozen=True, slots=True)
class Token:
    """The next piece of text."""

    kind: ClassVar[str] = "token"
    text: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """Maya looks something up."""

    kind: ClassVar[str] = "tool_started"
    name: str


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """She has an answer, or a refusal."""

    kind: ClassVar[str] = "tool_finished"
    name: str
    succeeded: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more comes; how the reply ended stands in its row."""

    kind: ClassVar[str] = "ended"


Event = Token | ToolStarted | ToolFinished | Ended
KINDS: dict[str, type[Event]] = {kind.kind: kind for kind in (Token, ToolStarted, ToolFinished, Ended)}


def encode(event: Event) -> bytes:
    """The event, as it is logged."""
    return orjson.dumps({"kind": event.kind, **asdict(event)})


def decode(raw: bytes) -> Event:
    """The event that was logged."""
    values = orjson.loads(raw)
    return KINDS[values.pop("kind")](**values)
