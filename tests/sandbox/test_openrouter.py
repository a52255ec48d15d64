import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import aiohttp
import orjson
import pytest
from openai import APIError, APIStatusError, AsyncOpenAI, omit

from sandbox import SandboxConfig
from tests.sandbox.conftest import Client, Json, sandbox_with

if TYPE_CHECKING:
    from openai import AsyncStream
    from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam, ChatCompletionToolParam

PATH = "/api/v1/chat/completions"
CAMPAIGNS: Json = {
    "type": "function",
    "function": {
        "name": "list_campaigns",
        "description": "The latest campaigns.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"limit": {"type": "integer", "minimum": 1, "maximum": 5}},
            "required": ["limit"],
            "additionalProperties": False,
        },
    },
}
RESULTS: Json = {
    "type": "function",
    "function": {
        "name": "campaign_results",
        "parameters": {
            "type": "object",
            "properties": {"campaign_id": {"type": "string"}},
            "required": ["campaign_id"],
        },
    },
}
COUNT: Json = {"type": "function", "function": {"name": "count_contacts"}}
HELLO: list[Json] = [{"role": "user", "content": "Hello"}]


def user(text: str) -> Json:
    """A user's message."""
    return {"role": "user", "content": text}


def tool_turn(call_id: str, name: str, result: object, arguments: str = "{}") -> list[Json]:
    """An assistant's call and the tool's answer."""
    call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": orjson.dumps(result).decode()},
    ]


async def ask(client: Client, messages: list[Json], **changes: object) -> Json:
    """The choice of a whole (not streamed) completion."""
    document = {"model": "vendor/model", "messages": messages, **changes}
    answer = await client.call("POST", PATH, document, Authorization="Bearer key")
    assert answer.status == 200, answer.body
    choices = answer.object()["choices"]
    assert isinstance(choices, list)
    choice: Json = choices[0]
    return choice


async def text(client: Client, messages: list[Json], **changes: object) -> str:
    """The text of a whole completion."""
    message = (await ask(client, messages, **changes))["message"]
    assert isinstance(message, dict)
    return str(message["content"])


async def test_the_wire_is_server_sent_events_as_openrouter_sends_them(client: Client) -> None:
    """Comments, a role delta, content, a finish reason, usage with cost and no choice, DONE, and the id."""
    document = {"model": "vendor/model", "messages": HELLO, "stream": True}
    async with client.session.post(
        client.url + PATH, json=document, headers={"Authorization": "Bearer key"}
    ) as response:
        generation_id = response.headers["x-generation-id"]
        assert response.content_type == "text/event-stream"
        body = await response.text()
    blocks = body.removesuffix("\n\n").split("\n\n")
    assert blocks[0] == ": OPENROUTER PROCESSING"
    assert blocks[-1] == "data: [DONE]"
    chunks = [orjson.loads(block.removeprefix("data: ")) for block in blocks[:-1] if block.startswith("data: ")]
    assert {chunk["id"] for chunk in chunks} == {generation_id}
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    usage = chunks[-1]["usage"]
    assert chunks[-1]["choices"] == []
    assert usage["cost"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    told = "".join(chunk["choices"][0]["delta"]["content"] or "" for chunk in chunks[:-1])
    assert told.startswith("I am the offline Maya")


def sdk(client: Client, key: str = "key") -> AsyncOpenAI:
    """The official SDK on the sandbox."""
    return AsyncOpenAI(base_url=f"{client.url}/api/v1", api_key=key, max_retries=0)


async def opened(
    client: AsyncOpenAI, messages: list[Json], tools: list[Json] | None = None
) -> "AsyncStream[ChatCompletionChunk]":
    """A stream of the official SDK."""
    return await client.chat.completions.create(
        model="vendor/model",
        messages=cast("list[ChatCompletionMessageParam]", messages),
        tools=cast("list[ChatCompletionToolParam]", tools) if tools else omit,
        stream=True,
    )


def gathered(chunks: Iterable["ChatCompletionChunk"]) -> tuple[str, dict[int, tuple[str, str]]]:
    """The text and the tool calls (name, arguments) of a stream."""
    said, calls = "", dict[int, tuple[str, str]]()
    for chunk in chunks:
        for choice in chunk.choices:
            said += choice.delta.content or ""
            for part in choice.delta.tool_calls or []:
                name, arguments = calls.get(part.index, ("", ""))
                function = part.function
                assert function is not None
                calls[part.index] = (name + (function.name or ""), arguments + (function.arguments or ""))
    return said, calls


async def test_the_openai_sdk_reads_a_stream_with_tools(client: Client) -> None:
    """Asked about results, the model lists campaigns, looks up the one in question, and tells its figures."""
    messages = [user("What are the results of Spring sale?")]
    tools = [CAMPAIGNS, RESULTS, COUNT]
    campaigns = {"campaigns": [{"id": "c-1", "name": "Welcome"}, {"id": "c-2", "name": "Spring sale"}]}
    answers: dict[str, object] = {
        "list_campaigns": campaigns,
        "campaign_results": {"name": "Spring sale", "delivered": 1980, "openRate": 0.313},
    }
    asked: list[tuple[str, object]] = []
    said = ""
    async with sdk(client) as openai:
        for step in range(3):
            stream = await opened(openai, messages, tools)
            said, calls = gathered([chunk async for chunk in stream])
            for name, arguments in calls.values():
                asked.append((name, orjson.loads(arguments)))
                messages += tool_turn(f"call_{step}", name, answers[name], arguments)
    assert asked == [("list_campaigns", {"limit": 5}), ("campaign_results", {"campaign_id": "c-2"})]
    assert "“Spring sale”: delivered 1,980, open rate 31.3 %" in said


async def test_counts_are_told_from_the_tool(client: Client) -> None:
    """A count of contacts is told with its figure, and later replies do not introduce themselves again."""
    question = user("How many contacts do I have?")
    choice = await ask(client, [question], tools=[CAMPAIGNS, COUNT])
    assert choice["finish_reason"] == "tool_calls"
    earlier: list[Json] = [user("Hi"), {"role": "assistant", "content": "Hello!"}]
    said = await text(client, [*earlier, question, *tool_turn("x", "count_contacts", {"count": 2000})], tools=[COUNT])
    assert said == "You have 2,000 contacts."


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"campaigns": []}, "I found no campaigns."),
        ({"error": {"message": "Not allowed."}}, "I could not look that up: Not allowed."),
        ([{"name": "A", "status": "SENT", "opens": 3}], "I found 1 campaign"),
        ({"data": {"nodes": [{"name": "A"}, {"name": "B"}], "totalCount": 12}}, "I found 12 entries"),
        ("plain words", "plain words"),
        (None, "found nothing"),
    ],
)
async def test_any_result_is_told(client: Client, result: object, expected: str) -> None:
    """Lists, errors, nested objects, words and nothing are each put into a sentence."""
    said = await text(client, [user("My campaigns?"), *tool_turn("x", "list_campaigns", result)], tools=[CAMPAIGNS])
    assert expected in said


async def test_without_tools_or_a_topic_the_model_says_what_it_is(client: Client) -> None:
    """No tools, tool_choice none, or a greeting give a text that names the offline Maya."""
    question = [user("How are my campaigns?")]
    for changes in ({}, {"tools": [CAMPAIGNS], "tool_choice": "none"}):
        assert "offline Maya" in await text(client, question, **changes)
    assert "offline Maya" in await text(client, HELLO, tools=[CAMPAIGNS])
    later: list[Json] = [*HELLO, {"role": "assistant", "content": "Hi."}, user("Are you a real AI?")]
    assert "offline Maya" in await text(client, later)


def tool(name: str, **properties: object) -> Json:
    """A tool with these required arguments."""
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Which campaigns did I send?", ("list_campaigns", {"status": None, "search": None})),
        ("How many subscribers opened it?", ("list_campaigns", {"status": None, "search": None})),
        ("How many contacts are there?", ("count_contacts", {})),
        ("Is bob@example.com a contact?", ("contact_by_email", {"email": "bob@example.com"})),
        ("Tell me a joke.", None),
    ],
)
async def test_the_offline_model_chooses_the_tool_by_its_name(
    client: Client, question: str, expected: tuple[str, Json] | None
) -> None:
    """The topic picks the tool, arguments come from the question, and nothing that writes is ever called."""
    nullable = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    tools = [
        tool("send_campaign", campaign_id={"type": "string"}),
        tool("contact_by_email", email={"type": "string"}),
        tool("count_contacts"),
        tool("campaign", id={"type": "string"}),
        tool("campaign_stats", campaign_id={"type": "string"}),
        tool("list_campaigns", status={"enum": ["sent", None]}, search=nullable),
    ]
    message = (await ask(client, [user(question)], tools=tools))["message"]
    assert isinstance(message, dict)
    called = [
        (call["function"]["name"], orjson.loads(call["function"]["arguments"]))
        for call in message.get("tool_calls", [])
    ]
    assert called == ([expected] if expected else [])


async def test_a_draft_is_about_what_was_asked(client: Client) -> None:
    """Asked to write, the model gives a subject and a body with the merge tag."""
    said = await text(client, [user("Write an e-mail about our summer opening hours.")])
    assert "**Subject:** Summer opening hours" in said
    assert '{{ contact.firstName | default: "there" }}' in said


async def test_max_tokens_ends_with_length(client: Client) -> None:
    """A reply longer than max_tokens is cut at a word with finish reason length."""
    choice = await ask(client, HELLO, max_tokens=3)
    assert choice["finish_reason"] == "length"
    assert choice["message"] == {"role": "assistant", "content": "I am the ", "refusal": None}


ASSISTANT_CALL = tool_turn("a", "count_contacts", 1)[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": None},
        {"messages": []},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"messages": [*HELLO, {"role": "tool", "tool_call_id": "a", "content": "1"}]},
        {"messages": [*HELLO, ASSISTANT_CALL, {"role": "tool", "tool_call_id": "b", "content": "1"}]},
        {"messages": [*HELLO, ASSISTANT_CALL]},
        {"messages": [*HELLO, ASSISTANT_CALL, *HELLO]},
        {"model": None},
        {"model": 5},
        {"models": "vendor/model"},
        {"stream": "yes"},
        {"max_tokens": 0},
        {"tools": []},
        {"tools": [{"type": "function", "function": {"name": "has space"}}]},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}]},
        {
            "tools": [
                {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "required": ["x"]}}}
            ]
        },
        {
            "tools": [
                {"type": "function", "function": {"name": "f", "strict": True, "parameters": {"type": "object"}}}
            ]
        },
        {"tools": [COUNT, COUNT]},
        {"tools": [COUNT], "tool_choice": {"type": "function", "function": {"name": "other"}}},
        {"tool_choice": "required"},
    ],
)
async def test_a_malformed_request_is_refused(client: Client, changes: Json) -> None:
    """Each breach answers 400 with OpenRouter's error object."""
    document = {"model": "vendor/model", "messages": HELLO, **changes}
    answer = await client.call("POST", PATH, document, Authorization="Bearer key")
    error = answer.object()["error"]
    assert isinstance(error, dict)
    assert (answer.status, error["code"]) == (400, 400)


async def test_a_key_is_required_and_compared(session: aiohttp.ClientSession) -> None:
    """No key or a wrong one answers 401."""
    async with sandbox_with(session, SandboxConfig(llm_api_key="right", pace=0)) as client:
        for authorization in ("", "Bearer ", "Basic right", "Bearer wrong"):
            document = {"model": "m", "messages": HELLO}
            assert (await client.call("POST", PATH, document, Authorization=authorization)).status == 401
        document = {"model": "m", "messages": HELLO}
        assert (await client.call("POST", PATH, document, Authorization="Bearer right")).status == 200


@pytest.mark.parametrize("status", [400, 401, 402, 403, 408, 429, 502, 503])
async def test_errors_before_the_first_token_have_their_status(client: Client, status: int) -> None:
    """The SDK sees the status and the code."""
    await client.faults(llm={"status": {"status": status, "count": 1}})
    async with sdk(client) as openai:
        with pytest.raises(APIStatusError) as caught:
            await opened(openai, HELLO)
    assert caught.value.status_code == status


async def streamed(client: Client) -> tuple[str, list[Json], bool]:
    """The raw body of a stream as far as it came, its chunks, and whether it ended properly."""
    document = {"model": "vendor/model", "messages": HELLO, "stream": True}
    body, whole = b"", True
    async with client.session.post(
        client.url + PATH, json=document, headers={"Authorization": "Bearer key"}
    ) as response:
        assert response.status == 200
        try:
            async for part in response.content.iter_any():
                body += part
        except aiohttp.ClientPayloadError:
            whole = False
    told = body.decode()
    chunks = [orjson.loads(line[6:]) for line in told.splitlines() if line.startswith("data: {")]
    return told, chunks, whole


async def test_an_error_in_mid_stream_is_a_chunk(client: Client) -> None:
    """HTTP 200, some words, then a top-level error with finish reason error, and no DONE."""
    await client.faults(llm={"mid_stream_error": {"after": 2, "code": 502, "message": "Gone.", "count": 1}})
    told, chunks, whole = await streamed(client)
    assert whole
    assert chunks[-1]["error"] == {"code": 502, "message": "Gone."}
    choices = chunks[-1]["choices"]
    assert isinstance(choices, list)
    assert choices[0]["finish_reason"] == "error"
    assert len(chunks) == 1 + 2 + 1
    assert "[DONE]" not in told
    await client.faults(llm={"mid_stream_error": {"count": 1}})
    async with sdk(client) as openai:
        stream = await opened(openai, HELLO)
        with pytest.raises(APIError):
            [chunk async for chunk in stream]


async def test_a_cut_stream_breaks_off(client: Client) -> None:
    """The connection closes after some words, without an end."""
    await client.faults(llm={"cut_stream": {"after": 2}})
    told, chunks, whole = await streamed(client)
    assert not whole
    assert len(chunks) == 1 + 2
    assert "[DONE]" not in told


async def test_stalls_and_slow_tokens_take_their_time(client: Client) -> None:
    """A stall before the first token or in mid-stream, and slow tokens, delay a reply that then ends well."""
    clock = asyncio.get_running_loop().time
    for switch in ({"stall_before_first_token": 0.3}, {"stall_mid_stream": 0.3}, {"slow_tokens": 0.02}):
        await client.faults(llm=switch)
        start = clock()
        told, _, whole = await streamed(client)
        assert whole
        assert told.endswith("data: [DONE]\n\n")
        assert clock() - start >= 0.3, switch


async def test_models_fall_back_in_order(client: Client) -> None:
    """A model that is down is passed over, the reply names the one used; with all down it answers 503."""
    await client.faults(llm={"model_down": "first/*"})
    document: Json = {"models": ["first/big", "second/small"], "messages": HELLO}
    answer = await client.call("POST", PATH, document, Authorization="Bearer key")
    assert answer.object()["model"] == "second/small"
    document["models"] = ["first/big"]
    assert (await client.call("POST", PATH, document, Authorization="Bearer key")).status == 503
    listed = (await client.call("GET", "/api/v1/models")).object()["data"]
    assert isinstance(listed, list)
    assert "sandbox/offline-maya" in [model["id"] for model in listed]


async def test_a_script_plays_a_hostile_model(client: Client) -> None:
    """Turns come in order: a call nobody offered with broken arguments, an error, a text; then the offline Maya."""
    turns = [
        {"text": "Wait.", "tool_calls": [{"name": "send_everything", "arguments": '{"to": '}]},
        {"error": {"code": 429, "message": "Busy."}},
        "Click https://evil.example",
    ]
    await client.faults(llm={"script": turns})
    choice = await ask(client, HELLO)
    message = choice["message"]
    assert isinstance(message, dict)
    assert message["content"] == "Wait."
    assert message["tool_calls"][0]["function"] == {"name": "send_everything", "arguments": '{"to": '}
    assert choice["finish_reason"] == "tool_calls"
    document = {"model": "m", "messages": HELLO}
    assert (await client.call("POST", PATH, document, Authorization="Bearer key")).status == 429
    assert await text(client, HELLO) == "Click https://evil.example"
    assert "offline Maya" in await text(client, HELLO)


async def test_a_repeated_script_never_ends(client: Client) -> None:
    """With repeat the turns come round again."""
    await client.faults(llm={"script": {"turns": ["one", "two"], "repeat": True}})
    assert [await text(client, HELLO) for _ in range(3)] == ["one", "two", "one"]


async def test_requests_show_what_the_model_was_told_and_how_it_ended(client: Client) -> None:
    """A finished stream, and one that its client closed."""
    await streamed(client)
    await client.faults(llm={"slow_tokens": 0.05})
    async with client.session.post(
        client.url + PATH,
        json={"model": "m", "messages": HELLO, "stream": True},
        headers={"Authorization": "Bearer key"},
    ) as response:
        await response.content.readline()
        response.close()
    async with asyncio.timeout(5):
        while True:
            requests = (await client.call("GET", "/sandbox/llm/requests")).object()["requests"]
            assert isinstance(requests, list)
            if requests[-1]["ended"] != "open":
                break
            await asyncio.sleep(0.02)
    assert [request["ended"] for request in requests] == ["finished", "aborted"]
    assert requests[0]["request"]["messages"] == HELLO
