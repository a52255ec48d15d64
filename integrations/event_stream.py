"""Parsing server-sent events of language models' servers into JSON values, with size limits."""

import json
import re
from enum import Enum
from typing import Final

import orjson

MAX_LINE_BYTES: Final = 1 << 20
MAX_STREAM_BYTES: Final = 16 << 20
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
FIELDS: Final = (b"data", b"event", b"id", b"retry")


class StreamTooLarge(Exception):
    """A line, or the whole stream, exceeds the size of any chat completion."""


class Mark(Enum):
    """Results other than a JSON value: the end marker of the stream, and text that is not JSON."""

    DONE = "[DONE]"
    UNREADABLE = "unreadable"


Event = object


def _parse_json(text: bytes) -> Event:
    """Parse JSON, also with NaN, infinities and lone surrogates; `Mark.UNREADABLE` if it is not JSON."""
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
    """Parses bytes into events. Comments and other fields are skipped; `unreadable` counts events that are not JSON.

    A `data` line that is valid JSON is an event by itself, even without a blank line after it. A body that is JSON
    rather than an event stream is one event.
    """

    def __init__(self) -> None:
        self.size = 0
        self.partial_line: list[bytes] = []
        self.partial_size = 0
        self.ends_with_cr = False
        self.data: list[bytes] = []
        self.plain: list[bytes] = []
        self.is_error = False
        self.has_events = False
        self.unreadable = 0

    def feed(self, part: bytes) -> list[Event]:
        """Add bytes; returns the events that they complete. Raises `StreamTooLarge`."""
        self.size += len(part)
        if self.ends_with_cr and part.startswith(b"\n"):
            part = part[1:]
        self.ends_with_cr = part.endswith(b"\r")
        *lines, rest = _LINE_END.split(part)
        if lines:
            lines[0] = b"".join([*self.partial_line, lines[0]])
            self.partial_line, self.partial_size = [], 0
        self.partial_line.append(rest)
        self.partial_size += len(rest)
        if self.size > MAX_STREAM_BYTES or max(self.partial_size, *map(len, lines), 0) > MAX_LINE_BYTES:
            raise StreamTooLarge
        return [event for line in lines for event in self._line(line)]

    def finish(self) -> list[Event]:
        """The events in the rest of the stream, which has no line end."""
        events = [*self._line(b"".join(self.partial_line)), *self._blank_line()]
        if not self.has_events and self.plain:
            events = self._event(b"\n".join(self.plain))
        self.partial_line, self.plain = [], []
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
        event = _parse_json(value)
        if event is Mark.UNREADABLE:
            self.data.append(value)
            return []
        return self._found(event)

    def _blank_line(self) -> list[Event]:
        """The end of an event: its `data` lines are joined, unless they were events by themselves."""
        data, self.data = self.data, []
        events = self._event(b"\n".join(data)) if data else []
        self.is_error = False
        return events

    def _event(self, text: bytes) -> list[Event]:
        event = _parse_json(text)
        if event is Mark.UNREADABLE:
            self.unreadable += 1
            return [{"error": {}}] if self.is_error else []
        return self._found(event)

    def _plain(self, line: bytes) -> list[Event]:
        """A line without a field: a chunk, from servers that send one per line, or part of a JSON body."""
        event = _parse_json(line) if line.startswith(b"{") else Mark.UNREADABLE
        if event is Mark.UNREADABLE:
            self.plain.append(line)
            return []
        return self._found(event)

    def _found(self, event: Event) -> list[Event]:
        self.has_events = True
        if self.is_error and not (isinstance(event, dict) and event.get("error")):
            return [{"error": event}]
        return [event]
