"""Lists of rows that a bulk function completes, and what makes it bail out."""

import asyncio
import gc
import re
import sys
import warnings
from collections import Counter
from datetime import datetime
from random import Random
from types import FrameType
from typing import Any, NamedTuple

import pytest
import strawberry
from graphql import parse, print_ast, validate
from hypothesis import given
from hypothesis import strategies as st

from execution import Column, rows
from execution.plans import plan_cache
from tests.execution.differential import by_core, compiled, observe
from tests.execution.documents import document
from tests.execution.drawn_rows import (
    KINDS,
    NOW,
    WRONG,
    GeneratedType,
    Kind,
    Moment,
    Mood,
    Native,
    Tables,
    drawn_type,
    drawn_value,
    of_one_column,
    schema_of,
    soon,
)
from tests.execution.strawberry_schema import Context
from tests.properties import examples

pytestmark = pytest.mark.usefixtures("eager")
# Where null is not allowed, an error leaves sibling coroutines without an await; so does graphql-core.
dropped = pytest.mark.filterwarnings(
    "ignore:coroutine .* was never awaited:RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


class PlaceRow(NamedTuple):
    town: str
    since: datetime | None


class GuestRow(NamedTuple):
    label: Any
    mood: str | None
    place: Any
    score: float


class StaffRow(NamedTuple):
    name: str


class GroupRow(NamedTuple):
    guests: Any


@strawberry.type
class Place:
    town: str
    since: Moment | None


@strawberry.type
class Guest:
    name: str
    mood: Mood | None
    place: Place | None
    home: Place
    score: float


@strawberry.type
class Group:
    guests: list[Guest]


conversions: list[Any] = []


def named(label: Any) -> Any:
    """The name of a label; each call is recorded."""
    conversions.append(label)
    return f"{label}!" if isinstance(label, str) else label()


rows.register(Place, PlaceRow)
rows.register(
    Guest,
    GuestRow,
    name=Column("label", named),
    mood=Column("mood", Mood),
    home=Column("place"),
)
rows.register(Group, GroupRow)
SCHEMA = schema_of(GeneratedType(Guest, []))
GROUPS = schema_of(GeneratedType(Group, []))
BY_CORE, COMPILED = by_core(), compiled(Native)
BONN = PlaceRow("Bonn", NOW)
ADA = GuestRow("Ada", "happy", BONN, 1.5)
ADA_SHOWN = {"__typename": "Guest", "name": "Ada!", "mood": "HAPPY", "s": 1.5, "home": {"town": "Bonn", "since": NOW}}
TEXT = "{ sure { __typename name mood s: score home { town since } } }"


def guest(**columns: Any) -> GuestRow:
    """Ada's row with these columns changed."""
    return ADA._replace(**columns)


def place(**columns: Any) -> PlaceRow:
    """Bonn's row with these columns changed."""
    return BONN._replace(**columns)


def bulks(schema: Any, text: str) -> list[Any]:
    """The bulk functions of the text's plan."""
    (operation,) = [cached for cached in plan_cache(schema).operations.values() if cached.document == parse(text)]
    (plan,) = operation.plans.values()
    assert not isinstance(plan, str)
    return [plan.compilation.namespace[name] for name in re.findall(r"def (\w+_bulk)\(", plan.source)]


async def converted(text: str, items: list[Any]) -> int:
    """How many labels the plan converts for the table; the response equals graphql-core's."""
    await same(SCHEMA, parse(text), items)
    del conversions[:]
    await observe(COMPILED, SCHEMA, parse(text), Context(), root_value=Tables(items))
    return len(conversions)


async def completed(text: str, items: list[Any], schema: Any = SCHEMA) -> tuple[int, int]:
    """How many lists bulk functions complete, and how many rows the general functions."""
    await same(schema, parse(text), items)
    returned: Counter[str] = Counter()

    def note(frame: FrameType, event: str, value: Any) -> None:
        if event == "return" and frame.f_code.co_filename.startswith("<plan ") and value is not None:
            returned[re.sub(r"^.*_|\d", "", frame.f_code.co_name)] += 1

    sys.setprofile(note)
    try:
        await same(schema, parse(text), items)
    finally:
        sys.setprofile(None)
    return returned["bulk"], returned["row"]


async def test_plain_rows_are_completed_by_the_bulk_function() -> None:
    """The function is generated, returns the response, and no other function reads the rows."""
    assert await completed(TEXT, [ADA] * 3) == (1, 0)
    assert await converted(TEXT, [ADA] * 3) == 3
    (bulk,) = bulks(SCHEMA, TEXT)
    assert bulk([ADA, ADA]) == [ADA_SHOWN, ADA_SHOWN]
    assert bulk([]) == []


@pytest.mark.parametrize(
    "unexpected",
    [
        None,
        Guest(name="Eve", mood=None, place=None, home=Place(town="Ulm", since=None), score=1.5),
        StaffRow("Eve"),
        guest(label=None),
        guest(label=lambda: 7),
        guest(score=1),
        guest(mood="dull"),
        guest(mood=[]),
        guest(place=None),
        guest(place=StaffRow("Bonn")),
        guest(place=Place(town="Bonn", since=None)),
        guest(place=place(since=NOW.replace(tzinfo=None))),
        guest(place=place(town=None)),
    ],
)
async def test_an_unexpected_value_is_left_to_the_general_function(unexpected: Any) -> None:
    """One such value, and the list is started again, with graphql-core's response for it."""
    assert await converted(TEXT, [ADA, ADA, unexpected]) >= 4
    by_bulk, one_by_one = await completed(TEXT, [ADA, ADA, unexpected])
    assert by_bulk == 0
    assert one_by_one >= 4
    (bulk,) = bulks(SCHEMA, TEXT)
    try:
        result = bulk([ADA, unexpected])
    except (TypeError, AttributeError):
        result = None
    assert result is None


async def test_null_does_not_bail_out_where_it_is_allowed() -> None:
    """Null for a row, for a nested row, and for a value."""
    text = "{ items { name mood place { since } } }"
    items = [None, ADA, guest(place=None, mood=None), guest(place=PlaceRow("Ulm", None))]
    assert await completed(text, items) == (1, 0)
    (bulk,) = bulks(SCHEMA, text)
    assert bulk(items) == [
        None,
        {"name": "Ada!", "mood": "HAPPY", "place": {"since": NOW}},
        {"name": "Ada!", "mood": None, "place": None},
        {"name": "Ada!", "mood": "HAPPY", "place": {"since": None}},
    ]


@pytest.mark.parametrize("field", ["tupled", "iterator"])
async def test_only_lists_are_completed_by_bulk_functions(field: str) -> None:
    """A tuple is completed by the general function, and so is an iterator."""
    assert await completed(f"{{ {field} {{ name }} }}", [ADA, ADA]) == (0, 2)
    answer = await same(SCHEMA, parse(f"{{ {field} {{ name }} }}"), [ADA, guest(label=None), ADA])
    assert answer.startswith(b'{"data":{"%b":[{"name":"Ada!"},null,{"name":"Ada!"}]}' % field.encode())


async def test_nested_lists_are_completed_by_bulk_functions() -> None:
    """The innermost lists are, each by itself."""
    assert await completed("{ nested { name } }", [ADA, ADA]) == (2, 0)
    assert await completed("{ nested { name } }", [ADA, guest(label=None)]) == (1, 1)
    items = [GroupRow([ADA, ADA]), GroupRow([guest(mood="dull")]), GroupRow((ADA,)), GroupRow([])]
    assert await completed("{ sure { guests { score mood } } }", items, GROUPS) == (2, 4 + 1 + 1)


async def test_fields_may_share_a_selection() -> None:
    """Two lists with one fragment as selection have bulk functions, and each fails by itself."""
    text = "{ items { ...F } sure { ...F } one { ...F } } fragment F on Guest { name home { ...P } place { ...P } }"
    text += " fragment P on Place { town }"
    assert await completed(text, [ADA, ADA]) == (2, 3)
    assert len(bulks(SCHEMA, text)) == 2
    answer = await same(SCHEMA, parse(text), [ADA, guest(place=None)])
    assert b'"path":["items",1,"home"]' in answer
    assert b'"path":["sure",1,"home"]' in answer


async def test_the_bulk_function_reads_the_first_row_class() -> None:
    """A row of another class makes the general function take the list; all rows are in the response."""

    class Short(NamedTuple):
        number: int

    class Long(NamedTuple):
        number: int
        text: str | None

    @strawberry.type
    class Entry:
        number: int
        text: str | None

    rows.register(Entry, Long)
    rows.register(Entry, Short, text=Column("number", str))
    schema = schema_of(GeneratedType(Entry, []))
    text = "{ sure { __typename number again: text } }"
    answer = await same(schema, parse(text), [Long(1, "a"), Short(2), Entry(number=3, text="c"), Long(4, None)])
    assert answer.count(b'"again"') == 4
    (bulk,) = bulks(schema, text)
    assert bulk([Long(1, "a"), Long(4, None)]) is not None
    assert bulk([Long(1, "a"), Short(2)]) is None


@pytest.mark.parametrize("items", [[guest(label=lambda: soon("Eve"))], [ADA, guest(label=lambda: soon(7))]])
async def test_coroutines_of_conversions_are_awaited(items: list[Any]) -> None:
    """Bailing out after an asynchronous conversion leaves no coroutine that is never awaited."""
    with warnings.catch_warnings(record=True) as caught_warnings:
        warnings.simplefilter("always")
        answer = await same(SCHEMA, parse("{ items { name mood } }"), items)
        gc.collect()
    assert [str(warning.message) for warning in caught_warnings] == []
    assert b'"name":"Eve"' in answer or b'"name":"7"' in answer


@dropped
@pytest.mark.parametrize("nullable", [False, True])
@pytest.mark.parametrize("kind", KINDS, ids=[f"{kind.type_.__name__}{number}" for number, kind in enumerate(KINDS)])
async def test_every_value_in_every_column(kind: Kind, nullable: bool) -> None:
    """A column gives graphql-core's response for any value, before a valid row and after one."""
    generated = of_one_column(kind, nullable=nullable)
    schema = schema_of(generated)
    parsed = parse("{ sure { f0Of __typename } items { f0Of } }")
    (row,) = generated.rows
    right = row(kind.values[0])
    for value in (*kind.values, *WRONG):
        await same(schema, parsed, [right, row(value), right])


async def same(schema: Any, document: Any, items: list[Any], **arguments: Any) -> bytes:
    """The response for the table, after checking that a plan makes it and that it equals graphql-core's."""
    options: dict[str, Any] = {"root_value": Tables(items), **arguments}
    actual = await observe(COMPILED, schema, document, Context(), **options)
    expected = await observe(BY_CORE, schema, document, Context(), **options)
    assert actual[0] == expected[0], print_ast(document)
    return actual[0]


def compare(random: Random, trouble: float) -> None:
    """Generate a type, a document and two tables; run them by graphql-core and compiled, and compare."""
    generated = drawn_type(random)
    schema = schema_of(generated)
    text, variables = document(schema, random, "query", size=20)
    parsed = parse(text)
    assert validate(schema, parsed) == [], text

    async def both() -> None:
        for worse in (trouble, trouble, 0.0):
            items = [drawn_value(random, generated, worse) for _ in range(random.randint(0, 5))]
            await same(schema, parsed, items, variable_values=variables)

    asyncio.run(both())


CASES = given(random=st.randoms(use_true_random=False), trouble=st.sampled_from([0.0, 0.02, 0.1, 0.3]))


@dropped
@examples(long=2_000)
@CASES
def test_responses_are_equal(random: Random, trouble: float) -> None:
    """For any types, columns, and values in them."""
    compare(random, trouble)
