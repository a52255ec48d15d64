import asyncio
from dataclasses import dataclass
from typing import Literal

from cancellation.deadlines import deadline


class HubClosed(Exception):
    """The process is shutting down. A stream that meets this has not completed."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Something changed (`payload` is the newest announcement), or announcements may have been missed (`gap`).

    One signal may stand for many. Either way the reader reads again from the store.
    """

    kind: Literal["changed", "gap"]
    payload: bytes | None = None

    @classmethod
    def of(cls, payload: bytes | None) -> "Signal":
        """A change with its payload, or a gap when there is none."""
        return cls("gap") if payload is None else cls("changed", payload)


class Watcher:
    """One reader of a topic. Holds one signal, however slow the reader: the newest wins, and a gap stays a gap."""

    __slots__ = ("_changed_event", "_closed", "_signal")

    def __init__(self) -> None:
        self._signal: Signal | None = None
        self._changed_event = asyncio.Event()
        self._closed = False

    def offer(self, signal: Signal) -> None:
        """Leave a signal for the reader, over an unread one."""
        if self._signal is None or self._signal.kind != "gap":
            self._signal = signal
        self._changed_event.set()

    def close(self) -> None:
        """Make every later `next` raise `HubClosed`."""
        self._closed = True
        self._changed_event.set()

    def drain(self) -> None:
        """Forget an unread signal: the reader is about to read anyway."""
        self._signal = None
        if not self._closed:
            self._changed_event.clear()

    async def next(self, within: float | None = None) -> Signal | None:
        """The next signal, or None when `within` seconds pass without one. Raises `HubClosed` at shutdown."""
        try:
            async with deadline(within):
                await self._changed_event.wait()
        except TimeoutError:
            return None
        if self._closed:
            raise HubClosed
        signal = self._signal
        self.drain()
        return signal
