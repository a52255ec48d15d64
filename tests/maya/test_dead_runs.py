"""Replies whose run has died: made anew, or ended with what was said."""

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from sqlalchemy import func, update

from core.logstream import LogStream
from integrations.scripted import ScriptedModel, says
from models.conversations import Message
from services.conversations.reading import MessageRow
from services.conversations.work import reply_log
from tests.maya.acting import FOR_EVER, asked, begun, expire_lease, speaking
from tests.maya.conftest import Stage, sequences, told
from tests.waiting import WAIT_SECONDS


async def test_a_reply_whose_runs_keep_dying(stage: Stage) -> None:
    """After three runs that died in silence the reply is given up."""
    model = ScriptedModel([])
    stage = stage.with_model(model)
    reply = await stage.ask()
    await stage.runtime.logs.claim(reply_log(stage.actor.organization_id, reply.id))
    await set_attempts(stage, reply, 3)
    ended = await stage.run(reply)
    assert (ended.status, ended.error_code) == ("failed", "INTERRUPTED")
    assert model.prompts == []


async def test_a_reply_whose_third_run_succeeds(stage: Stage) -> None:
    """Two runs that died in silence are not too many."""
    stage = stage.scripted(says("At last."))
    reply = await stage.ask()
    await stage.runtime.logs.claim(reply_log(stage.actor.organization_id, reply.id))
    await set_attempts(stage, reply, 2)
    ended = await stage.run(reply)
    assert (ended.status, ended.content) == ("completed", "At last.")


async def set_attempts(stage: Stage, reply: MessageRow, attempts: int) -> None:
    """Let so many runs of the reply have died."""
    async with stage.runtime.work.begin(stage.actor) as uow:
        await uow.execute(update(Message).where(Message.id == reply.id).values(attempt=attempts))


async def test_a_dead_run_that_had_spoken(stage: Stage) -> None:
    """A reply whose worker died in the middle ends with INTERRUPTED and keeps its text; the dead one is shut out."""
    gate = asyncio.Event()
    stage = stage.scripted(speaking("Half of ", then=gate))
    reply = await stage.ask()
    viewer = asyncio.create_task(stage.see(reply))
    async with stage.running(reply):
        await begun(stage, reply)
        await expire_lease(stage, reply)
        ended = await stage.run(reply)
        gate.set()
    assert (ended.status, ended.content, ended.error_code) == ("failed", "Half of ", "INTERRUPTED")
    assert await stage.stored(reply) == ended
    events = await asyncio.wait_for(viewer, WAIT_SECONDS)
    assert told(events) == "Half of "
    assert events[-1].reply == ended
    assert sequences(events) == [1, 2]


async def test_a_dead_run_whose_row_is_behind_its_log(stage: Stage) -> None:
    """The row has what was said when the lease was last renewed; what was shown since is kept as well."""
    gate, pieces = asyncio.Event(), asyncio.Semaphore(0)
    stage = stage.scripted(speaking("Half ", "of ", then=gate, every=pieces))
    reply = await stage.ask()
    async with stage.running(reply):
        await begun(stage, reply)
        async with stage.runtime.work.begin(stage.actor) as uow:
            await uow.execute(update(Message).where(Message.id == reply.id).values(content="Half ", last_sequence=1))
        pieces.release()
        await begun(stage, reply, 2)
        await expire_lease(stage, reply)
        ended = await stage.run(reply)
        pieces.release()
        gate.set()
    assert (ended.content, ended.error_code) == ("Half of ", "INTERRUPTED")


async def test_a_dead_run_without_redis(stage: Stage) -> None:
    """With the log out of reach the reply ends with the text that its row has."""
    gate = asyncio.Event()
    stage = stage.scripted(speaking("Half of ", then=gate))
    reply = await stage.ask()
    async with stage.running(reply), Redis.from_url("redis://127.0.0.1:9/0") as nobody:
        await begun(stage, reply)
        async with stage.runtime.work.begin(stage.actor) as uow:
            stored = {"content": "Half ", "last_sequence": 1}
            await uow.execute(update(Message).where(Message.id == reply.id).values(stored))
        await expire_lease(stage, reply)
        ended = await replace(stage, runtime=replace(stage.runtime, logs=LogStream(nobody, within=0.1))).run(reply)
        gate.set()
    assert (ended.content, ended.last_sequence, ended.error_code) == ("Half ", 2, "INTERRUPTED")


async def test_a_dead_run_that_was_to_stop(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that somebody wanted to stop when its worker died is CANCELLED, with what was said."""
    monkeypatch.setattr("services.maya.running.POLL_SECONDS", FOR_EVER)
    gate = asyncio.Event()
    stage = stage.scripted(speaking("Half of ", then=gate))
    reply = await stage.ask()
    async with stage.running(reply):
        await begun(stage, reply)
        async with stage.runtime.work.begin(stage.actor) as uow:
            await uow.execute(update(Message).where(Message.id == reply.id).values(cancel_requested_at=func.now()))
        await expire_lease(stage, reply)
        ended = await stage.run(reply)
        gate.set()
    assert (ended.status, ended.content, ended.error_code) == ("cancelled", "Half of ", None)


async def test_a_dead_run_that_was_silent(stage: Stage) -> None:
    """A reply of which nothing was shown is made anew."""
    model = ScriptedModel([speaking(then=FOR_EVER), says("Second try.")])
    stage = stage.with_model(model)
    reply = await stage.ask()
    first = asyncio.create_task(stage.run(reply))
    await asked(model)
    await expire_lease(stage, reply)
    ended = await stage.run(reply)
    assert (ended.status, ended.content) == ("completed", "Second try.")
    await asyncio.wait_for(first, WAIT_SECONDS)
    assert told(await stage.see(reply)) == "Second try."


async def test_a_dead_run_and_a_flush(fresh_stage: Stage) -> None:
    """With worker and log both gone, the reply ends with INTERRUPTED, and viewers of the old log get the end."""
    gate = asyncio.Event()
    stage = fresh_stage.scripted(speaking("Half of ", then=gate))
    reply = await stage.ask()
    async with stage.running(reply):
        await begun(stage, reply)
        await expire_lease(stage, reply)
        await stage.redis.flushdb()
        ended = await stage.run(reply)
        gate.set()
    assert ended.error_code == "INTERRUPTED"
    [last] = await stage.see(reply, 7)
    assert (last.sequence, last.reply) == (8, ended)
