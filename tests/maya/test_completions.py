"""What is read of a server's chunks beside the text: what was used, numbers, and calls in the older form."""

from typing import Any

import pytest

from integrations.completions import MAX_COST, MAX_TOKENS, Completion, whole_number, written
from integrations.language import Used

INFINITE, NOT_A_NUMBER = float("inf"), float("nan")


def used_after(*usages: Any) -> Used:  # noqa: ANN401 - as servers send it
    """What was used, after chunks with these figures."""
    completion = Completion("model", ())
    for usage in usages:
        completion.take({"choices": [], "usage": usage})
    return completion.used


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        ([{"prompt_tokens": 10, "completion_tokens": 2, "cost": 0.5}], Used(10, 2, 0.5)),
        ([{"input_tokens": 10, "output_tokens": 2, "total_cost": 0.5}], Used(10, 2, 0.5)),
        ([{"prompt_tokens": "10", "completion_tokens": 2.0, "cost": "0.5"}], Used(10, 2, 0.5)),
        ([{"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}], Used(10, 2, None)),
        ([{"total_tokens": 12}], Used(12, 0, None)),
        ([{"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 12}], Used(12, 0, None)),
        ([{"prompt_tokens": MAX_TOKENS}], Used(MAX_TOKENS, 0, None)),
        ([{"prompt_tokens": MAX_TOKENS + 1}], Used(0, 0, None)),
        ([{"cost": MAX_COST}], Used(0, 0, MAX_COST)),
        ([{"cost": MAX_COST + 1}], Used(0, 0, None)),
        ([{"prompt_tokens": 10}, None, [], "usage"], Used(10, 0, None)),
    ],
)
def test_figures_have_two_names_and_bounds(usages: list[Any], expected: Used) -> None:
    """Numbers or texts; the total counts where its parts are missing, and what is beyond all reason not at all."""
    assert used_after(*usages) == expected


@pytest.mark.parametrize(
    ("value", "number"),
    [(0, 0), (7, 7), (7.0, 7), ("7", 7), (7.5, None), (-1, None), (-1.0, None), (True, None), (MAX_TOKENS, None)]
    + [(value, None) for value in ("", "-7", "7.0", "\u0667", "9" * 40, None, [7], INFINITE, NOT_A_NUMBER, 1e300)],
)
def test_a_whole_number_is_read_however_it_is_written(value: object, number: int | None) -> None:
    """From 0 on, as a number or as a text; anything else is none."""
    assert whole_number(value) == number


def test_a_call_in_the_older_form() -> None:
    """One `function_call` in pieces, as servers sent it before there were several."""
    completion = Completion("model", ("list_campaigns",))
    for part in ({"name": "list_campaigns", "arguments": ""}, {"arguments": '{"limit"'}, {"arguments": ":1}"}):
        completion.take({"choices": [{"delta": {"function_call": part}}]})
    assert [(call.name, call.arguments) for call in completion.calls.finish()] == [("list_campaigns", '{"limit":1}')]


def test_arguments_that_came_as_values_are_text() -> None:
    """As JSON; nested too deep they are no JSON, so that the tool refuses them."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert written({"limit": 1}) == '{"limit": 1}'
    assert written(deep) == "["
