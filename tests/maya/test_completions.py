"""Reading usage, numbers and the older form of tool calls from a server's chunks."""

from typing import Any

import pytest

from integrations.completions import MAX_COST, MAX_TOKENS, Completion, encode_arguments, whole_number
from integrations.language import TokenUsage

INFINITE, NOT_A_NUMBER = float("inf"), float("nan")


def used_after(*usages: Any) -> TokenUsage:  # noqa: ANN401 - as servers send it
    """The usage after chunks with these values."""
    completion = Completion("model", ())
    for usage in usages:
        completion.add_chunk({"choices": [], "usage": usage})
    return completion.used


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        ([{"prompt_tokens": 10, "completion_tokens": 2, "cost": 0.5}], TokenUsage(10, 2, 0.5)),
        ([{"input_tokens": 10, "output_tokens": 2, "total_cost": 0.5}], TokenUsage(10, 2, 0.5)),
        ([{"prompt_tokens": "10", "completion_tokens": 2.0, "cost": "0.5"}], TokenUsage(10, 2, 0.5)),
        ([{"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}], TokenUsage(10, 2, None)),
        ([{"total_tokens": 12}], TokenUsage(12, 0, None)),
        ([{"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 12}], TokenUsage(12, 0, None)),
        ([{"prompt_tokens": MAX_TOKENS}], TokenUsage(MAX_TOKENS, 0, None)),
        ([{"prompt_tokens": MAX_TOKENS + 1}], TokenUsage(0, 0, None)),
        ([{"cost": MAX_COST}], TokenUsage(0, 0, MAX_COST)),
        ([{"cost": MAX_COST + 1}], TokenUsage(0, 0, None)),
        ([{"prompt_tokens": 10}, None, [], "usage"], TokenUsage(10, 0, None)),
    ],
)
def test_usage_has_two_spellings_and_bounds(usages: list[Any], expected: TokenUsage) -> None:
    """Values are numbers or texts; the total is used if its parts are missing; absurdly large values are ignored."""
    assert used_after(*usages) == expected


@pytest.mark.parametrize(
    ("value", "number"),
    [(0, 0), (7, 7), (7.0, 7), ("7", 7), (7.5, None), (-1, None), (-1.0, None), (True, None), (MAX_TOKENS, None)]
    + [(value, None) for value in ("", "-7", "7.0", "\u0667", "9" * 40, None, [7], INFINITE, NOT_A_NUMBER, 1e300)],
)
def test_whole_numbers_may_be_numbers_or_text(value: object, number: int | None) -> None:
    """Numbers from 0 on are read, as a number or as text; anything else is None."""
    assert whole_number(value) == number


def test_a_call_in_the_older_form() -> None:
    """A single `function_call` in pieces, the form before there were `tool_calls`."""
    completion = Completion("model", ("list_campaigns",))
    for part in ({"name": "list_campaigns", "arguments": ""}, {"arguments": '{"limit"'}, {"arguments": ":1}"}):
        completion.add_chunk({"choices": [{"delta": {"function_call": part}}]})
    assert [(call.name, call.arguments) for call in completion.calls.finish()] == [("list_campaigns", '{"limit":1}')]


def test_arguments_that_are_values_become_json_text() -> None:
    """If they are nested too deeply the text is invalid JSON, so that the tool refuses it."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert encode_arguments({"limit": 1}) == '{"limit": 1}'
    assert encode_arguments(deep) == "["
