"""Runs of Maya with a scripted model."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import func, update

from core.access.actor import Actor, maya_actor
from core.access.permissions import Permission, Role
from core.unit_of_work import UnitOfWork, Work
from integrations.language import Finish, ModelRefused, ModelTimedOut, ModelUnavailable, Piece, Prompt, Said, ToolCall
from integrations.scripted import ScriptedModel, calls, says
from models.conversations import Message
from runtime import Runtime
from services.maya.events import Ended, Token, ToolFinished, ToolStarted
from services.maya.running import POLL_SECONDS
from services.maya.speaking import LONGEST_REPLY, MOST_CALLS, MOST_STEPS
from tests import factories
from tests.maya.acting import FOR_EVER, begun, speaking
from tests.maya.conftest import Stage, sequences, set_stage, told
from tests.waiting import WAIT_SECONDS


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


class Noting(Work):
    """Units of work that note who begins them."""

    def __init__(self, work: Work) -> None:
        super().__init__(work.engine, work.jobs, work.events)
        self.actors: list[Actor] = []

    @asynccontextmanager
    async def begin(self, actor: Actor) -> AsyncIterator[UnitOfWork]:
        """Note the actor, and begin."""
        self.actors.append(actor)
        async with super().begin(actor) as uow:
            yield uow


@pytest.mark.parametrize("role", [Role.OWNER, Role.VIEWER])
async def test_maya_runs_on_behalf_of_her_user(runtime: Runtime, role: Role) -> None:
    """Each unit of work of a run is Maya's, for the user and within their rights and her own."""
    stage = await set_stage(runtime, role)
    work = Noting(runtime.work)
    stage = replace(stage, runtime=replace(runtime, work=work))
    stage = stage.scripted(calls("list_campaigns", '{"limit": 1}'), says("None."))
    reply = await stage.ask()
    work.actors.clear()
    assert (await stage.run(reply)).status == "completed"
    maya_of = maya_actor(stage.actor)
    taking, *later = work.actors  # she takes the reply before she has read her user's role
    assert (taking.kind, taking.on_behalf_of) == ("maya", stage.actor.user_id)
    assert later
    assert set(later) == {maya_of}
    assert maya_of.may(Permission.CAMPAIGN_READ)
    assert not maya_of.may(Permission.CAMPAIGN_WRITE)


async def test_a_reply_is_made_once(stage: Stage) -> None:
    """Runs that are rung for twice, at once or later, ask the model once."""
    model = ScriptedModel([says("Hello")])
    stage = stage.with_model(model)
    reply = await stage.ask()
    await asyncio.gather(*(stage.run(reply) for _ in range(3)))
    ended = await stage.run(reply)
    assert (ended.status, ended.content) == ("completed", "Hello")
    assert len(model.prompts) == 1


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
    async with stage.running(reply), asyncio.timeout(WAIT_SECONDS):
        shown = await anext(aiter(stage.watch(reply)))
        assert shown.event == Token("First ")
        gate.set()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ModelUnavailable("away"), "MODEL_UNAVAILABLE"),
        (ModelRefused("no"), "MODEL_REFUSED"),
        (ModelTimedOut("silent"), "TIMEOUT"),
        (RuntimeError("secret detail"), "INTERNAL"),
        (asyncio.CancelledError("secret detail"), "INTERNAL"),
    ],
)
async def test_failures_are_typed_and_keep_what_was_said(stage: Stage, error: BaseException, code: str) -> None:
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
    limited = stage.with_model(ScriptedModel([speaking("Hm ", then=FOR_EVER)]), within=0.3)
    ended = await asyncio.wait_for(limited.run(await limited.ask()), WAIT_SECONDS)
    if not ended.content:  # a busy machine needed all that time to begin
        limited = stage.with_model(ScriptedModel([speaking("Hm ", then=FOR_EVER)]), within=10)
        ended = await asyncio.wait_for(limited.run(await limited.ask()), WAIT_SECONDS)
    assert (ended.status, ended.content, ended.error_code) == ("failed", "Hm ", "TIMEOUT")


async def test_saying_nothing_is_no_reply(stage: Stage) -> None:
    """A model that ends without a word has failed."""
    ended = await stage.scripted(says()).run(await stage.ask())
    assert ended.error_code == "MODEL_UNAVAILABLE"


async def test_a_model_that_breaks_off(stage: Stage) -> None:
    """A stream that ends without its end has failed, and what it said is kept."""

    async def turn(_: Prompt) -> AsyncGenerator[Piece, None]:
        yield Said("So far ")

    ended = await stage.scripted(turn).run(await stage.ask())
    assert (ended.status, ended.content, ended.error_code) == ("failed", "So far ", "MODEL_UNAVAILABLE")


async def test_cancelling_midway(stage: Stage) -> None:
    """A cancelled reply stops though its model never would, keeps what was said, and its stream completes."""
    stage = stage.scripted(speaking("Once upon ", "a time!", then=FOR_EVER))
    reply = await stage.ask()
    async with stage.running(reply) as run:
        await begun(stage, reply)
        await stage.cancel(reply)
        async with asyncio.timeout(WAIT_SECONDS):
            ended = await asyncio.shield(run)
    assert (ended.status, ended.content, ended.error_code) == ("cancelled", "Once upon a time!", None)
    events = await stage.see(reply)
    assert told(events) == ended.content
    assert events[-1].reply == ended
    assert (await stage.cancel(reply)) == ended


async def test_cancelling_does_not_wait_for_a_poll(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal alone stops a reply, long before the run would look by itself."""
    monkeypatch.setattr("services.maya.running.POLL_SECONDS", FOR_EVER)
    stage = stage.scripted(speaking("Once ", then=FOR_EVER))
    reply = await stage.ask()
    async with stage.running(reply) as run:
        await begun(stage, reply)
        await stage.cancel(reply)
        async with asyncio.timeout(WAIT_SECONDS):
            assert (await asyncio.shield(run)).status == "cancelled"


async def test_cancelling_does_not_need_a_signal(stage: Stage) -> None:
    """With Redis away the run sees in the row, where it looks every second, that it is to stop."""
    assert POLL_SECONDS < 1
    stage = stage.scripted(speaking("Once ", then=FOR_EVER))
    reply = await stage.ask()
    async with stage.running(reply) as run:
        await begun(stage, reply)
        async with stage.runtime.work.begin(stage.actor) as uow:
            await uow.execute(update(Message).where(Message.id == reply.id).values(cancel_requested_at=func.now()))
        async with asyncio.timeout(WAIT_SECONDS):
            assert (await asyncio.shield(run)).status == "cancelled"


async def test_cancelling_before_a_worker_comes(stage: Stage) -> None:
    """A reply that nobody has taken ends at once; viewers see it, and a late worker leaves it alone."""
    model = ScriptedModel([])
    stage = stage.with_model(model)
    reply = await stage.ask()
    viewer = asyncio.create_task(stage.see(reply))
    await asyncio.sleep(0.1)
    assert (await stage.cancel(reply)).status == "cancelled"
    events = await asyncio.wait_for(viewer, WAIT_SECONDS)
    assert [type(shown.event) for shown in events] == [Ended]
    ended = await stage.run(reply)
    assert model.prompts == []
    assert ended.completed_at is not None
    assert await stage.see(reply) == events


async def test_tools_are_events_and_their_results_reach_the_model(stage: Stage) -> None:
    """A look-up is announced, its result goes to the model, and the texts of two steps stand apart."""
    await factories.contacts(stage.runtime, stage.actor, 3, tag="vip")
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
    started, finished = ToolStarted("count_contacts"), ToolFinished("count_contacts", True)
    assert events == [Token("Let me see."), started, finished, Token("\n\nYou have 3."), Ended()]
    assert '"total":3' in model.prompts[1].messages[-1].text


async def test_a_model_that_never_stops_looking_up(stage: Stage) -> None:
    """Steps, look-ups and repetitions of a run are limited, each with RUN_LIMIT."""
    endless = [calls("list_campaigns", f'{{"limit":{n}}}') for n in range(1, 20)]
    endlessly = stage.scripted(*endless)
    ended = await endlessly.run(await stage.ask())
    assert (ended.error_code, ended.content) == ("RUN_LIMIT", "")
    assert len(endlessly.runtime.language_model.prompts) == MOST_STEPS  # type: ignore[attr-defined]
    same = [calls("list_campaigns", '{"limit":1}')] * 8
    stage = stage.scripted(*same)
    ended = await stage.run(await stage.ask())
    assert ended.error_code == "RUN_LIMIT"
    assert len(stage.runtime.language_model.prompts) == 3  # type: ignore[attr-defined]
    many = [ToolCall(id=str(n), name="nothing", arguments=f'{{"n":{n}}}') for n in range(MOST_CALLS + 1)]
    ended = await stage.scripted(says(calls=many)).run(await stage.ask())
    assert ended.error_code == "RUN_LIMIT"
    ended = await stage.scripted(says(calls=many[:5]), says(calls=many[5:])).run(await stage.ask())
    assert ended.error_code == "RUN_LIMIT"
    ended = await stage.scripted(says(calls=many[:5]), says(calls=many[5:-1]), says("Fine.")).run(await stage.ask())
    assert (ended.error_code, ended.content) == (None, "Fine.")


async def test_the_last_step_may_answer(stage: Stage) -> None:
    """A model that looks up in all steps but the last, each thing twice at most, and then answers is in time."""
    looks = [calls("list_campaigns", f'{{"limit":{n // 2 + 1}}}') for n in range(MOST_STEPS - 1)]
    ended = await stage.scripted(*looks, says("None.")).run(await stage.ask())
    assert (ended.error_code, ended.content) == (None, "None.")


@pytest.mark.parametrize("pieces", [["x" * 30_000], ["x" * 700] * 40])
async def test_a_reply_that_gets_too_long_keeps_what_fits(stage: Stage, pieces: list[str]) -> None:
    """Text beyond the limit ends the reply with RUN_LIMIT; what came before is kept, to the character."""
    stage = stage.scripted(says(*pieces))
    reply = await stage.ask()
    ended = await stage.run(reply)
    assert (ended.error_code, ended.content) == ("RUN_LIMIT", "x" * LONGEST_REPLY)
    assert told(await stage.see(reply)) == ended.content


async def test_what_nobody_sees_counts_too(stage: Stage) -> None:
    """A model that sends characters that are filtered out, without end, is stopped."""
    ended = await stage.scripted(says("So far ", *["\u200b" * 50_000] * 30)).run(await stage.ask())
    assert (ended.error_code, ended.content) == ("RUN_LIMIT", "So far ")


async def test_usage_of_all_steps(stage: Stage) -> None:
    """Steps add up, the last that fails among them."""
    stage = stage.scripted(calls("list_campaigns", '{"limit":1}'), says("Half", finish=Finish.LENGTH))
    ended = await stage.run(await stage.ask())
    assert (ended.content, ended.error_code) == ("Half", "CUT_OFF")
    usage = await stage.usage(ended)
    assert (usage["promptTokens"], usage["completionTokens"], usage["steps"]) == (20, 1, 2)
    assert math.isclose(usage["cost"], 0.002)
