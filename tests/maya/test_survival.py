"""Replies despite the loss of workers, of Redis and of the database."""

import asyncio
import math
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest
from redis.asyncio import Redis

from core.database.scopes import Reader
from core.leases import LeaseLost
from core.logstream import LogStream
from core.unit_of_work import UnitOfWork
from integrations.language import Prompt, ReplyPiece, TextPiece
from integrations.scripted import ScriptedModel, text_reply
from models.conversations import MessageStatus
from services.conversations.reading import MessageRow
from services.conversations.work import reply_log
from services.maya import leases
from services.maya.running import _END_TRIES
from tests.clocks import suspend
from tests.conftest import Servers
from tests.maya.conftest import Chat, sequences, start_chat, text_of
from tests.maya.turns import FOREVER, database_of, expire_lease, streaming_turn, wait_for_events, wait_for_prompts
from tests.waiting import WAIT_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class FailingEnd:
    """`leases.end`, whose first calls fail as they do when the database is unavailable."""

    def __init__(self, failures: float) -> None:
        self.failures = failures
        self.calls = 0
        self.end = leases.end

    async def __call__(self, uow: UnitOfWork, lease: leases.Lease, result: leases.ReplyResult) -> None:
        """Fail, or end the reply."""
        self.calls += 1
        if self.calls <= self.failures:
            raise OSError("unavailable")
        await self.end(uow, lease, result)


class FailingPoll:
    """`leases.cancel_requested`, which fails as it does while the database is unavailable."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, _: Reader, __: leases.Lease) -> bool:
        """Fail."""
        self.calls += 1
        raise OSError("unavailable")

    async def until_noticed(self, run: "asyncio.Task[MessageRow]") -> None:
        """Wait until the run has polled several times; fails if the run has ended."""

        async def is_noticed() -> bool:
            return self.calls > 3 or run.done()

        await until(is_noticed)
        assert not run.done()


class Pieces:
    """A turn of three pieces and an end; the test releases the second and the third piece."""

    def __init__(self) -> None:
        self.released = asyncio.Semaphore(0)
        self.gate = asyncio.Event()
        self.turn = streaming_turn("one ", "two ", "three ", then=self.gate, every=self.released)

    def release_rest(self) -> None:
        """Let the model generate everything that is left."""
        self.released.release()
        self.released.release()
        self.gate.set()


async def shut_down(run: "asyncio.Task[MessageRow]") -> None:
    """Cancel a run, as a process does that shuts down."""
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def test_a_second_run_leaves_a_leased_reply_alone(chat: Chat) -> None:
    """A run that starts while another one holds the lease neither ends nor repeats the reply."""
    gate = asyncio.Event()
    chat = chat.scripted(streaming_turn("Before ", then=gate))
    reply = await chat.ask()
    async with chat.running(reply):
        await wait_for_events(chat, reply)
        assert (await chat.run(reply)).status == "streaming"
        gate.set()
    assert (await chat.stored(reply)).content == "Before the end"


async def test_a_run_that_lost_its_lease_changes_nothing(chat: Chat) -> None:
    """Once another run has leased the reply, the earlier one can neither renew, release nor end it."""
    reply = await chat.ask()
    work, tenant = chat.runtime.work, chat.actor
    async with work.begin(tenant) as uow:
        old = await leases.acquire(uow, reply.id)
    await expire_lease(chat, reply)
    async with work.begin(tenant) as uow:
        new = await leases.acquire(uow, reply.id)
    assert old is not None
    assert new is not None
    ending = leases.ReplyResult(status=MessageStatus.COMPLETED, content="from the dead", last_sequence=1)
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
    assert (await chat.stored(reply)).status == "completed"


async def test_a_flush_in_the_middle(fresh_chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a flush of Redis during a reply, all subscribers still get every event once and in order.

    The subscriber polls often enough to see the empty log before it is written again.
    """
    monkeypatch.setattr("services.maya.watching.POLL_SECONDS", 0.02)
    pieces = Pieces()
    chat = fresh_chat.scripted(pieces.turn)
    reply = await chat.ask()
    viewer = asyncio.create_task(chat.read_events(reply))
    async with chat.running(reply):
        await wait_for_events(chat, reply, 1)
        pieces.released.release()
        await wait_for_events(chat, reply, 2)
        await chat.redis.flushdb()
        await asyncio.sleep(0.1)
        pieces.release_rest()
    events = await asyncio.wait_for(viewer, WAIT_SECONDS)
    assert text_of(events) == "one two three the end"
    assert sequences(events) == list(range(1, len(events) + 1))
    assert await chat.read_events(reply) == events


async def test_an_older_copy_of_redis(fresh_chat: Chat) -> None:
    """If Redis is restored with an older copy of the log, the missing events are written again."""
    pieces = Pieces()
    chat = fresh_chat.scripted(pieces.turn)
    reply = await chat.ask()
    log = chat.runtime.logs.key(reply_log(chat.actor.organization_id, reply.id))
    async with chat.running(reply):
        await wait_for_events(chat, reply, 1)
        older = await chat.redis.dump(log)
        pieces.released.release()
        await wait_for_events(chat, reply, 2)
        await chat.redis.restore(log, 3_600_000, older, replace=True)
        pieces.release_rest()
    events = await chat.read_events(reply)
    assert text_of(events) == "one two three the end"
    assert sequences(events) == list(range(1, len(events) + 1))


async def test_a_flush_after_the_end(fresh_chat: Chat) -> None:
    """Without its log, an ended reply has only its last event, with the whole text."""
    chat = fresh_chat.scripted(text_reply("All ", "of it."))
    reply = await chat.ask()
    final = await chat.run(reply)
    await chat.redis.flushdb()
    for after in (0, 1):
        [last] = await chat.read_events(reply, after)
        assert (last.sequence, last.reply) == (final.last_sequence, final)
    assert await chat.read_events(reply, final.last_sequence) == []


async def test_a_worker_that_died_before_the_last_event(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that lacks its last event, while the row has ended, is completed from the row."""
    monkeypatch.setattr("services.maya.watching.POLL_SECONDS", 0.1)
    chat = chat.scripted(text_reply("All of it."))
    reply = await chat.ask()
    final = await chat.run(reply)
    whole = await chat.read_events(reply)
    log = chat.runtime.logs.key(reply_log(chat.actor.organization_id, reply.id))
    await chat.redis.xdel(log, f"{final.last_sequence}-0")
    assert await chat.read_events(reply) == whole


async def test_the_result_is_stored_after_a_short_outage(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is unavailable for a moment when the reply ends."""
    chat = chat.scripted(text_reply("All of it."))
    monkeypatch.setattr("services.maya.running.leases.end", FailingEnd(failures=2))
    monkeypatch.setattr("services.maya.running.END_PAUSE_SECONDS", 0.01)
    final = await chat.run(await chat.ask())
    assert (final.status, final.content) == ("completed", "All of it.")


async def test_a_reply_is_found_again_after_a_long_outage(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the result cannot be stored after some attempts, the sweeper finds the reply once its lease has expired."""
    end = FailingEnd(failures=math.inf)
    monkeypatch.setattr("services.maya.running.leases.end", end)
    monkeypatch.setattr("services.maya.running.END_PAUSE_SECONDS", 0.01)
    chat = chat.scripted(text_reply("All of it."))
    reply = await chat.ask()
    with pytest.raises(OSError, match="unavailable"):
        await chat.run(reply)
    assert end.calls == _END_TRIES
    assert (await chat.stored(reply)).status == "streaming"
    await expire_lease(chat, reply)
    assert not await is_leased(chat, reply)


async def test_a_run_stops_when_an_outage_outlasts_its_lease(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run continues while it holds the lease, and stops without a result once another run may hold it."""
    monkeypatch.setattr("services.maya.running.POLL_SECONDS", 0.01)
    poll = FailingPoll()
    chat = chat.scripted(streaming_turn("So far ", then=FOREVER))
    reply = await chat.ask()
    async with chat.running(reply) as run:
        await wait_for_events(chat, reply)
        monkeypatch.setattr("services.maya.running.leases.cancel_requested", poll)
        await poll.until_noticed(run)
        suspend(monkeypatch, 3_600 + leases.LEASE_SECONDS)
        async with asyncio.timeout(WAIT_SECONDS):
            left = await asyncio.shield(run)
    assert (left.status, left.error_code) == ("streaming", None)


async def test_a_renewed_lease_lasts_from_its_renewal(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an outage a run continues for the full lease after its last renewal, independent of its start."""
    monkeypatch.setattr("services.maya.running.POLL_SECONDS", 0.01)
    poll, gate = FailingPoll(), asyncio.Event()
    cancel_requested = leases.cancel_requested
    chat = chat.scripted(streaming_turn("So far ", then=gate))
    reply = await chat.ask()
    async with chat.running(reply) as run:
        await wait_for_events(chat, reply)
        await expire_lease(chat, reply)
        suspend(monkeypatch, 2 * leases.LEASE_SECONDS)
        await until(lambda: is_leased(chat, reply))
        monkeypatch.setattr("services.maya.running.leases.cancel_requested", poll)
        await poll.until_noticed(run)
        monkeypatch.setattr("services.maya.running.leases.cancel_requested", cancel_requested)
        gate.set()
    assert (await chat.stored(reply)).status == "completed"


async def test_a_reply_goes_on_when_all_connections_are_closed(fresh_chat: Chat, servers: Servers) -> None:
    """The database closes all connections during a reply: the reply continues and is stored."""
    gate = asyncio.Event()
    chat = fresh_chat.scripted(streaming_turn("Before ", then=gate))
    reply = await chat.ask()
    async with chat.running(reply):
        await wait_for_events(chat, reply)
        admin = await asyncpg.connect(servers.postgres.admin_url)
        try:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database_of(chat)
            )
        finally:
            await admin.close()
        await asyncio.sleep(0.7)
        gate.set()
    final = await chat.stored(reply)
    assert (final.status, final.content) == ("completed", "Before the end")


async def test_a_reply_is_stored_without_redis(chat: Chat) -> None:
    """Redis is unavailable during the whole run."""
    async with asyncio.timeout(WAIT_SECONDS), Redis.from_url("redis://127.0.0.1:9/0") as unavailable:
        runtime = replace(chat.runtime, logs=LogStream(unavailable, within=0.1))
        chat = replace(chat, runtime=runtime).scripted(text_reply("Still ", "here."))
        final = await chat.run(await chat.ask())
    assert (final.status, final.content) == ("completed", "Still here.")


async def test_a_shutdown_ends_or_releases_a_reply(chat: Chat) -> None:
    """A run that is cancelled by its process ends a reply with output, and releases one without."""
    model = ScriptedModel(
        [streaming_turn("Half of ", then=FOREVER), streaming_turn(then=FOREVER), text_reply("Whole.")]
    )
    chat = chat.with_model(model)
    reply = await chat.ask()
    run = asyncio.create_task(chat.run(reply))
    await wait_for_events(chat, reply)
    await shut_down(run)
    assert (await chat.stored(reply)).error_code == "INTERRUPTED"
    silent = await chat.ask()
    run = asyncio.create_task(chat.run(silent))
    await wait_for_prompts(model, 2)
    await shut_down(run)
    assert (await chat.stored(silent)).status == "pending"
    assert (await chat.run(silent)).content == "Whole."


async def test_a_shutdown_releases_a_reply_whose_text_is_held_back(chat: Chat) -> None:
    """Text that the output filter holds back has reached no subscriber, so that another run may start again."""
    has_text = asyncio.Event()

    async def turn(_: Prompt) -> AsyncGenerator[ReplyPiece, None]:
        yield TextPiece("www")  # the start of a URL, unless other text follows
        has_text.set()
        await asyncio.sleep(FOREVER)

    chat = chat.with_model(ScriptedModel([turn, text_reply("Whole.")]))
    reply = await chat.ask()
    run = asyncio.create_task(chat.run(reply))
    await asyncio.wait_for(has_text.wait(), WAIT_SECONDS)
    await shut_down(run)
    assert (await chat.stored(reply)).status == "pending"
    assert (await chat.run(reply)).content == "Whole."


async def test_the_sweeper_finds_replies_without_a_lease(fresh_chat: Chat) -> None:
    """A reply is found while it is pending and once its lease has expired, not while it is leased or has ended."""
    chat = fresh_chat.scripted(streaming_turn("Hm ", then=FOREVER))
    reply = await chat.ask()
    system = chat.runtime.system
    assert await leases.open_replies(system, UUID(int=0), 1_000) == [chat.job(reply)]
    run = asyncio.create_task(chat.run(reply))
    await wait_for_events(chat, reply)
    assert await leases.open_replies(system, UUID(int=0), 1_000) == []
    await expire_lease(chat, reply)
    assert await leases.open_replies(system, UUID(int=0), 1_000) == [chat.job(reply)]
    await chat.cancel(reply)
    await asyncio.wait_for(run, WAIT_SECONDS)
    assert await leases.open_replies(system, UUID(int=0), 1_000) == []


async def test_pending_replies_are_found_page_by_page(fresh_chat: Chat) -> None:
    """In the order of their ids, after the last one of the previous page."""
    chats = [fresh_chat, *[await start_chat(fresh_chat.runtime) for _ in range(2)]]
    jobs = sorted([chat.job(await chat.ask()) for chat in chats], key=lambda job: job.message_id)
    system = fresh_chat.runtime.system
    assert await leases.open_replies(system, UUID(int=0), 2) == jobs[:2]
    assert await leases.open_replies(system, jobs[1].message_id, 2) == jobs[2:]


async def test_a_long_run_renews_its_lease(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """During a run the lease is renewed, and the text so far is stored."""
    monkeypatch.setattr("services.maya.running.POLL_SECONDS", 0.05)
    monkeypatch.setattr("services.maya.running.RENEW_SECONDS", 0.1)
    gate = asyncio.Event()
    chat = chat.scripted(streaming_turn("So far ", then=gate))
    reply = await chat.ask()
    async with chat.running(reply):
        await wait_for_events(chat, reply)
        for _ in range(2):
            await expire_lease(chat, reply)
            await until(lambda: is_leased(chat, reply))
        midway = await chat.stored(reply)
        gate.set()
    assert (midway.status, midway.content, midway.last_sequence) == ("streaming", "So far ", 1)


async def test_a_lease_is_renewed_when_the_host_was_suspended(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Immediately, because the database's clock has not stopped; the run time of the process does not count."""
    monkeypatch.setattr("services.maya.running.POLL_SECONDS", 0.05)
    monkeypatch.setattr("services.maya.running.RENEW_SECONDS", 600.0)
    gate = asyncio.Event()
    chat = chat.scripted(streaming_turn("So far ", then=gate))
    reply = await chat.ask()
    async with chat.running(reply):
        await wait_for_events(chat, reply)
        await expire_lease(chat, reply)
        suspend(monkeypatch, 1_200)
        await until(lambda: is_leased(chat, reply))
        gate.set()
    assert (await chat.stored(reply)).status == "completed"


async def is_leased(chat: Chat, reply: MessageRow) -> bool:
    """Whether the reply is leased."""
    return chat.job(reply) not in await leases.open_replies(chat.runtime.system, UUID(int=0), 1_000)
