"""Replies through the loss of workers, of Redis and of the database."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest
from redis.asyncio import Redis

from core.database.scopes import Reads
from core.leases import LeaseLost
from core.logstream import LogStream
from core.unit_of_work import UnitOfWork
from integrations.scripted import ScriptedModel, says
from models.conversations import MessageStatus
from services.conversations.reading import MessageRow
from services.conversations.work import reply_log
from services.maya import leases
from services.maya.running import END_TRIES
from tests.clocks import suspend
from tests.conftest import Servers
from tests.maya.acting import FOR_EVER, asked, begun, database_of, expire_lease, speaking
from tests.maya.conftest import Stage, sequences, set_stage, told
from tests.waiting import WAIT_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def test_a_reply_that_is_being_made_is_left_alone(stage: Stage) -> None:
    """A run that comes while another speaks neither ends nor repeats the reply."""
    gate = asyncio.Event()
    stage = stage.scripted(speaking("Before ", then=gate))
    reply = await stage.ask()
    async with stage.running(reply):
        await begun(stage, reply)
        assert (await stage.run(reply)).status == "streaming"
        gate.set()
    assert (await stage.stored(reply)).content == "Before the end"


async def test_an_expired_lease_changes_nothing_any_more(stage: Stage) -> None:
    """Once another run has taken the reply, the earlier one can neither keep, hand on nor end it."""
    reply = await stage.ask()
    work, tenant = stage.runtime.work, stage.actor
    async with work.begin(tenant) as uow:
        old = await leases.take(uow, reply.id)
    await expire_lease(stage, reply)
    async with work.begin(tenant) as uow:
        new = await leases.take(uow, reply.id)
    assert old is not None
    assert new is not None
    ending = leases.Ending(status=MessageStatus.COMPLETED, content="from the dead", last_sequence=1)
    changes: list[Callable[[UnitOfWork], Awaitable[None]]] = [
        lambda uow: leases.renew(uow, old, content="", last_sequence=0),
        lambda uow: leases.release(uow, old),
        lambda uow: leases.end(uow, old, ending),
    ]
    for change in changes:
        with pytest.raises(LeaseLost):
            async with work.begin(tenant) as uow:
                await change(uow)
    async with work.begin(tenant) as uow:
        await leases.end(uow, new, ending)
    assert (await stage.stored(reply)).status == "completed"


async def test_a_flush_in_the_middle(fresh_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis flushed while Maya speaks: running and new viewers still get every event once and in order.

    The viewer looks often enough to meet the empty log before it is written again.
    """
    monkeypatch.setattr("services.maya.watching.POLL_SECONDS", 0.02)
    gate = asyncio.Event()
    pieces = asyncio.Semaphore(0)
    stage = fresh_stage.scripted(speaking("one ", "two ", "three ", then=gate, every=pieces))
    reply = await stage.ask()
    viewer = asyncio.create_task(stage.see(reply))
    async with stage.running(reply):
        await begun(stage, reply, 1)
        pieces.release()
        await begun(stage, reply, 2)
        await stage.redis.flushdb()
        await asyncio.sleep(0.1)
        pieces.release()
        pieces.release()
        gate.set()
    events = await asyncio.wait_for(viewer, WAIT_SECONDS)
    assert told(events) == "one two three the end"
    assert sequences(events) == list(range(1, len(events) + 1))
    assert await stage.see(reply) == events


async def test_an_older_copy_of_redis(fresh_stage: Stage) -> None:
    """Redis comes back with an older copy of the log: what is missing is written again, in its place."""
    gate = asyncio.Event()
    pieces = asyncio.Semaphore(0)
    stage = fresh_stage.scripted(speaking("one ", "two ", "three ", then=gate, every=pieces))
    reply = await stage.ask()
    log = stage.runtime.logs.key(reply_log(stage.actor.organization_id, reply.id))
    async with stage.running(reply):
        await begun(stage, reply, 1)
        older = await stage.redis.dump(log)
        pieces.release()
        await begun(stage, reply, 2)
        await stage.redis.restore(log, 3_600_000, older, replace=True)
        pieces.release()
        pieces.release()
        gate.set()
    events = await stage.see(reply)
    assert told(events) == "one two three the end"
    assert sequences(events) == list(range(1, len(events) + 1))


async def test_a_flush_afterwards(fresh_stage: Stage) -> None:
    """When the log is gone, an ended reply is answered with its last event and the whole text."""
    stage = fresh_stage.scripted(says("All ", "of it."))
    reply = await stage.ask()
    ended = await stage.run(reply)
    await stage.redis.flushdb()
    for after in (0, 1):
        [last] = await stage.see(reply, after)
        assert (last.sequence, last.reply) == (ended.last_sequence, ended)
    assert await stage.see(reply, ended.last_sequence) == []


async def test_a_worker_that_died_before_the_last_event(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that lacks its last event, while the row has ended, is completed from the row."""
    monkeypatch.setattr("services.maya.watching.POLL_SECONDS", 0.1)
    stage = stage.scripted(says("All of it."))
    reply = await stage.ask()
    ended = await stage.run(reply)
    whole = await stage.see(reply)
    log = stage.runtime.logs.key(reply_log(stage.actor.organization_id, reply.id))
    await stage.redis.xdel(log, f"{ended.last_sequence}-0")
    assert await stage.see(reply) == whole


async def test_the_database_away_at_the_end(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply is stored although the database is away for a moment when it ends."""
    stage = stage.scripted(says("All of it."))
    failures = iter([OSError("away"), OSError("away")])
    whole = leases.end

    async def end(uow: UnitOfWork, lease: leases.Lease, ending: leases.Ending) -> None:
        if (failure := next(failures, None)) is not None:
            raise failure
        await whole(uow, lease, ending)

    monkeypatch.setattr("services.maya.running.leases.end", end)
    monkeypatch.setattr("services.maya.running.END_PAUSE_SECONDS", 0.01)
    ended = await stage.run(await stage.ask())
    assert (ended.status, ended.content) == ("completed", "All of it.")


async def test_the_database_away_for_too_long_at_the_end(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some tries the run gives up, and the sweeper finds the reply when its lease is over."""
    tries = 0

    async def end(_: UnitOfWork, __: leases.Lease, ___: leases.Ending) -> None:
        nonlocal tries
        tries += 1
        raise OSError("away")

    monkeypatch.setattr("services.maya.running.leases.end", end)
    monkeypatch.setattr("services.maya.running.END_PAUSE_SECONDS", 0.01)
    stage = stage.scripted(says("All of it."))
    reply = await stage.ask()
    with pytest.raises(OSError, match="away"):
        await stage.run(reply)
    assert tries == END_TRIES
    assert (await stage.stored(reply)).status == "streaming"
    await expire_lease(stage, reply)
    assert not await is_leased(stage, reply)


async def test_a_database_that_is_away_for_longer_than_the_lease(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run goes on while the lease lasts, and stops with nothing stored once another may have the reply."""
    monkeypatch.setattr("services.maya.running.POLL_SECONDS", 0.01)
    looked = 0

    async def cancel_requested(_: Reads, __: leases.Lease) -> bool:
        nonlocal looked
        looked += 1
        raise OSError("away")

    async def has_looked() -> bool:
        return looked > 3

    stage = stage.scripted(speaking("So far ", then=FOR_EVER))
    reply = await stage.ask()
    async with stage.running(reply) as run:
        await begun(stage, reply)
        monkeypatch.setattr("services.maya.running.leases.cancel_requested", cancel_requested)
        await until(has_looked)
        assert not run.done()
        suspend(monkeypatch, 3_600 + leases.LEASE_SECONDS)
        async with asyncio.timeout(WAIT_SECONDS):
            left = await asyncio.shield(run)
    assert (left.status, left.error_code) == ("streaming", None)


async def test_an_outage_after_a_renewal_is_counted_from_there(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that has renewed its lease has all of it once more, however long ago it began."""
    monkeypatch.setattr("services.maya.running.POLL_SECONDS", 0.01)
    looked, gate = 0, asyncio.Event()
    whole = leases.cancel_requested

    async def cancel_requested(_: Reads, __: leases.Lease) -> bool:
        nonlocal looked
        looked += 1
        raise OSError("away")

    async def has_looked() -> bool:
        return looked > 3 or run.done()

    stage = stage.scripted(speaking("So far ", then=gate))
    reply = await stage.ask()
    async with stage.running(reply) as run:
        await begun(stage, reply)
        await expire_lease(stage, reply)
        suspend(monkeypatch, 2 * leases.LEASE_SECONDS)
        await until(lambda: is_leased(stage, reply))
        monkeypatch.setattr("services.maya.running.leases.cancel_requested", cancel_requested)
        await until(has_looked)
        assert not run.done()
        monkeypatch.setattr("services.maya.running.leases.cancel_requested", whole)
        gate.set()
    assert (await stage.stored(reply)).status == "completed"


async def test_a_database_that_is_cut_off_in_the_middle(fresh_stage: Stage, servers: Servers) -> None:
    """All connections to the database are ended while Maya speaks: the reply goes on and is stored."""
    gate = asyncio.Event()
    stage = fresh_stage.scripted(speaking("Before ", then=gate))
    reply = await stage.ask()
    async with stage.running(reply):
        await begun(stage, reply)
        admin = await asyncpg.connect(servers.postgres.admin_url)
        try:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database_of(stage)
            )
        finally:
            await admin.close()
        await asyncio.sleep(0.7)
        gate.set()
    ended = await stage.stored(reply)
    assert (ended.status, ended.content) == ("completed", "Before the end")


async def test_redis_away_all_the_time(stage: Stage) -> None:
    """Without Redis the reply is made and stored all the same."""
    async with asyncio.timeout(WAIT_SECONDS), Redis.from_url("redis://127.0.0.1:9/0") as nobody:
        deaf = replace(stage.runtime, logs=LogStream(nobody, within=0.1))
        away = replace(stage, runtime=deaf).scripted(says("Still ", "here."))
        ended = await away.run(await away.ask())
    assert (ended.status, ended.content) == ("completed", "Still here.")


async def test_a_shutdown(stage: Stage) -> None:
    """A run that is cancelled by its process ends what it began, and hands on what it had not."""
    model = ScriptedModel([speaking("Half of ", then=FOR_EVER), speaking(then=FOR_EVER), says("Whole.")])
    stage = stage.with_model(model)
    spoken = await stage.ask()
    run = asyncio.create_task(stage.run(spoken))
    await begun(stage, spoken)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert (await stage.stored(spoken)).error_code == "INTERRUPTED"
    silent = await stage.ask()
    run = asyncio.create_task(stage.run(silent))
    await asked(model, 2)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert (await stage.stored(silent)).status == "pending"
    assert (await stage.run(silent)).content == "Whole."


async def test_the_sweeper_finds_what_nobody_has(fresh_stage: Stage) -> None:
    """A reply is found while it waits and once its lease has ended, not while a run has it or it has ended."""
    stage = fresh_stage.scripted(speaking("Hm ", then=FOR_EVER))
    reply = await stage.ask()
    system = stage.runtime.system
    assert await leases.open_replies(system, UUID(int=0), 1_000) == [stage.job(reply)]
    run = asyncio.create_task(stage.run(reply))
    await begun(stage, reply)
    assert await leases.open_replies(system, UUID(int=0), 1_000) == []
    await expire_lease(stage, reply)
    assert await leases.open_replies(system, UUID(int=0), 1_000) == [stage.job(reply)]
    await stage.cancel(reply)
    await asyncio.wait_for(run, WAIT_SECONDS)
    assert await leases.open_replies(system, UUID(int=0), 1_000) == []


async def test_waiting_replies_are_found_page_by_page(fresh_stage: Stage) -> None:
    """In the order of their ids, beyond the last of the page before."""
    stages = [fresh_stage, *[await set_stage(fresh_stage.runtime) for _ in range(2)]]
    jobs = sorted([stage.job(await stage.ask()) for stage in stages], key=lambda job: job.message_id)
    system = fresh_stage.runtime.system
    assert await leases.open_replies(system, UUID(int=0), 2) == jobs[:2]
    assert await leases.open_replies(system, jobs[1].message_id, 2) == jobs[2:]


async def test_a_long_run_keeps_its_lease(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Maya speaks the lease is renewed, and what was said so far is stored."""
    monkeypatch.setattr("services.maya.running.POLL_SECONDS", 0.05)
    monkeypatch.setattr("services.maya.running.RENEW_SECONDS", 0.1)
    gate = asyncio.Event()
    stage = stage.scripted(speaking("So far ", then=gate))
    reply = await stage.ask()
    async with stage.running(reply):
        await begun(stage, reply)
        for _ in range(2):
            await expire_lease(stage, reply)
            await until(lambda: is_leased(stage, reply))
        midway = await stage.stored(reply)
        gate.set()
    assert (midway.status, midway.content, midway.last_sequence) == ("streaming", "So far ", 1)


async def test_a_lease_is_renewed_when_the_host_was_suspended(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, as the database's clock went on meanwhile, and not when the process has run for long enough."""
    monkeypatch.setattr("services.maya.running.POLL_SECONDS", 0.05)
    monkeypatch.setattr("services.maya.running.RENEW_SECONDS", 600.0)
    gate = asyncio.Event()
    stage = stage.scripted(speaking("So far ", then=gate))
    reply = await stage.ask()
    async with stage.running(reply):
        await begun(stage, reply)
        await expire_lease(stage, reply)
        suspend(monkeypatch, 1_200)
        await until(lambda: is_leased(stage, reply))
        gate.set()
    assert (await stage.stored(reply)).status == "completed"


async def is_leased(stage: Stage, reply: MessageRow) -> bool:
    """Whether a run has the reply."""
    return stage.job(reply) not in await leases.open_replies(stage.runtime.system, UUID(int=0), 1_000)
