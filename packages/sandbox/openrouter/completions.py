import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

import orjson
from starlette.requests import Request
from starlette.responses import Response

from sandbox.calls import Call
from sandbox.faults import Faults
from sandbox.openrouter import offline
from sandbox.openrouter.checking import ChatRequest, check, refused
from sandbox.openrouter.oddities import Oddities
from sandbox.openrouter.replies import Reply, deltas, scripted, shortened, usage, whole
from sandbox.state import Sandbox, sandbox_of
from sandbox.wire import Cut, CuttableStream, JsonObject, read_body, reply

MAX_BYTES = 20_000_000
PROVIDER = "Sandbox"
THINKING_SECONDS, TOKEN_SECONDS = 0.15, 0.03
BEFORE_FIRST_TOKEN = frozenset((400, 401, 402, 403, 408, 429, 502, 503))
COMMENT = b": OPENROUTER PROCESSING\n\n"
MODELS = ("sandbox/offline-maya", "sandbox/offline-maya-fast", "sandbox/offline-maya-complex")


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """One reply about to be told."""

    sandbox: Sandbox
    request: ChatRequest
    reply: Reply
    call: Call

    def head(self, kind: str) -> JsonObject:
        """What every chunk begins with."""
        return {
            "id": self.call.generation_id,
            "provider": PROVIDER,
            "model": self.call.model,
            "object": kind,
            "created": int(self.call.at),
        }


async def complete(request: Request) -> Response:
    """`POST /api/v1/chat/completions`."""
    sandbox = sandbox_of(request)
    _check_key(sandbox, request)
    chat, document = check(await read_body(request, MAX_BYTES))
    faults = sandbox.faults
    if fault := faults.take("llm", "status"):
        status = fault.integer("status", 503)
        message = fault.text("message", f"Simulated error {status}.")
        raise refused(status, message, fault.integer("retry_after", 0))
    model = _model(faults, chat)
    answer = shortened(_answer(faults, chat), chat.max_tokens)
    if answer.error and not answer.text and answer.error[0] in BEFORE_FIRST_TOKEN:
        raise refused(*answer.error)
    call = sandbox.calls.add(f"gen-{int(time.time())}-{secrets.token_urlsafe(12)}", model, document)
    if fault := faults.take("llm", "stall_before_first_token"):
        await asyncio.sleep(fault.number("seconds", 1))
    telling = Telling(sandbox=sandbox, request=chat, reply=answer, call=call)
    headers = {"x-generation-id": call.generation_id, "cache-control": "no-cache"}
    if chat.stream:
        return CuttableStream(_stream(telling), media_type="text/event-stream", headers=headers)
    return await _whole(telling, headers)


async def models(_: Request) -> Response:
    """`GET /api/v1/models`: any other name is served too, by the same offline model."""
    entries = [
        {
            "id": name,
            "name": name,
            "context_length": 128_000,
            "pricing": {"prompt": "0.0000005", "completion": "0.0000015"},
            "supported_parameters": ["tools", "tool_choice", "max_tokens"],
        }
        for name in MODELS
    ]
    return reply({"data": entries})


def _check_key(sandbox: Sandbox, request: Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    expected = sandbox.config.llm_api_key
    if scheme.lower() != "bearer" or not key.strip() or (expected and key != expected):
        raise refused(401, "No valid credentials: send Authorization: Bearer and a key.")


def _model(faults: Faults, chat: ChatRequest) -> str:
    down = faults.peek("llm", "model_down")
    for name in chat.models:
        if down is None or not fnmatchcase(name, down.text("pattern", "*")):
            return name
        faults.take("llm", "model_down")
    raise refused(503, "No provider is available for the models asked for.")


def _answer(faults: Faults, chat: ChatRequest) -> Reply:
    script = faults.peek("llm", "script")
    turns = script.options.get("turns") if script else None
    if script is None or not isinstance(turns, list) or not turns or not faults.take("llm", "script"):
        return offline.answer(chat)
    turn = turns.pop(0)
    if script.options.get("repeat") is True:
        turns.append(turn)
    return scripted(turn)


async def _whole(telling: Telling, headers: dict[str, str]) -> Response:
    await asyncio.sleep(THINKING_SECONDS * telling.sandbox.config.pace)
    telling.call.ended = "finished"
    choice: JsonObject = {
        "index": 0,
        "message": whole(telling.reply),
        "finish_reason": telling.reply.ending(),
        "native_finish_reason": telling.reply.ending(),
        "logprobs": None,
    }
    if telling.reply.error:
        code, message = telling.reply.error
        telling.call.ended = "failed"
        choice |= {"finish_reason": "error", "error": {"code": code, "message": message}}
    body = {
        **telling.head("chat.completion"),
        "choices": [choice],
        "usage": usage(telling.request, telling.reply),
    }
    return Response(orjson.dumps(body), media_type="application/json", headers=headers)


async def _stream(telling: Telling) -> AsyncIterator[bytes]:
    try:
        async for part in _chunks(telling):
            yield part
    except Cut:
        telling.call.ended = "cut"
        raise
    finally:
        if telling.call.ended == "open":
            telling.call.ended = "aborted"


async def _chunks(telling: Telling) -> AsyncIterator[bytes]:
    oddities = Oddities(telling.sandbox.faults)
    pace = telling.sandbox.config.pace
    slow = telling.sandbox.faults.take("llm", "slow_tokens")
    wait = slow.number("seconds", 1) if slow else TOKEN_SECONDS * pace
    yield COMMENT
    await asyncio.sleep(THINKING_SECONDS * pace)
    yield COMMENT
    async for chunk in _documented(telling, wait):
        for line in oddities.encoded(chunk):
            yield line
    if telling.call.ended == "finished":
        for line in oddities.end():
            yield line


async def _documented(telling: Telling, wait: float) -> AsyncIterator[JsonObject]:
    """The chunks of a reply as the documentation has them."""
    yield _chunk(telling, {"role": "assistant", "content": ""})
    trouble = _Trouble(telling.sandbox.faults)
    for told, delta in enumerate(deltas(telling.reply)):
        if error := await trouble.strike(told):
            yield _failed(telling, *error)
            return
        yield _chunk(telling, delta)
        await asyncio.sleep(wait)
    if error := telling.reply.error or await trouble.strike(None):
        yield _failed(telling, *error)
        return
    yield _chunk(telling, {"role": "assistant", "content": ""}, telling.reply.ending())
    telling.call.ended = "finished"
    yield {**telling.head("chat.completion.chunk"), "choices": [], "usage": usage(telling.request, telling.reply)}


class _Trouble:
    """The faults of one stream; each strikes after so many deltas, or at the end of a shorter reply."""

    def __init__(self, faults: Faults) -> None:
        self._error = faults.take("llm", "mid_stream_error")
        self._stall = faults.take("llm", "stall_mid_stream")
        self._cut = faults.take("llm", "cut_stream")

    async def strike(self, told: int | None) -> tuple[int, str] | None:
        """Stall or cut now, or give the error that ends the stream. `told` is None at the end of the reply."""
        if self._stall and told in (None, self._stall.integer("after", 3)):
            stall, self._stall = self._stall, None
            await asyncio.sleep(stall.number("seconds", 30))
        if self._cut and told in (None, self._cut.integer("after", 3)):
            raise Cut
        if self._error and told in (None, self._error.integer("after", 3)):
            return self._error.integer("code", 502), self._error.text(
                "message", "Provider disconnected unexpectedly."
            )
        return None


def _chunk(telling: Telling, delta: JsonObject, finish_reason: str | None = None) -> JsonObject:
    choice = {
        "index": 0,
        "delta": delta,
        "finish_reason": finish_reason,
        "native_finish_reason": finish_reason,
        "logprobs": None,
    }
    return {**telling.head("chat.completion.chunk"), "choices": [choice]}


def _failed(telling: Telling, code: int, message: str) -> JsonObject:
    telling.call.ended = "failed"
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error", "native_finish_reason": "error"}
    return {
        **telling.head("chat.completion.chunk"),
        "error": {"code": code, "message": message},
        "choices": [choice],
    }
