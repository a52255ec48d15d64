"""Server-sent events as language models' servers write them: JSON values, within bounds, whatever stands between."""

import json
import re
from enum import Enum
from typing import Final

import orjson

MAX_LINE_BYTES: Final = 1 << 20
MAX_STREAM_BYTES: Final = 16 << 20
LINE_END: Final = re.compile(rb"\r\n|\n|\r")
FIELDS: Final = (b"data", b"event", b"id", b"retry")


class StreamTooLarge(Exception):
    """A line or the whole stream has more bytes than any chat completion needs."""


class Mark(Enum):
    """What stands in place of a JSON value: the server's own mark of the end, and text that is no JSON."""

    DONE = "[DONE]"
    UNREADABLE = "unreadable"


Event = object


def parsed(text: bytes) -> Event:
    """The JSON value; `Mark.UNREADABLE` for what is none. NaN, infinities and lone surrogates are read too."""
    try:
        value: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    else:
        return value
    try:
        return json.loads(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return Mark.UNREADABLE


class EventStream:
    """Turns bytes into events. Comments, other fields and what is no JSON are left out; `unreadable` counts those.

    Every `data` line that is JSON by itself is an event, whether or not a blank line follows. A body that is no
    event stream at all, but JSON, is one event.
    """

    def __init__(self) -> None:
        self.size = 0
        self.held: list[bytes] = []
        self.held_size = 0
        self.after_return = False
        self.data: list[bytes] = []
        self.plain: list[bytes] = []
        self.is_error = False
        self.has_events = False
        self.unreadable = 0

    def feed(self, part: bytes) -> list[Event]:
        """The events that are complete with the next bytes. Raises `StreamTooLarge`."""
        self.size += len(part)
        if self.after_return and part.startswith(b"\n"):
            part = part[1:]
        self.after_return = part.endswith(b"\r")
        *lines, rest = LINE_END.split(part)
        if lines:
            lines[0] = b"".join([*self.held, lines[0]])
            self.held, self.held_size = [], 0
        self.held.append(rest)
        self.held_size += len(rest)
        if self.size > MAX_STREAM_BYTES or max(self.held_size, *map(len, lines), 0) > MAX_LINE_BYTES:
            raise StreamTooLarge
        return [event for line in lines for event in self._line(line)]

    def finish(self) -> list[Event]:
        """The events in what came last, without a line's end."""
        events = [*self._line(b"".join(self.held)), *self._blank_line()]
        if not self.has_events and self.plain:
            events = self._event(b"\n".join(self.plain))
        self.held, self.plain = [], []
        return events

    def _line(self, line: bytes) -> list[Event]:
        line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            return self._blank_line()
        name, _, value = line.partition(b":")
        if name == b"data":
            return self._data(value)
        if name == b"event":
            self.is_error = value.strip() == b"error"
        elif name and name not in FIELDS:
            return self._plain(line)
        return []

    def _data(self, value: bytes) -> list[Event]:
        if value.strip().upper() == b"[DONE]":
            return [Mark.DONE]
        event = parsed(value)
        if event is Mark.UNREADABLE:
            self.data.append(value)
            return []
        return self._found(event)

    def _blank_line(self) -> list[Event]:
        """The end of an event: what its lines say together, when none of them was one by itself."""
        data, self.data = self.data, []
        events = self._event(b"\n".join(data)) if data else []
        self.is_error = False
        return events

    def _event(self, text: bytes) -> list[Event]:
        event = parsed(text)
        if event is Mark.UNREADABLE:
            self.unreadable += 1
            return [{"error": {}}] if self.is_error else []
        return self._found(event)

    def _plain(self, line: bytes) -> list[Event]:
        """A line outside of any event: a chunk, as some servers write one to a line, or a part of a whole body."""
        event = parsed(line) if line.startswith(b"{") else Mark.UNREADABLE
        if event is Mark.UNREADABLE:
            self.plain.append(line)
            return []
        return self._found(event)

    def _found(self, event: Event) -> list[Event]:
        self.has_events = True
        if self.is_error and not (isinstance(event, dict) and event.get("error")):
            return [{"error": event}]
        return [event]
