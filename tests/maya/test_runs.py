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
from integrations.language import (
    Finish,
    ModelRefused,
    ModelTimedOut,
    ModelUnavailable,
    Prompt,
    ReplyPiece,
    TextPiece,
    ToolCall,
)
from integrations.scripted import ScriptedModel, text_reply, tool_call
from models.conversations import MayaMessage
from runtime import Runtime
from services.maya.events import ReplyEnded, Token, ToolFinished, ToolStarted
from services.maya.generating import _MAX_CALLS, _MAX_REPLY_LENGTH, _MAX_STEPS
from services.maya.running import POLL_SECONDS
from tests import factories
from tests.maya.conftest import Chat, sequences, start_chat, text_of
from tests.maya.turns import FOREVER, streaming_turn, wait_for_events
from tests.waiting import WAIT_SECONDS


async def test_a_reply_from_question_to_end(chat: Chat) -> None:
    """The tokens make up the stored content, the last event has the reply, and the model is stored."""
    chat = chat.scripted(text_reply("You have ", "no ", "contacts!"))
    reply = await chat.ask()
    assert (reply.status, reply.content) == ("pending", "")
    final = await chat.run(reply)
    events = await chat.read_events(reply)
    assert final.status == "completed"
    assert final.content == text_of(events) == "You have no contacts!"
    assert sequences(events) == list(range(1, len(events) + 1))
    assert events[-1].reply == final
    assert final.last_sequence == events[-1].sequence
    assert final.model == chat.runtime.settings.llm.models[0]


class RecordingWork(Work):
    """Units of work that record their actors."""

    def __init__(self, work: Work) -> None:
        super().__init__(work.engine, work.jobs, work.signals)
        self.actors: list[Actor] = []

    @asynccontextmanager
    async def begin(self, actor: Actor) -> AsyncIterator[UnitOfWork]:
        """Record the actor, and begin."""
        self.actors.append(actor)
        async with super().begin(actor) as uow:
            yield uow


@pytest.mark.parametrize("role", [Role.OWNER, Role.VIEWER])
async def test_maya_runs_on_behalf_of_her_user(runtime: Runtime, role: Role) -> None:
    """The actor of each unit of work is Maya on behalf of the user, with the rights that both have."""
    chat = await start_chat(runtime, role)
    work = RecordingWork(runtime.work)
    chat = replace(chat, runtime=replace(runtime, work=work))
    chat = chat.scripted(tool_call("list_campaigns", '{"limit": 1}'), text_reply("None."))
    reply = await chat.ask()
    work.actors.clear()
    assert (await chat.run(reply)).status == "completed"
    maya_of = maya_actor(chat.actor)
    taking, *later = work.actors  # the lease is acquired before the user's role is read
    assert (taking.kind, taking.on_behalf_of) == ("maya", chat.actor.user_id)
    assert later
    assert set(later) == {maya_of}
    assert maya_of.may(Permission.CAMPAIGN_READ)
    assert not maya_of.may(Permission.CAMPAIGN_WRITE)


async def test_a_reply_is_generated_once(chat: Chat) -> None:
    """Several jobs for one reply, concurrent or later, prompt the model once."""
    model = ScriptedModel([text_reply("Hello")])
    chat = chat.with_model(model)
    reply = await chat.ask()
    await asyncio.gather(*(chat.run(reply) for _ in range(3)))
    final = await chat.run(reply)
    assert (final.status, final.content) == ("completed", "Hello")
    assert len(model.prompts) == 1


async def test_all_subscribers_get_the_same_events(chat: Chat) -> None:
    """Whether they subscribe before, during or after the run; a resumed subscription gets the rest only."""
    chat = chat.scripted(streaming_turn(*(f"word{n} " for n in range(40)), then=0.0, every=0.01))
    reply = await chat.ask()
    early = asyncio.create_task(chat.read_events(reply))
    async with chat.running(reply):
        await wait_for_events(chat, reply, 3)
        second = await chat.read_events(reply)
    whole = await chat.read_events(reply)
    assert await early == second == whole
    assert len(whole) > 5
    assert text_of(whole).startswith("word0 word1 ")
    for after in (1, 4, len(whole) - 1):
        assert await chat.read_events(reply, after) == whole[after:]
    assert await chat.read_events(reply, len(whole)) == []


async def test_the_first_token_is_streamed_at_once(chat: Chat) -> None:
    """The first piece arrives before the model has generated the second."""
    gate = asyncio.Event()
    chat = chat.scripted(streaming_turn("First ", then=gate))
    reply = await chat.ask()
    async with chat.running(reply), asyncio.timeout(WAIT_SECONDS):
        first = await anext(aiter(chat.watch(reply)))
        assert first.event == Token("First ")
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
async def test_failures_have_a_code_and_keep_the_text(chat: Chat, error: BaseException, code: str) -> None:
    """An error in the middle ends the reply with its code, and without internal details."""
    chat = chat.scripted(streaming_turn("So far ", then=error))
    reply = await chat.ask()
    final = await chat.run(reply)
    events = await chat.read_events(reply)
    assert (final.status, final.content, final.error_code) == ("failed", "So far ", code)
    assert text_of(events) == "So far "
    assert events[-1].reply == final
    assert "secret" not in (final.error_message or "")


async def test_a_run_has_a_time_limit(chat: Chat) -> None:
    """A model that never ends is stopped after that time."""
    limited = chat.with_model(ScriptedModel([streaming_turn("Hm ", then=FOREVER)]), within=0.3)
    final = await asyncio.wait_for(limited.run(await limited.ask()), WAIT_SECONDS)
    if not final.content:  # a busy machine needed all that time to start
        limited = chat.with_model(ScriptedModel([streaming_turn("Hm ", then=FOREVER)]), within=10)
        final = await asyncio.wait_for(limited.run(await limited.ask()), WAIT_SECONDS)
    assert (final.status, final.content, final.error_code) == ("failed", "Hm ", "TIMEOUT")


async def test_an_empty_reply_is_a_failure(chat: Chat) -> None:
    """A model that ends without text has failed."""
    final = await chat.scripted(text_reply()).run(await chat.ask())
    assert final.error_code == "MODEL_UNAVAILABLE"


async def test_a_stream_that_breaks_off_is_a_failure(chat: Chat) -> None:
    """A stream that ends without an end event has failed, and its text is stored."""

    async def turn(_: Prompt) -> AsyncGenerator[ReplyPiece, None]:
        yield TextPiece("So far ")

    final = await chat.scripted(turn).run(await chat.ask())
    assert (final.status, final.content, final.error_code) == ("failed", "So far ", "MODEL_UNAVAILABLE")


async def test_cancelling_midway(chat: Chat) -> None:
    """A cancelled reply stops although its model would not, keeps its text, and its stream completes."""
    chat = chat.scripted(streaming_turn("Once upon ", "a time!", then=FOREVER))
    reply = await chat.ask()
    async with chat.running(reply) as run:
        await wait_for_events(chat, reply)
        await chat.cancel(reply)
        async with asyncio.timeout(WAIT_SECONDS):
            final = await asyncio.shield(run)
    assert (final.status, final.content, final.error_code) == ("cancelled", "Once upon a time!", None)
    events = await chat.read_events(reply)
    assert text_of(events) == final.content
    assert events[-1].reply == final
    assert (await chat.cancel(reply)) == final


async def test_cancelling_does_not_wait_for_a_poll(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published event alone stops a reply, long before the next poll."""
    monkeypatch.setattr("services.maya.running.POLL_SECONDS", FOREVER)
    chat = chat.scripted(streaming_turn("Once ", then=FOREVER))
    reply = await chat.ask()
    async with chat.running(reply) as run:
        await wait_for_events(chat, reply)
        await chat.cancel(reply)
        async with asyncio.timeout(WAIT_SECONDS):
            assert (await asyncio.shield(run)).status == "cancelled"


async def test_cancelling_does_not_need_redis(chat: Chat) -> None:
    """Without an event from Redis the run finds the cancellation in the row, which it polls every second."""
    assert POLL_SECONDS < 1
    chat = chat.scripted(streaming_turn("Once ", then=FOREVER))
    reply = await chat.ask()
    async with chat.running(reply) as run:
        await wait_for_events(chat, reply)
        async with chat.runtime.work.begin(chat.actor) as uow:
            await uow.execute(
                update(MayaMessage).where(MayaMessage.id == reply.id).values(cancel_requested_at=func.now())
            )
        async with asyncio.timeout(WAIT_SECONDS):
            assert (await asyncio.shield(run)).status == "cancelled"


async def test_cancelling_before_the_run(chat: Chat) -> None:
    """A reply that no run has leased ends immediately; subscribers get the end, and a later run does nothing."""
    model = ScriptedModel([])
    chat = chat.with_model(model)
    reply = await chat.ask()
    viewer = asyncio.create_task(chat.read_events(reply))
    await asyncio.sleep(0.1)
    assert (await chat.cancel(reply)).status == "cancelled"
    events = await asyncio.wait_for(viewer, WAIT_SECONDS)
    assert [type(each.event) for each in events] == [ReplyEnded]
    final = await chat.run(reply)
    assert model.prompts == []
    assert final.completed_at is not None
    assert await chat.read_events(reply) == events


async def test_tool_calls_are_events_and_their_results_reach_the_model(chat: Chat) -> None:
    """A tool call has events, its result goes to the model, and an empty line separates the texts of two steps."""
    await factories.contacts(chat.runtime, chat.actor, 3, tag="vip")
    model = ScriptedModel(
        [
            text_reply(
                "Let me see.",
                calls=[ToolCall(id="x", name="count_contacts", arguments='{"status":null,"tag":"vip"}')],
            ),
            text_reply("You have 3."),
        ]
    )
    chat = chat.with_model(model)
    reply = await chat.ask()
    final = await chat.run(reply)
    assert final.content == "Let me see.\n\nYou have 3."
    events = [each.event for each in await chat.read_events(reply)]
    started, finish = ToolStarted("count_contacts"), ToolFinished("count_contacts", True)
    assert events == [Token("Let me see."), started, finish, Token("\n\nYou have 3."), ReplyEnded()]
    assert '"total":3' in model.prompts[1].messages[-1].text


async def test_tool_calls_are_limited(chat: Chat) -> None:
    """Steps, tool calls and repeated calls of a run are limited; beyond that the reply fails with RUN_LIMIT."""
    endless = [tool_call("list_campaigns", f'{{"limit":{n}}}') for n in range(1, 20)]
    endlessly = chat.scripted(*endless)
    final = await endlessly.run(await chat.ask())
    assert (final.error_code, final.content) == ("RUN_LIMIT", "")
    assert len(endlessly.runtime.language_model.prompts) == _MAX_STEPS  # type: ignore[attr-defined]
    same = [tool_call("list_campaigns", '{"limit":1}')] * 8
    chat = chat.scripted(*same)
    final = await chat.run(await chat.ask())
    assert final.error_code == "RUN_LIMIT"
    assert len(chat.runtime.language_model.prompts) == 3  # type: ignore[attr-defined]
    many = [ToolCall(id=str(n), name="nothing", arguments=f'{{"n":{n}}}') for n in range(_MAX_CALLS + 1)]
    final = await chat.scripted(text_reply(calls=many)).run(await chat.ask())
    assert final.error_code == "RUN_LIMIT"
    final = await chat.scripted(text_reply(calls=many[:5]), text_reply(calls=many[5:])).run(await chat.ask())
    assert final.error_code == "RUN_LIMIT"
    final = await chat.scripted(text_reply(calls=many[:5]), text_reply(calls=many[5:-1]), text_reply("Fine.")).run(
        await chat.ask()
    )
    assert (final.error_code, final.content) == (None, "Fine.")


async def test_the_last_step_may_answer(chat: Chat) -> None:
    """A model that calls tools in all steps but the last, each call at most twice, is within the limits."""
    steps = [tool_call("list_campaigns", f'{{"limit":{n // 2 + 1}}}') for n in range(_MAX_STEPS - 1)]
    final = await chat.scripted(*steps, text_reply("None.")).run(await chat.ask())
    assert (final.error_code, final.content) == (None, "None.")


@pytest.mark.parametrize("pieces", [["x" * 30_000], ["x" * 700] * 40])
async def test_a_reply_that_gets_too_long_is_cut(chat: Chat, pieces: list[str]) -> None:
    """Text beyond the limit ends the reply with RUN_LIMIT; the text up to the limit is stored."""
    chat = chat.scripted(text_reply(*pieces))
    reply = await chat.ask()
    final = await chat.run(reply)
    assert (final.error_code, final.content) == ("RUN_LIMIT", "x" * _MAX_REPLY_LENGTH)
    assert text_of(await chat.read_events(reply)) == final.content


async def test_invisible_text_is_limited_too(chat: Chat) -> None:
    """A model that endlessly sends characters that are filtered out is stopped."""
    final = await chat.scripted(text_reply("So far ", *["\u200b" * 50_000] * 30)).run(await chat.ask())
    assert (final.error_code, final.content) == ("RUN_LIMIT", "So far ")


async def test_usage_of_all_steps(chat: Chat) -> None:
    """The usage of all steps is added up, including the last one, which fails."""
    chat = chat.scripted(tool_call("list_campaigns", '{"limit":1}'), text_reply("Half", finish=Finish.LENGTH))
    final = await chat.run(await chat.ask())
    assert (final.content, final.error_code) == ("Half", "CUT_OFF")
    usage = await chat.usage(final)
    assert (usage["promptTokens"], usage["completionTokens"], usage["steps"]) == (20, 1, 2)
    assert math.isclose(usage["cost"], 0.002)
