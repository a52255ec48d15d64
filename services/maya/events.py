"""The events of a reply, as they are stored in its log: one JSON object per event."""

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
    """A tool call begins."""

    kind: ClassVar[str] = "tool_started"
    name: str


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool call has ended, with a result or an error."""

    kind: ClassVar[str] = "tool_finished"
    name: str
    succeeded: bool


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """The last event. The result of the reply is in its row."""

    kind: ClassVar[str] = "ended"


Event = Token | ToolStarted | ToolFinished | ReplyEnded
_KINDS: dict[str, type[Event]] = {kind.kind: kind for kind in (Token, ToolStarted, ToolFinished, ReplyEnded)}


def encode(event: Event) -> bytes:
    """The event as JSON."""
    return orjson.dumps({"kind": event.kind, **asdict(event)})


def decode(raw: bytes) -> Event:
    """The event from JSON."""
    values = orjson.loads(raw)
    return _KINDS[values.pop("kind")](**values)
