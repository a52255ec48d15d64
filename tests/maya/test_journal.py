"""Writing the log of a reply while Redis is unavailable, and while another run writes it."""

import asyncio

import pytest

from core.ids import new_id
from core.logstream import LogStream, LogUnavailable, LogWriter, StaleWriter
from runtime import Runtime
from services.maya.events import Token, ToolStarted, encode
from services.maya.journal import Journal
from tests.waiting import until


class UnavailableLogs(LogStream):
    """Logs that are unavailable for the first calls."""

    def __init__(self, logs: LogStream, times: int) -> None:
        super().__init__(logs._redis)
        self.times = times

    async def claim(self, name: str) -> LogWriter:
        """Claim the log, or raise `LogUnavailable`."""
        if self.times:
            self.times -= 1
            raise LogUnavailable(name)
        return await super().claim(name)


async def test_failed_writes_are_retried(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are written once Redis is available again, also if no more events follow."""
    monkeypatch.setattr("services.maya.journal.RETRY_SECONDS", 0.01)
    name = new_id().hex
    journal = Journal(UnavailableLogs(runtime.logs, times=2), name)
    journal.add_text("Hello")

    async def is_written() -> bool:
        return await runtime.logs.last_sequence(name) == 1

    writing = asyncio.create_task(journal.write_events())
    try:
        await until(is_written)
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


async def test_a_log_with_more_events_belongs_to_another_run(runtime: Runtime) -> None:
    """A run that has fewer events than the log has lost its lease, and writes nothing."""
    name = new_id().hex
    await (await runtime.logs.claim(name)).append_all([encode(Token("One, ")), encode(Token("two"))])
    journal = Journal(runtime.logs, name)
    journal.add_text("Anew")
    with pytest.raises(StaleWriter):
        await journal.flush()
    assert await runtime.logs.last_sequence(name) == 2


async def test_text_is_written_before_a_later_event(runtime: Runtime) -> None:
    """The text before a tool call precedes it in the log, as one event."""
    journal = Journal(runtime.logs, new_id().hex)
    journal.add_text("Let me ")
    journal.add_text("see.")
    journal.add_event(ToolStarted("list_campaigns"))
    assert await journal.flush()
    entries = [entry.event for entry in await runtime.logs.read(journal.name)]
    assert entries == [encode(Token("Let me see.")), encode(ToolStarted("list_campaigns"))]
