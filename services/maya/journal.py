"""Writing the events of a reply to its log."""

import asyncio
from typing import Final, NoReturn

from core.logstream import LogLost, LogStream, LogUnavailable, LogWriter, StaleWriter
from core.telemetry import describe_error, logger
from services.maya.events import Event, Token, encode

_COALESCE_SECONDS: Final = 0.02
RETRY_SECONDS: Final = 0.5
_MAX_CLAIMS: Final = 5
log = logger(__name__)


class Journal:
    """Buffers all events of a reply and writes them to its log.

    Text is collected for 20 ms into one event; the first piece is written at once. If Redis is unavailable or was
    flushed, nothing is lost: the events are kept in memory, and are written again with the same sequences.
    """

    def __init__(self, logs: LogStream, name: str) -> None:
        self.logs = logs
        self.name = name
        self.events: list[bytes] = []
        self._pending_text: list[str] = []
        self._changed = asyncio.Event()
        self.writer: LogWriter | None = None

    @property
    def last_sequence(self) -> int:
        """The sequence of the newest event, written or not."""
        return len(self.events)

    def add_text(self, text: str) -> None:
        """Append a piece of text."""
        self._pending_text.append(text)
        self._changed.set()

    def add_event(self, event: Event) -> None:
        """Append an event other than text, after the text so far."""
        self._close_text()
        self.events.append(encode(event))
        self._changed.set()

    def _close_text(self) -> None:
        """Turn the text so far into an event."""
        if self._pending_text:
            self.events.append(encode(Token("".join(self._pending_text))))
            self._pending_text.clear()

    async def write_events(self) -> NoReturn:
        """Write new events until cancelled. Raises `StaleWriter` when another run has taken over the log."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                written = await self.flush()
            except asyncio.CancelledError:
                self._changed.set()  # so that a restarted task writes them
                raise
            if written:
                await asyncio.sleep(_COALESCE_SECONDS)
            else:
                self._changed.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def flush(self) -> bool:
        """Write all events that are not written yet; False if Redis is unavailable. Raises `StaleWriter`."""
        self._close_text()
        for _ in range(_MAX_CLAIMS):
            try:
                writer = self.writer or await self._claim()
                await writer.append_all(self.events[writer.last_sequence :])
            except LogLost:
                log.warning("reply's log was flushed; writing it again", log=self.name)
                self.writer = None
            except LogUnavailable as error:
                log.warning("reply's log is unavailable", log=self.name, reason=describe_error(error))
                return False
            else:
                return True
        return False

    async def _claim(self) -> LogWriter:
        """Become the log's writer. Raises `StaleWriter` if it has more events than this run has produced."""
        writer = await self.logs.claim(self.name)
        if writer.last_sequence > self.last_sequence:
            raise StaleWriter(self.name)
        self.writer = writer
        return writer
