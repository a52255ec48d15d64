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
from sandbox.wire import ConnectionCut, InterruptibleStream, JsonObject, read_body, reply

MAX_BYTES = 20_000_000
PROVIDER = "Sandbox"
THINKING_SECONDS, TOKEN_SECONDS = 0.15, 0.03
BEFORE_FIRST_TOKEN = frozenset((400, 401, 402, 403, 408, 429, 502, 503))
COMMENT = b": OPENROUTER PROCESSING\n\n"
MODELS = ("sandbox/offline-maya", "sandbox/offline-maya-fast", "sandbox/offline-maya-complex")


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A completion that is being sent."""

    sandbox: Sandbox
    request: ChatRequest
    reply: Reply
    call: Call

    def head(self, kind: str) -> JsonObject:
        """The fields of every chunk."""
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
    completion = Completion(sandbox=sandbox, request=chat, reply=answer, call=call)
    headers = {"x-generation-id": call.generation_id, "cache-control": "no-cache"}
    if chat.stream:
        return InterruptibleStream(_stream(completion), media_type="text/event-stream", headers=headers)
    return await _whole(completion, headers)


async def models(_: Request) -> Response:
    """`GET /api/v1/models`. The offline model serves any other name as well."""
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


async def _whole(completion: Completion, headers: dict[str, str]) -> Response:
    await asyncio.sleep(THINKING_SECONDS * completion.sandbox.config.pace)
    completion.call.ended = "finished"
    choice: JsonObject = {
        "index": 0,
        "message": whole(completion.reply),
        "finish_reason": completion.reply.ending(),
        "native_finish_reason": completion.reply.ending(),
        "logprobs": None,
    }
    if completion.reply.error:
        code, message = completion.reply.error
        completion.call.ended = "failed"
        choice |= {"finish_reason": "error", "error": {"code": code, "message": message}}
    body = {
        **completion.head("chat.completion"),
        "choices": [choice],
        "usage": usage(completion.request, completion.reply),
    }
    return Response(orjson.dumps(body), media_type="application/json", headers=headers)


async def _stream(completion: Completion) -> AsyncIterator[bytes]:
    try:
        async for part in _chunks(completion):
            yield part
    except ConnectionCut:
        completion.call.ended = "cut"
        raise
    finally:
        if completion.call.ended == "open":
            completion.call.ended = "aborted"


async def _chunks(completion: Completion) -> AsyncIterator[bytes]:
    oddities = Oddities(completion.sandbox.faults)
    pace = completion.sandbox.config.pace
    slow = completion.sandbox.faults.take("llm", "slow_tokens")
    wait = slow.number("seconds", 1) if slow else TOKEN_SECONDS * pace
    yield COMMENT
    await asyncio.sleep(THINKING_SECONDS * pace)
    yield COMMENT
    async for chunk in _documented(completion, wait):
        for line in oddities.encoded(chunk):
            yield line
    if completion.call.ended == "finished":
        for line in oddities.end():
            yield line


async def _documented(completion: Completion, wait: float) -> AsyncIterator[JsonObject]:
    """The chunks of a reply as documented."""
    yield _chunk(completion, {"role": "assistant", "content": ""})
    faults = _StreamFaults(completion.sandbox.faults)
    for sent, delta in enumerate(deltas(completion.reply)):
        if error := await faults.apply(sent):
            yield _failed(completion, *error)
            return
        yield _chunk(completion, delta)
        await asyncio.sleep(wait)
    if error := completion.reply.error or await faults.apply(None):
        yield _failed(completion, *error)
        return
    yield _chunk(completion, {"role": "assistant", "content": ""}, completion.reply.ending())
    completion.call.ended = "finished"
    yield {
        **completion.head("chat.completion.chunk"),
        "choices": [],
        "usage": usage(completion.request, completion.reply),
    }


class _StreamFaults:
    """The faults of a stream; each occurs after a number of deltas, or at the end of a shorter reply."""

    def __init__(self, faults: Faults) -> None:
        self._error = faults.take("llm", "mid_stream_error")
        self._stall = faults.take("llm", "stall_mid_stream")
        self._cut = faults.take("llm", "cut_stream")

    async def apply(self, sent: int | None) -> tuple[int, str] | None:
        """Stall or cut the stream, or return the error that ends it. `sent` is None at the end of the reply."""
        if self._stall and sent in (None, self._stall.integer("after", 3)):
            stall, self._stall = self._stall, None
            await asyncio.sleep(stall.number("seconds", 30))
        if self._cut and sent in (None, self._cut.integer("after", 3)):
            raise ConnectionCut
        if self._error and sent in (None, self._error.integer("after", 3)):
            return self._error.integer("code", 502), self._error.text(
                "message", "Provider disconnected unexpectedly."
            )
        return None


def _chunk(completion: Completion, delta: JsonObject, finish_reason: str | None = None) -> JsonObject:
    choice = {
        "index": 0,
        "delta": delta,
        "finish_reason": finish_reason,
        "native_finish_reason": finish_reason,
        "logprobs": None,
    }
    return {**completion.head("chat.completion.chunk"), "choices": [choice]}


def _failed(completion: Completion, code: int, message: str) -> JsonObject:
    completion.call.ended = "failed"
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error", "native_finish_reason": "error"}
    return {
        **completion.head("chat.completion.chunk"),
        "error": {"code": code, "message": message},
        "choices": [choice],
    }
