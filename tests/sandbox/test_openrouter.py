import asyncio

import aiohttp
import orjson
import pytest
from openai import APIError, APIStatusError

from sandbox import SandboxConfig
from tests.clocks import simulate
from tests.sandbox.chat import COUNT, HELLO, PATH, ask, opened, sdk, text, tool_turn
from tests.sandbox.conftest import Client, Json, sandbox_with


async def test_a_stream_has_openrouters_format(client: Client) -> None:
    """Comments, a role delta, content, a finish reason, usage with cost and without a choice, DONE, and the id."""
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
    reply = "".join(chunk["choices"][0]["delta"]["content"] or "" for chunk in chunks[:-1])
    assert reply.startswith("I am the offline Maya")


async def test_max_tokens_ends_with_length(client: Client) -> None:
    """A longer reply is cut after a word, with the finish reason length."""
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
    """Each invalid request gets a 400 with OpenRouter's error object."""
    document = {"model": "vendor/model", "messages": HELLO, **changes}
    answer = await client.call("POST", PATH, document, Authorization="Bearer key")
    error = answer.object()["error"]
    assert isinstance(error, dict)
    assert (answer.status, error["code"]) == (400, 400)


async def test_a_key_is_required_and_compared(session: aiohttp.ClientSession) -> None:
    """A missing or wrong key gets a 401."""
    async with sandbox_with(session, SandboxConfig(llm_api_key="right", pace=0)) as client:
        for authorization in ("", "Bearer ", "Basic right", "Bearer wrong"):
            document = {"model": "m", "messages": HELLO}
            assert (await client.call("POST", PATH, document, Authorization=authorization)).status == 401
        document = {"model": "m", "messages": HELLO}
        assert (await client.call("POST", PATH, document, Authorization="Bearer right")).status == 200


@pytest.mark.parametrize("status", [400, 401, 402, 403, 408, 429, 502, 503])
async def test_errors_before_the_first_token_have_their_status(client: Client, status: int) -> None:
    """The SDK gets the status."""
    await client.faults(llm={"status": {"status": status, "count": 1}})
    async with sdk(client) as openai:
        with pytest.raises(APIStatusError) as excinfo:
            await opened(openai, HELLO)
    assert excinfo.value.status_code == status


async def read_stream(client: Client) -> tuple[str, list[Json], bool]:
    """The body of a stream as far as received, its chunks, and whether it was complete."""
    document = {"model": "vendor/model", "messages": HELLO, "stream": True}
    body, complete = b"", True
    async with client.session.post(
        client.url + PATH, json=document, headers={"Authorization": "Bearer key"}
    ) as response:
        assert response.status == 200
        try:
            async for part in response.content.iter_any():
                body += part
        except aiohttp.ClientPayloadError:
            complete = False
    text = body.decode()
    chunks = [orjson.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    return text, chunks, complete


async def test_an_error_in_mid_stream_is_a_chunk(client: Client) -> None:
    """Status 200, some words, then a top-level error with the finish reason error, and no DONE."""
    await client.faults(llm={"mid_stream_error": {"after": 2, "code": 502, "message": "Disconnected.", "count": 1}})
    text, chunks, complete = await read_stream(client)
    assert complete
    assert chunks[-1]["error"] == {"code": 502, "message": "Disconnected."}
    choices = chunks[-1]["choices"]
    assert isinstance(choices, list)
    assert choices[0]["finish_reason"] == "error"
    assert len(chunks) == 1 + 2 + 1
    assert "[DONE]" not in text
    await client.faults(llm={"mid_stream_error": {"count": 1}})
    async with sdk(client) as openai:
        stream = await opened(openai, HELLO)
        with pytest.raises(APIError):
            [chunk async for chunk in stream]


async def test_a_cut_stream_is_incomplete(client: Client) -> None:
    """The connection closes after some words."""
    await client.faults(llm={"cut_stream": {"after": 2}})
    text, chunks, complete = await read_stream(client)
    assert not complete
    assert len(chunks) == 1 + 2
    assert "[DONE]" not in text


async def test_stalls_and_slow_tokens_take_their_time(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stalls before the first token or in mid-stream, and slow tokens, delay a reply, which is then complete."""
    simulated = simulate(monkeypatch, "sandbox.openrouter.completions")
    for switch in ({"stall_before_first_token": 30}, {"stall_mid_stream": 30}, {"slow_tokens": 2}):
        await client.faults(llm=switch)
        start = simulated.now
        text, _, complete = await read_stream(client)
        assert complete
        assert text.endswith("data: [DONE]\n\n")
        assert simulated.now - start >= 30, switch


async def test_models_fall_back_in_order(client: Client) -> None:
    """A model that is down is skipped, and the reply names the one used; if all are down it is a 503."""
    await client.faults(llm={"model_down": "first/*"})
    document: Json = {"models": ["first/big", "second/small"], "messages": HELLO}
    answer = await client.call("POST", PATH, document, Authorization="Bearer key")
    assert answer.object()["model"] == "second/small"
    document["models"] = ["first/big"]
    assert (await client.call("POST", PATH, document, Authorization="Bearer key")).status == 503
    models = (await client.call("GET", "/api/v1/models")).object()["data"]
    assert isinstance(models, list)
    assert "sandbox/offline-maya" in [model["id"] for model in models]


async def test_a_script_simulates_a_hostile_model(client: Client) -> None:
    """Turns in order: a call of an unknown tool with invalid arguments, an error, a text; then the offline Maya."""
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
    """With `repeat` it starts again after the last turn."""
    await client.faults(llm={"script": {"turns": ["one", "two"], "repeat": True}})
    assert [await text(client, HELLO) for _ in range(3)] == ["one", "two", "one"]


async def test_requests_are_listed_with_how_they_ended(client: Client) -> None:
    """A finished stream, and one that its client has closed."""
    await read_stream(client)
    await client.faults(llm={"slow_tokens": 0.05})
    async with client.session.post(
        client.url + PATH,
        json={"model": "m", "messages": HELLO, "stream": True},
        headers={"Authorization": "Bearer key"},
    ) as response:
        await response.content.readline()
        response.close()
    async with asyncio.timeout(60):
        while True:
            requests = (await client.call("GET", "/sandbox/llm/requests")).object()["requests"]
            assert isinstance(requests, list)
            if requests[-1]["ended"] != "open":
                break
            await asyncio.sleep(0.02)
    assert [request["ended"] for request in requests] == ["finished", "aborted"]
    assert requests[0]["request"]["messages"] == HELLO
