"""Reading a reply from a stream with chunks and lines of any form."""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.completions import Completion
from integrations.event_stream import MAX_LINE_BYTES, EventStream, Mark, StreamTooLarge
from integrations.language import Finish, ModelRefused, ModelUnavailable, ReplyEnd, TokenUsage
from tests.maya import dialects
from tests.maya.dialects import DIALECTS, NAMES, Call

Chunk = dict[str, Any]
TEXT = st.text('abc \n\u00e9\u200d\u4e2d\U0001f600"{}', min_size=1, max_size=12)
HEAD = {"id": "gen-1", "object": "chat.completion.chunk", "created": 1, "model": "vendor/model"}
NOTHING: tuple[Chunk, ...] = (
    {},
    {"choices": []},
    {"choices": None},
    {"choices": [None, 7, "x"]},
    {"choices": {"delta": None}},
    {"choices": [{"index": 0, "delta": None, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": ""}]},
    {"choices": [{"delta": {"role": "assistant"}}]},
    {"choices": [{"delta": {"role": None, "content": "", "refusal": "", "tool_calls": [], "function_call": None}}]},
    {"choices": [{"delta": {"content": None, "tool_calls": None, "refusal": None}, "logprobs": None}]},
    {"choices": [{"delta": {"tool_calls": [None, {}, {"index": 0, "function": None}]}}]},
    {"choices": [{"delta": {"reasoning": "hm", "reasoning_content": "hm", "reasoning_details": [{"text": "hm"}]}}]},
    {"choices": [{"delta": {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "image_url"}, 3, None]}}]},
    {"choices": [{"delta": {"content": {"type": "thinking", "text": "hm"}}, "content_filter_results": {}}]},
    {"choices": [], "prompt_filter_results": [{"prompt_index": 0}], "usage": None, "x_groq": {"id": "r"}},
    {"usage": {"prompt_tokens": None, "completion_tokens": -1, "cost": float("nan")}, "error": None},
    {"usage": {"prompt_tokens": float("inf"), "completion_tokens": "lots", "cost": "free"}, "error": {}},
    {"usage": [], "type": "ping", "object": ""},
)


def text_chunks(kind: int, text: str) -> list[Chunk]:
    """A text in one of the forms in which servers send it."""
    shapes: list[object] = [
        {"content": text},
        {"content": [{"type": "text", "text": text}]},
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": text},
            ]
        },
        {"content": {"type": "text", "text": text}, "role": "assistant", "tool_calls": None},
        {"content": [text], "reasoning": "hm"},
    ]
    return [{**HEAD, "choices": [{"index": 0, "delta": shapes[kind], "finish_reason": None}]}]


def lines(chunk: Chunk, ending: str, *, gap: bool) -> str:
    """A chunk as an event."""
    return f"data: {json.dumps(chunk)}{ending}{ending if gap else ''}"


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, str, list[Call], TokenUsage]:
    """The bytes of a reply as some server sends it, and its text, calls and usage."""
    texts = draw(st.lists(TEXT, max_size=5))
    tool_calls = draw(dialects.calls()) if draw(st.booleans()) or not texts else []
    dialect: Callable[[Sequence[Call]], list[dialects.Part]] = draw(st.sampled_from(DIALECTS))
    chunks = [chunk for text in texts for chunk in text_chunks(draw(st.integers(0, 4)), text)]
    chunks += (
        [{**HEAD, "choices": [{"delta": {"tool_calls": [part]}}]} for part in dialect(tool_calls)]
        if tool_calls
        else []
    )
    used = TokenUsage(draw(st.integers(1, 9_999)), draw(st.integers(1, 9_999)), draw(st.sampled_from([0.25, 3.0])))
    usage = {"prompt_tokens": used.prompt_tokens, "completion_tokens": used.completion_tokens, "cost": used.cost}
    finish = draw(st.sampled_from(["stop", "tool_calls", "STOP", "eos", "end_turn", None]))
    last = {"index": 0, "delta": draw(st.sampled_from([None, {}, {"content": ""}])), "finish_reason": finish}
    chunks += draw(
        st.sampled_from(
            [
                [{**HEAD, "choices": [last]}, {**HEAD, "choices": [], "usage": usage}],
                [{**HEAD, "choices": [last], "usage": usage}],
                [{**HEAD, "choices": [{**last, "usage": usage}]}],
                [{**HEAD, "choices": [last]}, {**HEAD, "choices": [], "x_groq": {"usage": usage}}],
                [
                    {
                        **HEAD,
                        "choices": [],
                        "usage": {
                            "input_tokens": str(used.prompt_tokens),
                            "output_tokens": float(used.completion_tokens),
                            "total_cost": str(used.cost),
                        },
                    },
                    {**HEAD, "choices": [last]},
                ],
            ]
        )
    )
    places = draw(st.lists(st.tuples(st.integers(0, len(chunks)), st.sampled_from(NOTHING)), max_size=6))
    for place, nothing in sorted(places, key=lambda each: -each[0]):
        chunks.insert(place, nothing)
    ending, gap = draw(st.sampled_from(["\n", "\r\n", "\r"])), draw(st.booleans())
    between = draw(
        st.sampled_from(
            [
                "",
                f": comment{ending}{ending}",
                f"event: message{ending}",
                f"data: {{no json{ending}{ending}",
                f"retry: 5{ending}",
            ]
        )
    )
    body = between.join(lines(chunk, ending, gap=gap) for chunk in chunks)
    # A server that sends no finish reason must at least send [DONE].
    last_line = draw(
        st.sampled_from([f"data: [DONE]{ending}{ending}", "data:[DONE]", *([] if finish is None else [""])])
    )
    return (body + last_line).encode(), "".join(texts), tool_calls, used


def read_stream(body: bytes, cuts: Sequence[int] = ()) -> tuple[Completion, str]:
    """The completion and text of a stream that is split at these places."""
    completion, source, text = Completion("model", NAMES), EventStream(), ""
    places = [0, *sorted(cuts), len(body)]
    for start, end in pairwise(places):
        for event in source.feed(body[start:end]):
            completion.is_done = completion.is_done or event is Mark.DONE
            text += completion.add_chunk(event)
    for event in source.finish():
        completion.is_done = completion.is_done or event is Mark.DONE
        text += completion.add_chunk(event)
    return completion, text


@given(streams(), st.data())
def test_no_reply_is_lost(stream: tuple[bytes, str, list[Call], TokenUsage], data: st.DataObject) -> None:
    """Text, calls and usage are read correctly, among other chunks and lines, and split at any position."""
    body, text, tool_calls, used = stream
    completion, content = read_stream(body, data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    end = completion.ended()
    assert content == text
    assert [(call.name, json.loads(call.arguments)) for call in end.calls] == [
        (call.name, json.loads(call.arguments)) for call in tool_calls
    ]
    assert completion.used == used
    assert end.finish is Finish.COMPLETE


def ended_by(*chunks: object, has_done: bool = True) -> tuple[str, ReplyEnd]:
    """The text and the end of a stream of these chunks."""
    body = "".join(lines(chunk, "\n", gap=True) for chunk in chunks) + ("data: [DONE]\n\n" if has_done else "")  # type: ignore[arg-type]
    completion, text = read_stream(body.encode())
    return text, completion.ended()


def choice(delta: object = None, finish: object = None, **keys: object) -> Chunk:
    """A chunk of one choice."""
    return {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **keys}


HELLO = choice({"content": "Hello"})


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("length", Finish.LENGTH),
        ("MAX_TOKENS", Finish.LENGTH),
        ("model_length", Finish.LENGTH),
        ("content_filter", Finish.FILTERED),
        ("SAFETY", Finish.FILTERED),
        ("refusal", Finish.REFUSED),
        ("stop", Finish.COMPLETE),
        ("anything else", Finish.COMPLETE),
    ],
)
def test_finish_reasons(reason: str, finish: Finish) -> None:
    """Each reason has its outcome, with the text so far; a later `stop` does not change it."""
    text, end = ended_by(HELLO, choice({"content": ", all"}, reason), choice({}, "stop"))
    assert (text, end.finish) == ("Hello, all", finish)
    part = {"index": 0, "id": "1", "function": {"name": "count_contacts", "arguments": '{"st'}}
    text, end = ended_by(choice({"tool_calls": [part]}), choice(None, reason))
    assert (text, end.finish) == ("", finish)


def test_an_early_finish_reason_does_not_end_the_text() -> None:
    """Text after an early `stop` belongs to the reply; an error after it is ignored."""
    error = {"error": {"code": 502, "message": "gone"}, "choices": []}
    text, end = ended_by(choice({"content": "One"}, "stop"), choice({"content": " two"}, "stop"), error)
    assert (text, end.finish) == ("One two", Finish.COMPLETE)


def test_done_is_enough_without_a_finish_reason() -> None:
    """`[DONE]` completes text and calls; an empty reply, or one without `[DONE]`, is a failure."""
    assert ended_by(HELLO) == ("Hello", ReplyEnd([], "vendor/model", Finish.COMPLETE))
    part = {"function": {"name": "count_contacts", "arguments": "{}"}}
    assert len(ended_by(choice({"tool_calls": part}))[1].calls) == 1
    for chunks, done in (([HELLO], False), ([choice({"content": ""})], True), ([], True), ([], False)):
        with pytest.raises(ModelUnavailable, match="ended unexpectedly"):
            ended_by(*chunks, has_done=done)


@pytest.mark.parametrize(
    "deltas",
    [
        [{"refusal": "I can't "}, {"refusal": "do that."}],
        [{"content": [{"type": "refusal", "refusal": "I can't do that."}]}],
        [{"content": "I can't "}, {"refusal": "do that.", "content": None}],
    ],
)
def test_a_refusal_is_text_with_a_reason(deltas: list[Chunk]) -> None:
    """The text of a refusal is part of the reply, and the finish reason is REFUSED."""
    text, end = ended_by(*map(choice, deltas), choice({}, "stop"))
    assert (text, end.finish) == ("I can't do that.", Finish.REFUSED)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 402, "message": "no credit"}, ModelRefused),
        ({"code": "403"}, ModelRefused),
        ({"code": 502}, ModelUnavailable),
        ({"code": "rate_limit_exceeded"}, ModelUnavailable),
        ({"message": "no code"}, ModelUnavailable),
        ("just a text", ModelUnavailable),
        (["a list"], ModelUnavailable),
    ],
)
def test_errors_in_the_stream(error: object, kind: type[Exception]) -> None:
    """An error in a chunk, in a choice or as a separate event ends the reply, depending on its code."""
    for chunk in ({"error": error}, {"choices": [{"error": error, "delta": None}]}):
        with pytest.raises(kind):
            ended_by(HELLO, chunk)
    completion, text = read_stream(
        f"data: {json.dumps(HELLO)}\n\nevent: error\ndata: {json.dumps(error)}\n\n".encode()
    )
    assert text == "Hello"
    with pytest.raises(kind):
        completion.ended()


def test_a_content_filter_may_be_an_error() -> None:
    """Azure reports its content filter as an error with a special code."""
    assert ended_by(HELLO, {"error": {"code": "content_filter"}})[1].finish is Finish.FILTERED


@pytest.mark.parametrize(
    ("usages", "used"),
    [
        ([{"prompt_tokens": 5}, {"completion_tokens": 7}], TokenUsage(5, 7, None)),
        ([{"prompt_tokens": 5, "completion_tokens": 1}, {"completion_tokens": 9}], TokenUsage(5, 9, None)),
        ([{"prompt_tokens": 8, "cost": 0.5}, {"prompt_tokens": 0, "cost": 0}], TokenUsage(8, 0, 0.5)),
        ([{"prompt_tokens": True, "completion_tokens": 1e30, "cost": -0.1}], TokenUsage(0, 0, None)),
        ([{"prompt_tokens": 1e999, "completion_tokens": "1e999", "cost": "nan"}], TokenUsage(0, 0, None)),
        ([{"prompt_tokens": "12", "completion_tokens": 3.0, "cost": "0.01"}], TokenUsage(12, 3, 0.01)),
        ([{"total_tokens": 30}], TokenUsage(30, 0, None)),
        (["usage", 7, None, [1]], TokenUsage(0, 0, None)),
    ],
)
def test_invalid_usage_is_ignored(usages: list[object], used: TokenUsage) -> None:
    """The newest valid number counts; NaN, infinity, negative numbers and other text are ignored."""
    completion = Completion("model")
    for usage in usages:
        completion.add_chunk({"usage": usage})
    assert completion.used == used


def test_invalid_numbers_in_json_are_ignored() -> None:
    """NaN and 1e999, which are not JSON, affect neither the text beside them nor earlier usage."""
    body = (
        b'data: {"choices":[{"delta":{"content":"Hi"}}],"usage":{"prompt_tokens":4,"completion_tokens":2}}\n\n'
        b'data: {"choices":[{"delta":{"content":" you"}}],"usage":{"prompt_tokens":NaN,"cost":1e999}}\n\n'
        b'data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"cost":-Infinity}}\n\n'
    )
    completion, text = read_stream(body)
    assert (text, completion.used) == ("Hi you", TokenUsage(4, 2, None))


def test_surrogates_are_joined() -> None:
    """Two surrogates in consecutive chunks are one character; a lone surrogate is removed."""
    text, _ = ended_by(*(choice({"content": each}) for each in ("a\ud83d", "\ude00b\ud83d", "c\ude00")))
    assert text == "a\U0001f600bc"


@pytest.mark.parametrize(
    "body",
    [
        {
            **HEAD,
            "object": "chat.completion",
            "choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        },
        {
            **HEAD,
            "choices": [
                {"delta": {}, "message": {"content": [{"type": "text", "text": "Hello"}]}, "finish_reason": "stop"}
            ],
        },
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_server_may_send_json_instead_of_a_stream(body: Chunk, indent: int | None) -> None:
    """A JSON body is a complete reply, on one line or several."""
    completion, text = read_stream(json.dumps(body, indent=indent).encode())
    assert (text, completion.ended().finish) == ("Hello", Finish.COMPLETE)


def test_a_repeated_message_is_not_added_twice() -> None:
    """A last chunk with the whole message, in addition to or instead of its delta, adds nothing."""
    message = {"role": "assistant", "content": "Hello"}
    last = {"choices": [{"delta": None, "message": message, "finish_reason": "stop"}]}
    assert ended_by(HELLO, last)[0] == "Hello"
    assert ended_by(last)[0] == "Hello"


def test_an_event_of_several_lines() -> None:
    """A chunk may span several `data` lines, with comments and other fields between events."""
    source = EventStream()
    body = b'\xef\xbb\xbf: hi\r\nid: 7\r\ndata: {"a":\r\ndata:  1}\r\n\r\ndata: nothing\r\n\r\ndata: {"b": 2}'
    events = [event for at in range(len(body)) for event in source.feed(body[at : at + 1])]
    assert [*events, *source.finish()] == [{"a": 1}, {"b": 2}]
    assert source.unreadable == 1


def feed_endlessly(part: bytes) -> None:
    """Feed the same bytes very often."""
    source = EventStream()
    for _ in range(20_000):
        source.feed(part)


def test_lines_and_streams_are_bounded() -> None:
    """An endless line and an endless stream raise `StreamTooLarge`, however they are split."""
    for part in (b"x" * (MAX_LINE_BYTES + 1), b"x" * 1_000, b"data: {}\n" * 1_000):
        with pytest.raises(StreamTooLarge):
            feed_endlessly(part)


def test_hostile_json_is_ignored() -> None:
    """A chunk with extreme nesting or an extremely long number is skipped; the reply continues."""
    deep, long = b"[" * 100_000, b"9" * 50_000
    body = b"data: " + deep + b'\n\ndata: {"a": ' + long + b"}\n\n" + lines(HELLO, "\n", gap=True).encode()
    objects = {
        "tool_calls": [
            {"id": "1", "function": {"name": "x", "arguments": json.loads('{"a":' * 900 + "1" + "}" * 900)}}
        ]
    }
    completion, text = read_stream(body + lines(choice(objects, "stop"), "\n", gap=True).encode())
    assert text == "Hello"
    assert len(completion.ended().calls) == 1
