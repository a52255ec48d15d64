"""Reading tool calls from a stream, however the server fragments them."""

import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.completions import Completion
from integrations.language import ToolCall
from integrations.tool_calls import MAX_ARGUMENTS, MAX_CALLS, MAX_NAME, Fragment, ToolCalls
from tests.maya import dialects
from tests.maya.dialects import DIALECTS, NAMES, Call, Part, part
from tests.properties import examples

Dialect = Callable[[Sequence[Call]], list[Part]]


def assemble(*parts: Part, tools: Sequence[str] = NAMES) -> list[ToolCall]:
    """The calls in these fragments, one chunk each."""
    completion = Completion("model", tools)
    for each in parts:
        completion.add_chunk({"choices": [{"delta": {"tool_calls": [each]}}]})
    return completion.calls.finish()


def names_and_arguments(calls: Sequence[ToolCall]) -> list[tuple[str, str]]:
    """Names and arguments."""
    return [(call.name, call.arguments) for call in calls]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.__name__)
@examples(15)
@given(tool_calls=dialects.calls(), data=st.data())
def test_every_dialect_gives_the_same_calls(dialect: Dialect, tool_calls: list[Call], data: st.DataObject) -> None:
    """No calls are merged, split or lost, however many fragments a chunk has; each has a unique id."""
    completion, parts = Completion("model", NAMES), dialect(tool_calls)
    while parts:
        size = data.draw(st.integers(1, len(parts)))
        completion.add_chunk({"choices": [{"delta": {"tool_calls": parts[:size]}}]})
        parts = parts[size:]
    calls = completion.calls.finish()
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        (call.name, json.loads(call.arguments)) for call in tool_calls
    ]
    assert len({call.id for call in calls if call.id}) == len(tool_calls)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        # A name in every fragment, without an id, and a blank one at the end.
        (
            [part('{"lim', "list_campaigns", index=0), part('it":5}', "list_campaigns", index=0),
             part("", "list_campaigns", index=0)],
            [("list_campaigns", '{"limit":5}')],
        ),
        # Calls without arguments: nothing, or "", under one index.
        ([part(None, "a", index=0, id="1"), part(None, "b", index=0, id="2")], [("a", ""), ("b", "")]),
        ([part("", "list_campaigns", index=0), part("", "count_contacts", index=0)],
         [("list_campaigns", ""), ("count_contacts", "")]),
        # The same tool with the same arguments, twice.
        ([part('{"a":1}', "x", index=0, id="1"), part('{"a":1}', "x", index=0, id="2")],
         [("x", '{"a":1}'), ("x", '{"a":1}')]),
        # The function's name as the id, as some proxies of Gemini send it.
        ([part('{"a":1}', "x", index=0, id="x"), part('{"a":2}', "x", index=0, id="x")],
         [("x", '{"a":1}'), ("x", '{"a":2}')]),
        ([part('{"a":1}', "x", index=0, id="x"), part('{"a":1}', "x", index=1, id="x")],
         [("x", '{"a":1}'), ("x", '{"a":1}')]),
        # One id for all calls.
        ([part('{"a":1}', "x", index=0, id="call"), part('{"b":1}', "y", index=1, id="call")],
         [("x", '{"a":1}'), ("y", '{"b":1}')]),
        # An additional brace, white space, or the same again after complete arguments: they are ignored.
        ([part('{"a":1}', "x", index=0, id="1"), part("}", index=0), part(" \n", index=0)], [("x", '{"a":1}')]),
        ([part('{"a":1}', "x", index=0, id="1"), part('{"a":1}', index=0)], [("x", '{"a":1}')]),
        # Arguments without a name do not affect the call before them.
        ([part('{"a":1}', "x", index=0, id="1"), part('{"b":2}', index=0)], [("x", '{"a":1}'), ("", '{"b":2}')]),
        # Cut off in the middle of the arguments.
        ([part('{"a"', "x", index=0, id="1")], [("x", '{"a"')]),
        ([part('{"a"', "x"), part('{"b":1}', "y")], [("x", '{"a"'), ("y", '{"b":1}')]),
        # The name so far, longer each time.
        ([part("", "list_", index=0, id="1"), part("", "list_campaigns", index=0), part("{}", index=0)],
         [("list_campaigns", "{}")]),
        # Fragments that are no calls.
        ([{}, {"index": 0}, {"function": 7}, {"function": {"name": 7, "arguments": None}}, {"id": None}], []),
        ([{"index": 0, "id": "1", "function": None}], []),
    ],
)  # fmt: skip
def test_shapes_of_servers(parts: list[Part], expected: list[tuple[str, str]]) -> None:
    """Fragments from bug reports, each with the intended calls."""
    calls = assemble(*parts)
    assert names_and_arguments(calls) == expected
    assert len({call.id for call in calls}) == len(calls)


@given(st.lists(st.builds(
    Fragment,
    index=st.none() | st.integers(0, 2),
    id=st.sampled_from(["", "1", "2"]),
    name=st.sampled_from(["", "list_", *NAMES]),
    arguments=st.text('{}[]"\\:1 a', max_size=6),
), max_size=20))  # fmt: skip
def test_any_fragments_give_calls_with_unique_ids(fragments: list[Fragment]) -> None:
    """In any order, and no more calls than fragments."""
    calls = ToolCalls(tools=NAMES)
    for fragment in fragments:
        calls.add(fragment)
    tool_calls = calls.finish()
    assert len({call.id for call in tool_calls if call.id}) == len(tool_calls)
    assert len(tool_calls) <= len(fragments)


def test_endless_calls_are_bounded() -> None:
    """Endless fragments exceed neither the limits of a call's name and arguments nor the number of calls."""
    calls = ToolCalls()
    calls.add(Fragment(index=0, id="first", name="n" * 5_000, arguments='{"a": "'))
    for _ in range(1_000):
        calls.add(Fragment(index=0, arguments="x" * 50))
    for index in range(1, 3_000):
        calls.add(Fragment(index=index, id=f"id{index}", name="name", arguments="{}"))
    tool_calls = calls.finish()
    assert len(tool_calls) == MAX_CALLS
    assert (len(tool_calls[0].name), len(tool_calls[0].arguments)) == (MAX_NAME, MAX_ARGUMENTS)
    assert len(calls.by_id) < 2_000
    assert len(calls.by_index) < 2_000
