"""Replies whose run died: they start again, or end with the text so far."""

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from sqlalchemy import func, update

from core.logstream import LogStream
from integrations.scripted import ScriptedModel, text_reply
from models.conversations import MayaMessage
from services.conversations.reading import MessageRow
from services.conversations.work import reply_log
from tests.maya.conftest import Chat, sequences, text_of
from tests.maya.turns import FOREVER, expire_lease, streaming_turn, wait_for_events, wait_for_prompts
from tests.waiting import WAIT_SECONDS


async def test_a_reply_fails_after_three_dead_runs(chat: Chat) -> None:
    """After three runs that died without output it is not run again."""
    model = ScriptedModel([])
    chat = chat.with_model(model)
    reply = await chat.ask()
    await chat.runtime.logs.claim(reply_log(chat.actor.organization_id, reply.id))
    await set_attempts(chat, reply, 3)
    final = await chat.run(reply)
    assert (final.status, final.error_code) == ("failed", "INTERRUPTED")
    assert model.prompts == []


async def test_a_reply_can_succeed_in_its_third_run(chat: Chat) -> None:
    """After two runs that died without output it is run again."""
    chat = chat.scripted(text_reply("At last."))
    reply = await chat.ask()
    await chat.runtime.logs.claim(reply_log(chat.actor.organization_id, reply.id))
    await set_attempts(chat, reply, 2)
    final = await chat.run(reply)
    assert (final.status, final.content) == ("completed", "At last.")


async def set_attempts(chat: Chat, reply: MessageRow, attempts: int) -> None:
    """Set the number of runs that have died."""
    async with chat.runtime.work.begin(chat.actor) as uow:
        await uow.execute(update(MayaMessage).where(MayaMessage.id == reply.id).values(attempt=attempts))


async def test_a_dead_run_with_output_is_interrupted(chat: Chat) -> None:
    """The reply ends with INTERRUPTED and keeps its text; the dead run can no longer change it."""
    gate = asyncio.Event()
    chat = chat.scripted(streaming_turn("Half of ", then=gate))
    reply = await chat.ask()
    viewer = asyncio.create_task(chat.read_events(reply))
    async with chat.running(reply):
        await wait_for_events(chat, reply)
        await expire_lease(chat, reply)
        final = await chat.run(reply)
        gate.set()
    assert (final.status, final.content, final.error_code) == ("failed", "Half of ", "INTERRUPTED")
    assert await chat.stored(reply) == final
    events = await asyncio.wait_for(viewer, WAIT_SECONDS)
    assert text_of(events) == "Half of "
    assert events[-1].reply == final
    assert sequences(events) == [1, 2]


async def test_the_text_of_a_dead_run_is_read_from_the_log(chat: Chat) -> None:
    """The row has the text at the last renewal of the lease; the additional text of the log is stored as well."""
    gate, pieces = asyncio.Event(), asyncio.Semaphore(0)
    chat = chat.scripted(streaming_turn("Half ", "of ", then=gate, every=pieces))
    reply = await chat.ask()
    async with chat.running(reply):
        await wait_for_events(chat, reply)
        async with chat.runtime.work.begin(chat.actor) as uow:
            await uow.execute(
                update(MayaMessage).where(MayaMessage.id == reply.id).values(content="Half ", last_sequence=1)
            )
        pieces.release()
        await wait_for_events(chat, reply, 2)
        await expire_lease(chat, reply)
        final = await chat.run(reply)
        pieces.release()
        gate.set()
    assert (final.content, final.error_code) == ("Half of ", "INTERRUPTED")


async def test_a_dead_run_without_redis(chat: Chat) -> None:
    """If the log is unavailable, the reply ends with the text in its row."""
    gate = asyncio.Event()
    chat = chat.scripted(streaming_turn("Half of ", then=gate))
    reply = await chat.ask()
    async with chat.running(reply), Redis.from_url("redis://127.0.0.1:9/0") as unavailable:
        await wait_for_events(chat, reply)
        async with chat.runtime.work.begin(chat.actor) as uow:
            columns = {"content": "Half ", "last_sequence": 1}
            await uow.execute(update(MayaMessage).where(MayaMessage.id == reply.id).values(columns))
        await expire_lease(chat, reply)
        final = await replace(chat, runtime=replace(chat.runtime, logs=LogStream(unavailable, within=0.1))).run(reply)
        gate.set()
    assert (final.content, final.last_sequence, final.error_code) == ("Half ", 2, "INTERRUPTED")


async def test_a_dead_run_that_was_cancelled(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that was cancelled when its worker died ends as CANCELLED, with the text so far."""
    monkeypatch.setattr("services.maya.running.POLL_SECONDS", FOREVER)
    gate = asyncio.Event()
    chat = chat.scripted(streaming_turn("Half of ", then=gate))
    reply = await chat.ask()
    async with chat.running(reply):
        await wait_for_events(chat, reply)
        async with chat.runtime.work.begin(chat.actor) as uow:
            await uow.execute(
                update(MayaMessage).where(MayaMessage.id == reply.id).values(cancel_requested_at=func.now())
            )
        await expire_lease(chat, reply)
        final = await chat.run(reply)
        gate.set()
    assert (final.status, final.content, final.error_code) == ("cancelled", "Half of ", None)


async def test_a_dead_run_without_output_starts_again(chat: Chat) -> None:
    """The reply has the text of the second run only."""
    model = ScriptedModel([streaming_turn(then=FOREVER), text_reply("Second try.")])
    chat = chat.with_model(model)
    reply = await chat.ask()
    first = asyncio.create_task(chat.run(reply))
    await wait_for_prompts(model)
    await expire_lease(chat, reply)
    final = await chat.run(reply)
    assert (final.status, final.content) == ("completed", "Second try.")
    await asyncio.wait_for(first, WAIT_SECONDS)
    assert text_of(await chat.read_events(reply)) == "Second try."


async def test_a_dead_run_and_a_flush(fresh_chat: Chat) -> None:
    """If worker and log are both lost, the reply ends with INTERRUPTED, and subscribers get the last event."""
    gate = asyncio.Event()
    chat = fresh_chat.scripted(streaming_turn("Half of ", then=gate))
    reply = await chat.ask()
    async with chat.running(reply):
        await wait_for_events(chat, reply)
        await expire_lease(chat, reply)
        await chat.redis.flushdb()
        final = await chat.run(reply)
        gate.set()
    assert final.error_code == "INTERRUPTED"
    [last] = await chat.read_events(reply, 7)
    assert (last.sequence, last.reply) == (8, final)
