"""Filters of numbers, texts and lists, compared with Python's fractions, texts and lists."""

import re
from fractions import Fraction
from math import floor
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.rendering.environment import PLAIN
from services.rendering.errors import RenderFailed
from services.rendering.filters.registry import PLAIN_FILTERS
from services.rendering.limits import MAX_BITS, MAX_ITEMS, MAX_VALUE
from services.rendering.templates import compile_template
from services.rendering.values import text_of
from tests.properties import examples

WHOLE: Final = st.integers(-(10**20), 10**20)
DECIMALS: Final = st.decimals(-(10**9), 10**9, places=4, allow_nan=False).map(lambda number: f"{number:f}")
"""Numbers with a fraction, as text: contacts' fields often are."""
TEXTS: Final = st.text(st.sampled_from("ab ,\n\t<&é"), max_size=12)
LISTS: Final = st.lists(st.integers(-3, 3), max_size=6)


def apply(name: str, value: object, *arguments: object) -> object:
    """The result of a filter, before it is printed."""
    return PLAIN_FILTERS[name](value, *arguments)


def rendered(source: str, **variables: object) -> str:
    return compile_template(source, html=False, field=()).render(variables)


@examples()
@given(left=WHOLE, right=WHOLE)
def test_whole_numbers_stay_whole(left: int, right: int) -> None:
    """Arithmetic of whole numbers is exact, whether they are numbers or text; division rounds down."""
    for first, second in ((left, right), (str(left), str(right)), (left, f"{right} apples")):
        assert apply("plus", first, second) == left + right
        assert apply("minus", first, second) == left - right
        assert apply("times", first, second) == left * right
        assert apply("at_least", first, second) == max(left, right)
        assert apply("at_most", first, second) == min(left, right)
        if right:
            assert apply("divided_by", first, second) == left // right
            assert apply("modulo", first, second) == left % right


@examples()
@given(left=DECIMALS, right=st.one_of(DECIMALS, WHOLE))
def test_decimals_are_computed_exactly(left: str, right: str | int) -> None:
    """The result is the float next to the exact one: 0.1 + 0.2 is 0.3."""
    one, other = Fraction(left), Fraction(right)
    assert apply("plus", left, right) == float(one + other)
    assert apply("minus", left, right) == float(one - other)
    assert apply("times", left, right) == float(one * other)
    assert apply("sum", [left, right, 1]) == float(one + other + 1)
    assert apply("at_least", left, right) in (max(one, other), float(max(one, other)))
    assert apply("at_most", left, right) in (min(one, other), float(min(one, other)))
    if other:
        assert apply("divided_by", left, right) == float(one / other)
        assert apply("modulo", left, right) == float(one % other)


@examples()
@given(text=DECIMALS, places=st.integers(-11, 5))
def test_halves_are_rounded_away_from_zero(text: str, places: int) -> None:
    """Up to any number of digits after the point, or before it."""
    number, unit = Fraction(text), Fraction(10) ** -places
    expected = floor(abs(number) / unit + Fraction(1, 2)) * unit * (-1 if number < 0 else 1)
    assert apply("round", text, places) == float(expected)
    assert isinstance(apply("round", text, places), float if places > 0 else int)
    assert apply("floor", text) == floor(number)
    assert apply("ceil", text) == -floor(-number)
    assert apply("abs", text) == float(abs(number))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ 1.5 | divided_by: 0 }}", "Infinity"),
        ("{{ -1.5 | divided_by: 0 }}", "-Infinity"),
        ("{{ 0 | divided_by: 0.0 }}", "NaN"),
        ("{{ 2.5 | round: 400 }}{{ 2.5 | round: 401 }}", "2.52.5"),
        ("{{ 25 | round: -400 }}{{ 25 | round: -401 }}", "00"),
        ("{{ true | plus: 1 }}{{ nil | minus: 1 }}{{ 'x' | times: 2 }}", "1-10"),
        ("{{ ' 2.50 ' | plus: 0 }}{{ '2.5.1' | plus: 0 }}{{ '2.' | plus: 0 }}{{ '.5' | plus: 0 }}", "2.5220"),
        ("{{ '+3' | plus: 0 }} {{ '-3' | plus: 0 }} {{ '1_000' | plus: 0 }}", "3 -3 1000"),
    ],
)  # fmt: skip
def test_numbers_that_are_none(source: str, expected: str) -> None:
    """Texts count as the number at their start, and a fraction divided by zero is infinite."""
    assert rendered(source) == expected


@pytest.mark.parametrize(
    "name", ["round", "floor", "ceil", "abs", "plus: 0", "times: 1", "at_least: 0", "at_most: n"]
)
def test_no_digit_of_a_large_number_is_lost(name: str) -> None:
    """A whole number may have 3,900 digits, and all of them are printed."""
    number = 2 ** (MAX_BITS - 1) + 1
    assert rendered(f"{{{{ n | {name} }}}}", n=number) == str(number)


@examples()
@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_float_is_that_number(number: float) -> None:
    """No digit is lost, and there is always a point."""
    assert float(text_of(number)) == number
    assert "." in text_of(number)


@examples()
@given(text=TEXTS, other=st.text(st.sampled_from("ab "), min_size=1, max_size=2), new=TEXTS)
def test_texts_are_replaced_as_in_python(text: str, other: str, new: str) -> None:
    """Everywhere, the first or the last occurrence, or none."""
    before, separator, after = text.rpartition(other)
    assert apply("replace", text, other, new) == text.replace(other, new)
    assert apply("replace_first", text, other, new) == text.replace(other, new, 1)
    assert apply("replace_last", text, other, new) == (before + new + after if separator else text)
    assert apply("remove", text, other) == text.replace(other, "")
    assert apply("remove_first", text, other) == text.replace(other, "", 1)
    assert apply("remove_last", text, other) == before + after
    assert apply("squish", text) == " ".join(text.split())
    assert apply("strip_newlines", text) == text.replace("\n", "")


@examples()
@given(text=TEXTS, items=LISTS, start=st.integers(-15, 15), length=st.integers(0, 15))
def test_slices_are_those_of_python(text: str, items: list[int], start: int, length: int) -> None:
    """A negative start counts from the end; one before the beginning gives nothing."""
    for value in (text, items):
        first = start + len(value) if start < 0 else start
        expected = value[first : first + length] if first >= 0 else value[:0]
        assert apply("slice", value, start, length) == expected


@examples()
@given(text=TEXTS, most=st.integers(0, 15), end=st.sampled_from(["...", "", "-"]))
def test_a_truncated_text_is_not_longer(text: str, most: int, end: str) -> None:
    """It has at most the characters, or words, that its author asks for; a shorter one is unchanged."""
    cut = apply("truncate", text, most, end)
    assert cut == (text if len(text) <= most else text[: max(most - len(end), 0)] + end)
    text = text.rstrip()
    words, short = text.split(), str(apply("truncatewords", text, most, end))
    if len(words) <= max(most, 1):
        assert short == text
    else:
        assert short.removesuffix(end).split() == words[: max(most, 1)]
        assert short.endswith(end)


@examples()
@given(items=LISTS, other=LISTS)
def test_lists_are_those_of_python(items: list[int], other: list[int]) -> None:
    """Order, duplicates and missing items."""
    hashes = [{"n": item, "even": item % 2 == 0} for item in items]
    assert apply("sort", items) == sorted(items)
    assert apply("sort", hashes, "n") == sorted(hashes, key=lambda item: item["n"])
    assert apply("sort", [None, *items]) == [*sorted(items), None]
    assert apply("uniq", items) == list(dict.fromkeys(items))
    assert apply("reverse", items) == items[::-1]
    assert apply("concat", items, other) == items + other
    assert apply("compact", [None, *items, None]) == items
    assert apply("map", hashes, "n") == items
    assert apply("where", hashes, "even") == [item for item in hashes if item["even"]]
    assert apply("reject", hashes, "even") == [item for item in hashes if not item["even"]]
    assert apply("where", hashes, "n", 1) == [item for item in hashes if item["n"] == 1]
    assert apply("find_index", hashes, "n", 1) == (items.index(1) if 1 in items else None)
    assert apply("has", hashes, "n", 1) == (1 in items)
    assert apply("sum", hashes, "n") == sum(items)
    assert apply("sum", [None, True, 2.5, *hashes], "n") == sum(items)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a<b>b</b>c", "abc"),
        ("a<script>b</script>c<script>d</script>e", "ace"),
        ("a<script>b<i>c</i>", "abc"),
        ("a<script>b<style>c</style>d", "abd"),
        ("a<!--b<script>c-->d</script>e", "ade"),
        ("a<!-- b <i>c</i>", "ac"),
        ("a<style>b</style><!-- c -->d", "ad"),
        ("a<style>b</style>c<style>d", "acd"),
        ("</script>a<script>b</script>", "a"),
        ("a < b", "a < b"),
        ("a > b", "a > b"),
        ("a <b> < c", "a  < c"),
        ("", ""),
    ],
)
def test_html_is_stripped_as_by_the_regular_expressions_of_the_reference(source: str, text: str) -> None:
    """Whole scripts, comments and styles, then tags; of one that is never closed only its tag."""
    blocks = re.sub("<script.*?</script>|<!--.*?-->|<style.*?</style>", "", source, flags=re.DOTALL)
    assert re.sub("<.*?>", "", blocks, flags=re.DOTALL) == text
    assert apply("strip_html", source) == text


FULL: Final = ["x"] * MAX_ITEMS


@pytest.mark.parametrize(
    ("source", "values", "reason"),
    [
        ("{{ l | size }}", (FULL, [*FULL, "x"]), "a list has more than 2000 items"),
        ("{{ l | concat: m | size }}", (FULL[1:], FULL), "a list has more than 2000 items"),
        ("{{ t | size }}", ("x" * MAX_VALUE, "x" * (MAX_VALUE + 1)), "a value grew too long"),
        ("{{ t | append: 'x' | size }}", ("x" * (MAX_VALUE - 1), "x" * MAX_VALUE), "a value grew too long"),
        ("{{ l | join: '' | size }}", (["x" * 4, "x" * (MAX_VALUE - 4)], ["x" * 5, "x" * (MAX_VALUE - 4)]),
         "a value grew too long"),
        ("{{ t | replace: 'y', 'zz' | size }}", ("y" + "x" * (MAX_VALUE - 3), "y" + "x" * (MAX_VALUE - 2)),
         "replace would make a value that is too long"),
        ("{{ l | join: 'zz' | size }}", (["x" * (MAX_VALUE - 6), "yy"], ["x" * (MAX_VALUE - 6), "yyy"]),
         "join would make a value that is too long"),
        ("{{ n | plus: 0 | size }}", (2 ** MAX_BITS - 1, 2 ** MAX_BITS), "a number grew too large"),
        ("{{ n | plus: m | size }}", (2 ** MAX_BITS - 2, 2 ** MAX_BITS - 1), "a number grew too large"),
        ("{{ t | plus: 0 }}", ("9" * 300, "9" * 301), "a number has more than 300 digits"),
        ("{{ t | plus: 0 }}", ("9." + "5" * 298, "9." + "5" * 299), "a number has more than 300 digits"),
        ("{{ 'x' | slice: t }}", ("9" * 300, "9" * 301), "slice needs a whole number"),
    ],
)  # fmt: skip
def test_the_largest_value_of_a_filter(source: str, values: tuple[object, object], reason: str) -> None:
    """A filter takes and makes values up to the limits, and fails that contact's message beyond them."""
    for prefix in ("", "{% assign unused = 1 %}"):
        fitting, excessive = (
            {"l": value, "t": value, "n": value, "m": ["x"] if isinstance(value, list) else 1} for value in values
        )
        rendered(prefix + source, **fitting)
        with pytest.raises(RenderFailed, match=reason):
            rendered(prefix + source, **excessive)


def test_every_filter_is_limited() -> None:
    """No filter takes a text that is too long."""
    for name in PLAIN.filters:
        with pytest.raises(Exception, match="a value grew too long"):
            PLAIN.plain_filters[name]("x" * (MAX_VALUE + 1))
