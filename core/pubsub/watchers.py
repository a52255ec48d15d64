import asyncio
from dataclasses import dataclass
from typing import Literal

from cancellation.deadlines import deadline


class HubClosed(Exception):
    """The process is shutting down. A stream that ends with this error is not complete."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Something changed (`payload` is that of the newest message), or messages may have been lost (`gap`).

    One signal may stand for many messages. In both cases the receiver reads the state again.
    """

    kind: Literal["changed", "gap"]
    payload: bytes | None = None

    @classmethod
    def of(cls, payload: bytes | None) -> "Signal":
        """A change with this payload; None is a gap."""
        return cls("gap") if payload is None else cls("changed", payload)


class Watcher:
    """Gets the signals of a topic. Holds at most one unread signal: the newest, or a gap, which is never replaced."""

    __slots__ = ("_changed_event", "_closed", "_signal")

    def __init__(self) -> None:
        self._signal: Signal | None = None
        self._changed_event = asyncio.Event()
        self._closed = False

    def offer(self, signal: Signal) -> None:
        """Store a signal, in place of an unread one."""
        if self._signal is None or self._signal.kind != "gap":
            self._signal = signal
        self._changed_event.set()

    def close(self) -> None:
        """Make the current and every later `next` raise `HubClosed`."""
        self._closed = True
        self._changed_event.set()

    def drain(self) -> None:
        """Discard an unread signal, before the state is read."""
        self._signal = None
        if not self._closed:
            self._changed_event.clear()

    async def next(self, within: float | None = None) -> Signal | None:
        """Wait for the next signal; None after `within` seconds without one. Raises `HubClosed` at shutdown."""
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
