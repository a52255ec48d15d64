"""Runs of Maya with a scripted model."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace

import asyncpg
import pytest
from redis.asyncio import Redis
from sqlalchemy import func, update

from core.logstream import LogStream
from core.unit_of_work import UnitOfWork
from integrations.language import ModelRefused, ModelTimedOut, ModelUnavailable, Piece, Prompt, Said, ToolCall
from integrations.scripted import ScriptedModel, Turn, calls, says
from models.conversations import Message, MessageStatus
from services import maya
from services.conversations import MessageRow, reply_log
from services.maya import leases
from tests import factories
from tests.conftest import Servers
from tests.maya.conftest import Stage, sequences, told


def speaking(*texts: str, then: BaseException | float | asyncio.Event, every: float = 0.0) -> Turn:
    """A turn that says some pieces, then raises, or waits."""

    async def turn(_: Prompt) -> AsyncGenerator[Piece, None]:
        for text in texts:
            yield Said(text)
            await asyncio.sleep(every)
        if isinstance(then, BaseException):
            raise then
        await (then.wait() if isinstance(then, asyncio.Event) else asyncio.sleep(then))
        yield Said("the end")
        async for piece in says()(Prompt(models=["m"], messages=[])):
            yield piece

    return turn


async def lapse(stage: Stage, reply: MessageRow) -> None:
    """Let the reply's lease end now, as it does some seconds after its worker died."""
    async with stage.runtime.work.begin(stage.principal.tenant) as uow:
        past = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, 1)
        await uow.execute(update(Message).where(Message.id == reply.id).values(lease_until=past))


async def begun(stage: Stage, reply: MessageRow, at_least: int = 1) -> None:
    """Wait until so many events are in the reply's log."""
    async with asyncio.timeout(20):
        async for shown in stage.watch(reply):
            if shown.sequence >= at_least:
                return


async def test_a_reply_from_question_to_end(stage: Stage) -> None:
    """Tokens join to the stored content, the last event has the reply, and usage and model are kept."""
    stage = stage.scripted(says("You have ", "no ", "contacts!"))
    reply = await stage.ask()
    assert (reply.status, reply.content) == ("pending", "")
    ended = await stage.run(reply)
    events = await stage.see(reply)
    assert ended.status == "completed"
    assert ended.content == told(events) == "You have no contacts!"
    assert sequences(events) == list(range(1, len(events) + 1))
    assert events[-1].reply == ended
    assert ended.last_sequence == events[-1].sequence
    assert ended.model == stage.runtime.settings.llm.models[0]


async def test_a_reply_is_made_once(stage: Stage) -> None:
    """Runs that are rung for twice, at once or later, ask the model once."""
    model = ScriptedModel([says("Hello")])
    stage = stage.with_model(model)
    reply = await stage.ask()
    await asyncio.gather(*(stage.run(reply) for _ in range(3)))
    ended = await stage.run(reply)
    assert (ended.status, ended.content) == ("completed", "Hello")
    assert len(model.prompts) == 1


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


async def test_a_lapsed_lease_changes_nothing_any_more(stage: Stage) -> None:
    """Once another run has taken the reply, the earlier one can neither keep, hand on nor end it."""
    reply = await stage.ask()
    work, tenant = stage.runtime.work, stage.principal.tenant
    async with work.begin(tenant) as uow:
        old = await leases.take(uow, reply.id)
    await lapse(stage, reply)
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
        with pytest.raises(leases.LeaseLost):
            async with work.begin(tenant) as uow:
                await change(uow)
    async with work.begin(tenant) as uow:
        await leases.end(uow, new, ending)
    assert (await stage.stored(reply)).status == "completed"


async def test_a_reply_whose_runs_keep_dying(stage: Stage) -> None:
    """After three runs that died in silence the reply is given up."""
    model = ScriptedModel([])
    stage = stage.with_model(model)
    reply = await stage.ask()
    await stage.runtime.logs.claim(reply_log(stage.principal.organization_id, reply.id))
    async with stage.runtime.work.begin(stage.principal.tenant) as uow:
        await uow.execute(update(Message).where(Message.id == reply.id).values(attempt=3))
    ended = await stage.run(reply)
    assert (ended.status, ended.error_code) == ("failed", "INTERRUPTED")
    assert model.prompts == []


async def test_viewers_and_resumption(stage: Stage) -> None:
    """Viewers who come before, during and after see the same; one who comes back gets the rest alone."""
    stage = stage.scripted(speaking(*(f"word{n} " for n in range(40)), then=0.0, every=0.01))
    reply = await stage.ask()
    early = asyncio.create_task(stage.see(reply))
    async with stage.running(reply):
        await begun(stage, reply, 3)
        second = await stage.see(reply)
    whole = await stage.see(reply)
    assert await early == second == whole
    assert len(whole) > 5
    assert told(whole).startswith("word0 word1 ")
    for after in (1, 4, len(whole) - 1):
        assert await stage.see(reply, after) == whole[after:]
    assert await stage.see(reply, len(whole)) == []


async def test_the_first_token_does_not_wait(stage: Stage) -> None:
    """The first piece is seen while the model is still thinking about the second."""
    gate = asyncio.Event()
    stage = stage.scripted(speaking("First ", then=gate))
    reply = await stage.ask()
    async with stage.running(reply), asyncio.timeout(5):
        shown = await anext(aiter(stage.watch(reply)))
        assert shown.event == maya.Token("First ")
        gate.set()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ModelUnavailable("away"), "MODEL_UNAVAILABLE"),
        (ModelRefused("no"), "MODEL_REFUSED"),
        (ModelTimedOut("silent"), "TIMEOUT"),
        (RuntimeError("secret detail"), "INTERNAL"),
    ],
)
async def test_failures_are_typed_and_keep_what_was_said(stage: Stage, error: Exception, code: str) -> None:
    """Whatever goes wrong in the middle ends the reply with its code, and without a detail of ours."""
    stage = stage.scripted(speaking("So far ", then=error))
    reply = await stage.ask()
    ended = await stage.run(reply)
    events = await stage.see(reply)
    assert (ended.status, ended.content, ended.error_code) == ("failed", "So far ", code)
    assert told(events) == "So far "
    assert events[-1].reply == ended
    assert "secret" not in (ended.error_message or "")


async def test_a_run_has_a_limit(stage: Stage) -> None:
    """A model that never ends is stopped after the run's time."""
    model = ScriptedModel([speaking("Hm ", then=60.0)])
    stage = stage.with_model(model, within=0.3)
    ended = await asyncio.wait_for(stage.run(await stage.ask()), 3)
    assert (ended.status, ended.content, ended.error_code) == ("failed", "Hm ", "TIMEOUT")


async def test_saying_nothing_is_no_reply(stage: Stage) -> None:
    """A model that ends without a word has failed."""
    ended = await stage.scripted(says()).run(await stage.ask())
    assert ended.error_code == "MODEL_UNAVAILABLE"


async def test_cancelling_midway(stage: Stage) -> None:
    """A cancelled reply stops within a second, keeps what was said, and its stream completes."""
    stage = stage.scripted(speaking("Once upon ", "a time!", then=60.0))
    reply = await stage.ask()
    async with stage.running(reply) as run:
        await begun(stage, reply)
        await stage.cancel(reply)
        async with asyncio.timeout(1):
            ended = await asyncio.shield(run)
    assert (ended.status, ended.content, ended.error_code) == ("cancelled", "Once upon a time!", None)
    events = await stage.see(reply)
    assert told(events) == ended.content
    assert events[-1].reply == ended
    assert (await stage.cancel(reply)) == ended


async def test_cancelling_does_not_wait_for_a_poll(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal alone stops a reply, long before the run would look by itself."""
    monkeypatch.setattr("services.maya.running.LOOK_SECONDS", 60.0)
    stage = stage.scripted(speaking("Once ", then=60.0))
    reply = await stage.ask()
    async with stage.running(reply) as run:
        await begun(stage, reply)
        await stage.cancel(reply)
        async with asyncio.timeout(1):
            assert (await asyncio.shield(run)).status == "cancelled"


async def test_cancelling_does_not_need_a_signal(stage: Stage) -> None:
    """With Redis away the run sees in the row, within a second, that it is to stop."""
    stage = stage.scripted(speaking("Once ", then=60.0))
    reply = await stage.ask()
    async with stage.running(reply) as run:
        await begun(stage, reply)
        async with stage.runtime.work.begin(stage.principal.tenant) as uow:
            await uow.execute(update(Message).where(Message.id == reply.id).values(cancel_requested_at=func.now()))
        async with asyncio.timeout(1):
            assert (await asyncio.shield(run)).status == "cancelled"


async def test_cancelling_before_a_worker_comes(stage: Stage) -> None:
    """A reply that nobody has taken ends at once; viewers see it, and a late worker leaves it alone."""
    model = ScriptedModel([])
    stage = stage.with_model(model)
    reply = await stage.ask()
    viewer = asyncio.create_task(stage.see(reply))
    await asyncio.sleep(0.1)
    assert (await stage.cancel(reply)).status == "cancelled"
    events = await asyncio.wait_for(viewer, 2)
    assert [type(shown.event) for shown in events] == [maya.Ended]
    await stage.run(reply)
    assert model.prompts == []


async def test_a_flush_in_the_middle(fresh_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis flushed while Maya speaks: running and new viewers still get every event once and in order.

    The viewer looks often enough to meet the empty log before it is written again.
    """
    monkeypatch.setattr("services.maya.watching.POLL_SECONDS", 0.02)
    gate = asyncio.Event()
    stage = fresh_stage.scripted(speaking("one ", "two ", "three ", then=gate, every=0.05))
    reply = await stage.ask()
    viewer = asyncio.create_task(stage.see(reply))
    async with stage.running(reply):
        await begun(stage, reply, 2)
        await stage.redis.flushdb()
        await asyncio.sleep(0.1)
        gate.set()
    events = await asyncio.wait_for(viewer, 10)
    assert told(events) == "one two three the end"
    assert sequences(events) == list(range(1, len(events) + 1))
    assert await stage.see(reply) == events


async def test_an_older_copy_of_redis(fresh_stage: Stage) -> None:
    """Redis comes back with an older copy of the log: what is missing is written again, in its place."""
    gate = asyncio.Event()
    stage = fresh_stage.scripted(speaking("one ", "two ", "three ", then=gate, every=0.05))
    reply = await stage.ask()
    log = stage.runtime.logs.key(reply_log(stage.principal.organization_id, reply.id))
    async with stage.running(reply):
        await begun(stage, reply, 1)
        older = await stage.redis.dump(log)
        await begun(stage, reply, 3)
        await stage.redis.restore(log, 60_000, older, replace=True)
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
    log = stage.runtime.logs.key(reply_log(stage.principal.organization_id, reply.id))
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


def database_of(stage: Stage) -> str:
    """The name of the stage's own database."""
    url = stage.runtime.settings.database.url
    assert url is not None
    return url.get_secret_value().rpartition("/")[2]


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
    async with asyncio.timeout(15), Redis.from_url("redis://127.0.0.1:9/0") as nobody:
        deaf = replace(stage.runtime, logs=LogStream(nobody, within=0.1))
        away = replace(stage, runtime=deaf).scripted(says("Still ", "here."))
        ended = await away.run(await away.ask())
    assert (ended.status, ended.content) == ("completed", "Still here.")


async def test_a_dead_run_that_had_spoken(stage: Stage) -> None:
    """A reply whose worker died in the middle ends with INTERRUPTED and keeps its text; the dead one is shut out."""
    gate = asyncio.Event()
    stage = stage.scripted(speaking("Half of ", then=gate))
    reply = await stage.ask()
    viewer = asyncio.create_task(stage.see(reply))
    async with stage.running(reply):
        await begun(stage, reply)
        await lapse(stage, reply)
        ended = await stage.run(reply)
        gate.set()
    assert (ended.status, ended.content, ended.error_code) == ("failed", "Half of ", "INTERRUPTED")
    assert await stage.stored(reply) == ended
    events = await asyncio.wait_for(viewer, 10)
    assert told(events) == "Half of "
    assert events[-1].reply == ended
    assert sequences(events) == [1, 2]


async def test_a_dead_run_that_was_silent(stage: Stage) -> None:
    """A reply of which nothing was shown is made anew."""
    stage = stage.scripted(speaking(then=60.0), says("Second try."))
    reply = await stage.ask()
    first = asyncio.create_task(stage.run(reply))
    await asyncio.sleep(0.2)
    await lapse(stage, reply)
    ended = await stage.run(reply)
    assert (ended.status, ended.content) == ("completed", "Second try.")
    await asyncio.wait_for(first, 3)
    assert told(await stage.see(reply)) == "Second try."


async def test_a_dead_run_and_a_flush(fresh_stage: Stage) -> None:
    """With worker and log both gone, the reply ends with INTERRUPTED, and viewers of the old log get the end."""
    gate = asyncio.Event()
    stage = fresh_stage.scripted(speaking("Half of ", then=gate))
    reply = await stage.ask()
    async with stage.running(reply):
        await begun(stage, reply)
        await lapse(stage, reply)
        await stage.redis.flushdb()
        ended = await stage.run(reply)
        gate.set()
    assert ended.error_code == "INTERRUPTED"
    [last] = await stage.see(reply, 7)
    assert (last.sequence, last.reply) == (8, ended)


async def test_a_shutdown(stage: Stage) -> None:
    """A run that is cancelled by its process ends what it began, and hands on what it had not."""
    stage = stage.scripted(speaking("Half of ", then=60.0), speaking(then=60.0), says("Whole."))
    spoken = await stage.ask()
    run = asyncio.create_task(stage.run(spoken))
    await begun(stage, spoken)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert (await stage.stored(spoken)).error_code == "INTERRUPTED"
    silent = await stage.ask()
    run = asyncio.create_task(stage.run(silent))
    await asyncio.sleep(0.2)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert (await stage.stored(silent)).status == "pending"
    assert (await stage.run(silent)).content == "Whole."


async def test_the_sweeper_finds_what_nobody_has(fresh_stage: Stage) -> None:
    """A reply is found while it waits and once its lease has ended, not while a run has it or it has ended."""
    stage = fresh_stage.scripted(speaking("Hm ", then=60.0))
    reply = await stage.ask()
    system = stage.runtime.system
    assert await maya.abandoned(system) == [stage.job(reply)]
    run = asyncio.create_task(stage.run(reply))
    await begun(stage, reply)
    assert await maya.abandoned(system) == []
    await lapse(stage, reply)
    assert await maya.abandoned(system) == [stage.job(reply)]
    await stage.cancel(reply)
    await asyncio.wait_for(run, 3)
    assert await maya.abandoned(system) == []


async def test_a_long_run_keeps_its_lease(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Maya speaks the lease is renewed, and what was said so far is stored."""
    monkeypatch.setattr("services.maya.running.LOOK_SECONDS", 0.05)
    monkeypatch.setattr("services.maya.running.RENEW_SECONDS", 0.1)
    gate = asyncio.Event()
    stage = stage.scripted(speaking("So far ", then=gate))
    reply = await stage.ask()
    async with stage.running(reply):
        await begun(stage, reply)
        await asyncio.sleep(0.4)
        midway = await stage.stored(reply)
        gate.set()
    assert (midway.status, midway.content, midway.last_sequence) == ("streaming", "So far ", 1)


async def test_tools_are_events_and_their_results_reach_the_model(stage: Stage) -> None:
    """A look-up is announced, its result goes to the model, and the texts of two steps stand apart."""
    await factories.contacts(stage.runtime, stage.principal, 3, tag="vip")
    model = ScriptedModel(
        [
            says(
                "Let me see.",
                calls=[ToolCall(id="x", name="count_contacts", arguments='{"status":null,"tag":"vip"}')],
            ),
            says("You have 3."),
        ]
    )
    stage = stage.with_model(model)
    reply = await stage.ask()
    ended = await stage.run(reply)
    assert ended.content == "Let me see.\n\nYou have 3."
    events = [shown.event for shown in await stage.see(reply)]
    started, finished = maya.ToolStarted("count_contacts"), maya.ToolFinished("count_contacts", True)
    assert events == [maya.Token("Let me see."), started, finished, maya.Token("\n\nYou have 3."), maya.Ended()]
    assert '"total":3' in model.prompts[1].messages[-1].text


async def test_a_model_that_never_stops_looking_up(stage: Stage) -> None:
    """Steps, look-ups and repetitions of a run are limited, each with RUN_LIMIT."""
    endless = [calls("list_campaigns", f'{{"limit":{n}}}') for n in range(1, 20)]
    ended = await stage.scripted(*endless).run(await stage.ask())
    assert (ended.error_code, ended.content) == ("RUN_LIMIT", "")
    same = [calls("list_campaigns", '{"limit":1}')] * 8
    stage = stage.scripted(*same)
    ended = await stage.run(await stage.ask())
    assert ended.error_code == "RUN_LIMIT"
    assert len(stage.runtime.language_model.prompts) == 3  # type: ignore[attr-defined]
    many = [ToolCall(id=str(n), name="nothing", arguments=f'{{"n":{n}}}') for n in range(21)]
    ended = await stage.scripted(says(calls=many)).run(await stage.ask())
    assert ended.error_code == "RUN_LIMIT"
    ended = await stage.scripted(says("x" * 30_000)).run(await stage.ask())
    assert ended.error_code == "RUN_LIMIT"
