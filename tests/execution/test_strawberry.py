"""Strawberry's schemas: the same responses by its own executor and compiled, and how Strawberry is recognized."""

import asyncio
from datetime import datetime
from functools import partial
from random import Random
from typing import Annotated, Any, ClassVar

import pytest
import strawberry
from graphql import parse, validate
from graphql.pyutils import Path
from hypothesis import given
from hypothesis import strategies as st
from strawberry.execution import optimized_is_awaitable
from strawberry.extensions import FieldExtension
from strawberry.types import get_object_definition
from strawberry.types.fields.resolver import StrawberryResolver

import execution
from execution import rows
from execution.strawberry_calls import _unless_converted
from execution.strawberry_fields import AttributeField, MethodField, ResolverField, strawberry_field
from tests.execution.differential import MARKS, TIMES, by_core, compiled, observe, was_copied
from tests.execution.documents import document
from tests.execution.strawberry_schema import LITERALS, PLAIN, SCHEMA, Context, Wanted
from tests.properties import examples

pytestmark = MARKS
CORE = SCHEMA._schema
PLAIN_CORE = PLAIN._schema


class Native(execution.CompiledStrawberryExecutor):
    """Leaves times to orjson."""

    encoder_scalars: ClassVar[dict[str, type]] = {"DateTime": datetime}


BY_CORE = by_core(PLAIN.execution_context_class)
COMPILED = (compiled(execution.CompiledStrawberryExecutor), compiled(Native))


def compare(kind: str, random: Random) -> None:
    """Generate a document, run it by Strawberry, compiled, and compiled for orjson; compare."""
    text, variables = document(CORE, random, kind, literals=LITERALS)
    parsed = parse(text)
    assert validate(CORE, parsed) == [], text

    async def all_ways() -> None:
        arguments: dict[str, Any] = {"kind": kind, "variable_values": variables}
        if kind != "subscription":
            arguments["is_awaitable"] = optimized_is_awaitable
        expected = await observe(BY_CORE, PLAIN_CORE, parsed, Context(), **arguments)
        for way in COMPILED * TIMES:
            actual = await observe(way, CORE, parsed, Context(), **arguments)
            assert actual[0] == expected[0], text
            assert actual[1] == expected[1], text
        assert kind == "subscription" or all(was_copied(way, CORE, parsed, variables) for way in COMPILED)

    asyncio.run(all_ways())


CASES = given(
    kind=st.sampled_from(["query", "query", "query", "mutation", "subscription"]),
    random=st.randoms(use_true_random=False),
)


@examples(long=5_000)
@CASES
def test_responses_are_equal(kind: str, random: Random) -> None:
    """For any document, values and failures in them."""
    compare(kind, random)


def fields_of(name: str) -> dict[str, Any]:
    """The fields of a type of the schema."""
    fields: dict[str, Any] = CORE.type_map[name].fields  # type: ignore[attr-defined]
    return fields


def test_plain_fields_are_recognized() -> None:
    """Strawberry's plain fields are recognized; those with extensions, permissions or arguments are not."""
    fields = fields_of("Person")
    assert strawberry_field(fields["name"], CORE, rows.read) == AttributeField("name", reads_rows=True)
    assert strawberry_field(fields["born"], CORE, rows.read) == AttributeField("born", reads_rows=True)
    assert strawberry_field(fields["secret"], CORE, rows.read) is None
    assert strawberry_field(fields["loud"], CORE, rows.read) is None


def test_methods_without_parameters_are_called_directly() -> None:
    """A method that takes only itself is called without Strawberry in between."""
    fields = fields_of("Person")
    for name in ("double", "slow", "fails"):
        assert isinstance(strawberry_field(fields[name], CORE, rows.read), MethodField)


def test_resolvers_with_plain_arguments_are_called_directly() -> None:
    """Resolvers with info, plain arguments and extensions are; others are called by Strawberry's own."""
    for field in (fields_of("Person")["greeting"], fields_of("Person")["tags"], fields_of("Mutation")["rename"]):
        assert isinstance(strawberry_field(field, CORE, rows.read), ResolverField)
    for field in (fields_of("Query")["sum"], fields_of("Query")["forbidden"], fields_of("Robot")["maker"]):
        assert strawberry_field(field, CORE, rows.read) is None


def test_optional_arguments_with_a_value_are_converted_by_strawberry() -> None:
    """A resolver with such an argument is called directly where it is omitted or null."""
    assert isinstance(strawberry_field(fields_of("Query")["people"], CORE, rows.read), ResolverField)

    def directly(*_: Any, **values: Any) -> Any:
        return values

    def by_strawberry(*_: Any, **values: Any) -> Any:
        return f"converts {values['wanted']}"

    call = _unless_converted(frozenset({"wanted"}), directly, by_strawberry, is_async=False)
    assert call(None, None, other=1) == {"other": 1}
    assert call(None, None, other=1, wanted=None) == {"other": 1, "wanted": None}
    assert call(None, None, other=1, wanted="it") == "converts it"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ people { number } }", None),
        ("{ people(wanted: null) { number } }", None),
        ("query ($wanted: Wanted) { people(wanted: $wanted) { number } }", None),
        ("query ($wanted: Wanted = { count: 4 }) { people(wanted: $wanted) { number } }", Wanted(count=4)),
        ("{ people(wanted: { count: 4 }) { number } }", Wanted(count=4)),
    ],
)
async def test_optional_arguments_change_no_response(text: str, expected: Wanted | None) -> None:
    """Omitted, null, a literal or a variable: the resolver and the client get the same values as without plans."""
    for schema in (SCHEMA, PLAIN):
        context = Context()
        answer = await schema.execute(text, context_value=context)
        assert (answer.data, answer.errors) == ({"people": [{"number": number} for number in range(4)]}, None)
        assert context.events == [f"people {expected}"]


class CalledTwice(StrawberryResolver[Any]):
    """Calls its function twice."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs) * 2


def test_resolvers_of_another_class_are_called_by_strawberry() -> None:
    """A `StrawberryResolver` with a `__call__` of its own is not bypassed, with arguments and without."""

    @strawberry.type
    class Root:
        @strawberry.field
        def name(self) -> str:
            return "a"

        @strawberry.field
        def text(self, info: strawberry.Info, value: str = "b") -> str:
            return value

    for definition in get_object_definition(Root, strict=True).fields:
        definition.base_resolver = CalledTwice(definition.base_resolver.wrapped_func)  # type: ignore[union-attr]
    schema = strawberry.Schema(query=Root, execution_context_class=execution.CompiledStrawberryExecutor)
    for field in schema._schema.query_type.fields.values():  # type: ignore[union-attr]
        assert strawberry_field(field, schema._schema, rows.read) is None
    answer = schema.execute_sync('{ name text other: text(value: "c") }')
    assert (answer.data, answer.errors) == ({"name": "aa", "text": "bb", "other": "cc"}, None)


def test_arguments_may_have_the_names_of_our_parameters() -> None:
    """An argument named `source` is the resolver's, synchronous and asynchronous, with an extension and without."""

    class Passes(FieldExtension):
        def resolve(self, next_: Any, source: Any, info: Any, **kwargs: Any) -> Any:
            """Change nothing."""
            return next_(source, info, **kwargs)

    @strawberry.type
    class Root:
        @strawberry.field
        def at_once(self, source: str) -> str:
            return source

        @strawberry.field
        async def later(self, source: str) -> str:
            return source

        @strawberry.field(extensions=[Passes()])  # type: ignore[untyped-decorator]
        def inside(self, value: Annotated[str, strawberry.argument(name="source")]) -> str:
            return value

    schema = strawberry.Schema(query=Root, execution_context_class=execution.CompiledStrawberryExecutor)
    for name in ("atOnce", "later", "inside"):
        field = schema._schema.query_type.fields[name]  # type: ignore[union-attr]
        assert isinstance(strawberry_field(field, schema._schema, rows.read), ResolverField)
    answer = asyncio.run(schema.execute('{ atOnce(source: "a") later(source: "b") inside(source: "c") }'))
    assert (answer.data, answer.errors) == ({"atOnce": "a", "later": "b", "inside": "c"}, None)


def test_replaced_resolvers_are_called() -> None:
    """A resolver that replaces Strawberry's is called like any other."""
    schema = strawberry.Schema(query=strawberry.type(type("Query", (), {"__annotations__": {"name": str}})))
    field = schema._schema.query_type.fields["name"]  # type: ignore[union-attr]
    assert strawberry_field(field, schema._schema, rows.read) == AttributeField("name", reads_rows=False)
    original = field.resolve
    field.resolve = partial(original)
    assert strawberry_field(field, schema._schema, rows.read) is None


def test_info_is_strawberrys() -> None:
    """The info for resolvers has the fields, in the order, that Strawberry gives it."""
    infos: list[Any] = []

    @strawberry.type
    class Root:
        @strawberry.field
        def first(self, info: strawberry.Info) -> str:
            infos.append(info._raw_info)
            return "1"

        @strawberry.field
        def second(self, info: strawberry.Info) -> str:
            infos.append(info._raw_info)
            return "2"

    plain = strawberry.Schema(query=Root)
    compiled = strawberry.Schema(query=Root, execution_context_class=execution.CompiledStrawberryExecutor)
    for schema in (plain, compiled):
        schema.execute_sync("query ($x: Int = 3) { first again: second @skip(if: false) @include(if: true) }")
    del infos[:]
    for schema in (plain, compiled):
        schema.execute_sync("{ first again: second }")
    expected, actual = infos[1], infos[3]
    assert type(actual) is type(expected)
    assert actual._fields == expected._fields
    assert actual.path == expected.path == Path(None, "again", "Root")
    assert type(actual.path) is Path
    assert actual.field_nodes == expected.field_nodes
    assert actual.operation == expected.operation
    assert actual.variable_values == expected.variable_values == {}


async def test_strawberrys_own_functions_run_plans() -> None:
    """`Schema.execute` and `Schema.subscribe` run plans by the public `execution_context_class`."""
    before = execution.statistics()["executed"]
    answer = await SCHEMA.execute("{ person { name double } }", context_value=Context())
    assert answer.data == {"person": {"name": "P1", "double": 2}}
    assert execution.statistics()["executed"] == before + 1
    events = [event async for event in await subscription(SCHEMA)]
    assert [event.data for event in events] == [{"watch": {"model": "R0"}}, {"watch": {"model": "row 1"}}]
    assert execution.statistics()["executed"] == before + 3


def test_execute_sync_of_strawberry_runs_plans() -> None:
    """`Schema.execute_sync` runs plans, though it passes an `is_async_iterable` of its own."""

    @strawberry.type
    class Root:
        @strawberry.field
        def names(self) -> list[str]:
            return ["a", "b"]

        @strawberry.field
        def unusual(self) -> list[str]:
            return (name for name in "cd")  # type: ignore[return-value]

    schema = strawberry.Schema(query=Root, execution_context_class=execution.CompiledStrawberryExecutor)
    before = execution.statistics()["executed"]
    answer = schema.execute_sync("{ names unusual }")
    assert (answer.data, answer.errors) == ({"names": ["a", "b"], "unusual": ["c", "d"]}, None)
    assert execution.statistics()["executed"] == before + 1


async def subscription(schema: strawberry.Schema) -> Any:
    """A subscription of two events."""
    return await schema.subscribe(
        "subscription { watch(count: 2) { ... on Robot { model } } }", context_value=Context()
    )
