"""The log of a reply as its run writes it, with a Redis that comes and goes, and beside another run."""

import asyncio

import pytest

from core.ids import new_id
from core.logstream import LogStream, LogUnavailable, LogWriter, StaleWriter
from runtime import Runtime
from services.maya.events import Token, ToolStarted, encode
from services.maya.journal import Journal
from tests.waiting import until


class Away(LogStream):
    """Logs that cannot be reached so many times."""

    def __init__(self, logs: LogStream, times: int) -> None:
        super().__init__(logs._redis)
        self.times = times

    async def claim(self, name: str) -> LogWriter:
        """Claim, once Redis is back."""
        if self.times:
            self.times -= 1
            raise LogUnavailable(name)
        return await super().claim(name)


async def test_what_could_not_be_written_is_written_later(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as Redis is back, though nothing more is said meanwhile."""
    monkeypatch.setattr("services.maya.journal.RETRY_SECONDS", 0.01)
    name = new_id().hex
    journal = Journal(Away(runtime.logs, times=2), name)
    journal.say("Hello")

    async def is_written() -> bool:
        return await runtime.logs.last_sequence(name) == 1

    keeping = asyncio.create_task(journal.keep())
    try:
        await until(is_written)
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def test_a_log_that_tells_more_than_this_run_is_anothers(runtime: Runtime) -> None:
    """A run that has said less than stands in the log has lost its reply, and writes nothing into it."""
    name = new_id().hex
    await (await runtime.logs.claim(name)).append_all([encode(Token("One, ")), encode(Token("two"))])
    journal = Journal(runtime.logs, name)
    journal.say("Anew")
    with pytest.raises(StaleWriter):
        await journal.flush()
    assert await runtime.logs.last_sequence(name) == 2


async def test_other_events_come_after_the_text_so_far(runtime: Runtime) -> None:
    """What was said before a look-up stands before it in the log, in one piece."""
    journal = Journal(runtime.logs, new_id().hex)
    journal.say("Let me ")
    journal.say("see.")
    journal.note(ToolStarted("list_campaigns"))
    assert await journal.flush()
    entries = [entry.event for entry in await runtime.logs.read(journal.name)]
    assert entries == [encode(Token("Let me see.")), encode(ToolStarted("list_campaigns"))]
