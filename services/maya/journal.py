"""The log of a reply while it is made."""

import asyncio
from typing import Final, NoReturn

from core.logstream import LogLost, LogStream, LogUnavailable, LogWriter, StaleWriter
from core.telemetry import describe_error, logger
from services.maya.events import Event, Token, encode

COALESCE_SECONDS: Final = 0.02
RETRY_SECONDS: Final = 0.5
MOST_CLAIMS: Final = 5
log = logger(__name__)


class Journal:
    """All events of a reply from the first on, written down as they come.

    Text is gathered for 20 ms before it becomes an event; the first piece goes at once. A Redis that is away or was
    flushed loses nothing: the events are kept here, and written again under the same sequences.
    """

    def __init__(self, logs: LogStream, name: str) -> None:
        self.logs = logs
        self.name = name
        self.events: list[bytes] = []
        self.pending: list[str] = []
        self.stirred = asyncio.Event()
        self.writer: LogWriter | None = None

    @property
    def last_sequence(self) -> int:
        """The sequence of the newest event, written or not."""
        return len(self.events)

    def say(self, text: str) -> None:
        """The next piece of text."""
        self.pending.append(text)
        self.stirred.set()

    def note(self, event: Event) -> None:
        """An event other than text, after the text so far."""
        self.seal()
        self.events.append(encode(event))
        self.stirred.set()

    def seal(self) -> None:
        """Make the text so far an event."""
        if self.pending:
            self.events.append(encode(Token("".join(self.pending))))
            self.pending.clear()

    async def keep(self) -> NoReturn:
        """Write events down as they come, until cancelled. Raises `StaleWriter` when another run has taken over."""
        while True:
            await self.stirred.wait()
            self.stirred.clear()
            try:
                written = await self.flush()
            except asyncio.CancelledError:
                self.stirred.set()  # for the next run, if there is one
                raise
            if written:
                await asyncio.sleep(COALESCE_SECONDS)
            else:
                self.stirred.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def flush(self) -> bool:
        """Write what is not written yet; False when Redis does not take it now. Raises `StaleWriter`."""
        self.seal()
        for _ in range(MOST_CLAIMS):
            try:
                writer = self.writer or await self.claim()
                await writer.append_all(self.events[writer.last_sequence :])
            except LogLost:
                log.warning("reply's log was flushed; writing it again", log=self.name)
                self.writer = None
            except LogUnavailable as error:
                log.warning("reply's log is not available", log=self.name, reason=describe_error(error))
                return False
            else:
                return True
        return False

    async def claim(self) -> LogWriter:
        """Become the log's writer. Raises `StaleWriter` when it holds more than this run has to tell."""
        writer = await self.logs.claim(self.name)
        if writer.last_sequence > self.last_sequence:
            raise StaleWriter(self.name)
        self.writer = writer
        return writer
