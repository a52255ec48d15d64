"""Rare cases, each on a schema of its own: the plan's response equals graphql-core's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    build_schema,
    execute,
    execute_sync,
    get_introspection_query,
    parse,
)

import execution
from execution.compiling import Plan
from execution.completing import execute_by_graphql_core
from execution.plans import plan_cache
from tests.execution import torture
from tests.execution.differential import encode, settle, visible

pytestmark = pytest.mark.usefixtures("eager")


async def encoded_result(
    call: Callable[..., Any], schema: GraphQLSchema, text: str, root: Any, **arguments: Any
) -> Any:
    """The result of a call, encoded."""
    result = call(schema, parse(text), root() if callable(root) else root, **arguments)
    value = await result if asyncio.iscoroutine(result) else result
    await settle()
    return encode(visible(value))


async def same(schema: GraphQLSchema, text: str, root: Any = None, **arguments: Any) -> Any:
    """The response, after checking that a plan made it and that it equals graphql-core's."""
    before = execution.statistics()["executed"]
    compiled = await encoded_result(execution.execute, schema, text, root, **arguments)
    assert execution.statistics()["executed"] == before + 1
    assert compiled == await encoded_result(execute, schema, text, root, **arguments)
    return compiled


def query(**fields: GraphQLField) -> GraphQLSchema:
    """A schema with these fields."""
    return GraphQLSchema(GraphQLObjectType("Query", fields))


async def soon(value: Any) -> Any:
    """The value, asynchronously; raises an error."""
    await asyncio.sleep(0)
    if isinstance(value, Exception):
        raise value
    return value


async def test_a_scalar_may_return_an_awaitable() -> None:
    """The result of a scalar's coercion may be awaitable, or null, in fields and in lists."""
    late: Any = GraphQLScalarType(
        "Late", serialize=lambda value: None if value == 0 else soon(ValueError("bad") if value == 1 else value)
    )
    schema = query(
        one=GraphQLField(late), many=GraphQLField(GraphQLList(late)), must=GraphQLField(GraphQLNonNull(late))
    )
    assert b"bad" in await same(schema, "{ one many }", {"one": 2, "many": [1, 2, 0, None]})
    assert b"null" in await same(schema, "{ one must }", {"one": 2, "must": 1})


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("answer", [False, True])
async def test_values_of_another_type_are_refused(answer: bool, late: bool) -> None:
    """`is_type_of` may be false, or asynchronously false or true."""
    fields = {"a": GraphQLField(GraphQLInt), "b": GraphQLField(GraphQLInt, resolve=lambda *_: soon(2))}
    thing = GraphQLObjectType("Thing", fields, is_type_of=lambda *_: soon(answer) if late else answer)
    schema = query(thing=GraphQLField(thing), things=GraphQLField(GraphQLList(GraphQLNonNull(thing))))
    output = await same(schema, "{ thing { a } things { a b } }", {"thing": {"a": 1}, "things": [{"a": 1}, {"a": 2}]})
    assert (b"Expected value of type" in output) is not answer


async def test_streams_that_fail_are_closed() -> None:
    """An asynchronous iterator may fail while items are pending; it is closed, and closing may fail, too."""
    closings: list[str] = []

    class Stream:
        """Yields two items, then fails."""

        def __init__(self) -> None:
            self.count = 0

        def __aiter__(self) -> AsyncIterator[Any]:
            return self

        async def __anext__(self) -> Any:
            self.count += 1
            if self.count > 2:
                raise ValueError("broken")
            return soon(self.count) if self.count == 1 else ValueError("an item")

        async def aclose(self) -> None:
            """Fail to close."""
            closings.append("closed")
            raise KeyError("closing")

    schema = query(
        some=GraphQLField(GraphQLList(GraphQLInt), resolve=lambda *_: Stream()),
        all=GraphQLField(GraphQLList(GraphQLNonNull(GraphQLInt)), resolve=lambda *_: Stream()),
    )
    assert b"broken" in await same(schema, "{ some }")
    assert b"an item" in await same(schema, "{ all some }")
    assert len(closings) == 6


async def test_invalid_arguments_are_errors_of_the_field() -> None:
    """Without validation, an invalid argument is an error at its field, each time."""
    argument = GraphQLArgument(GraphQLNonNull(GraphQLInt))
    field = GraphQLField(GraphQLString, args={"n": argument}, resolve=lambda _source, _info, n: str(n))
    assert b"has invalid value" in await same(query(f=field), '{ f(n: "x") ok: f(n: 1) }')
    assert b"was not provided" in await same(query(f=field), "{ f ok: f(n: 1) }")


async def test_default_resolvers_of_the_call_are_used() -> None:
    """A plan for graphql-core's default resolver is not used with another, and vice versa."""
    schema = build_schema("""
        type Query { a: Int b(x: Int = 1): Int c: Named }
        interface Named { n: Int }
        type T implements Named { n: Int }
    """)
    root = {"a": 1, "b": lambda _info, x: x, "c": {"n": 2}}

    def resolver(_source: Any, info: Any, **arguments: Any) -> Any:
        return {} if info.field_name == "c" else len(info.field_name) + arguments.get("x", 0)

    def type_resolver(*_: Any) -> str:
        return "T"

    for _ in range(2):
        assert b'"a":1,"b":1' in await same(schema, "{ a b c { n } }", root, type_resolver=type_resolver)
        await same(schema, "{ a b c { n } }", root, field_resolver=resolver, type_resolver=type_resolver)


class Unusual:
    """Values whose class has unusual methods are checked one by one."""

    class Guarded:
        a = 1

        def __getattribute__(self, name: str) -> Any:
            return object.__getattribute__(self, name)

    class Open:
        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return len(name)

    class Called:
        a = 5

        def __call__(self, _info: Any) -> Any:
            return {"a": 6}


async def test_unusual_classes_are_checked_each_time() -> None:
    """A class with dynamic attributes, or with callable values, is not learned."""
    schema = build_schema("type Query { one: Thing many: [Thing] } type Thing { a: Int }")
    values = [Unusual.Guarded(), Unusual.Open(), Unusual.Called(), {"a": 7}, Unusual.Open(), Unusual.Called()]
    for value in values:
        await same(schema, "{ one { a } many { a } }", {"one": value, "many": values})


async def test_large_and_deep_plans_continue_in_graphql_core() -> None:
    """Beyond its limits a plan lets graphql-core execute the rest, with the same response."""
    schema = build_schema("type Query { a: Int b: Query l: [Query] }")
    root: dict[str, Any] = {"a": 1}
    root |= {"b": root, "l": [root, root]}
    wide = " ".join(f"x{number}: b {{ a y: a l {{ a }} }}" for number in range(200))
    assert b"x199" in await same(schema, f"{{ {wide} }}", root)
    deep = "{ b " * 80 + "{ a }" + " }" * 80
    assert b'"a":1' in await same(schema, deep, root)
    plans = [plan for cached in plan_cache(schema).operations.values() for plan in cached.plans.values()]
    assert all(isinstance(plan, Plan) and plan.compilation.field_count <= 250 for plan in plans)


class CountedSelections(tuple[Any, ...]):
    """Selections that count how often they are read."""

    __slots__ = ()
    reads: ClassVar[list[int]] = []

    def __iter__(self) -> Iterator[Any]:
        self.reads.append(len(self))
        return super().__iter__()


async def test_a_selection_beyond_the_limits_is_collected_few_times() -> None:
    """Many fields that share a selection too large for a plan make the compiler read it only a few times."""
    schema = build_schema("type Query { a: Int b: Query }")
    fields = " ".join(f"x{number}: b {{ ...Large }}" for number in range(240))
    large = " ".join(f"y{number}: a" for number in range(3_000))
    document = parse(f"{{ {fields} }} fragment Large on Query {{ {large} }}")
    operation, fragment = document.definitions
    watched = replace(fragment.selection_set, selections=CountedSelections(fragment.selection_set.selections))  # type: ignore[attr-defined]
    document = replace(document, definitions=(operation, replace(fragment, selection_set=watched)))  # type: ignore[call-arg]
    CountedSelections.reads.clear()
    result: Any = execution.execute(schema, document, {"b": None})
    assert (result.data["x239"], result.errors) == (None, None)
    assert len(plan_cache(schema).operations) == 1
    assert 1 <= len(CountedSelections.reads) <= 12


async def test_a_large_object_within_the_limits_is_executed_by_the_plan() -> None:
    """No part of a plan of 201 fields is left to graphql-core."""
    schema = build_schema("type Query { a: Int b: Query }")
    await same(schema, f"{{ b {{ {' '.join(f'x{number}: a' for number in range(200))} }} }}", {"b": {"a": 1}})
    ((plan,),) = [cached.plans.values() for cached in plan_cache(schema).operations.values()]
    assert isinstance(plan, Plan)
    names = {getattr(value, "__qualname__", "") for value in plan.compilation.namespace.values()}
    assert [name for name in names if name.startswith(execute_by_graphql_core.__name__)] == []


async def test_unknown_fields_are_left_out() -> None:
    """Without validation, fields that the type does not have are left out, in queries and mutations."""
    schema = build_schema("type Query { a: Int } type Mutation { a: Int }")
    assert await same(schema, "{ a nothing }", {"a": 1}) == b'{"data":{"a":1},"errors":[]}'
    assert await same(schema, "mutation { nothing a __typename }", {"a": 1}) == (
        b'{"data":{"a":1,"__typename":"Mutation"},"errors":[]}'
    )


async def test_executors_with_overrides_are_not_compiled() -> None:
    """A subclass that changes how fields are executed is run by graphql-core's code, so that its methods apply."""

    class Doubling(execution.CompiledExecutor):
        @staticmethod
        def complete_leaf_value(return_type: Any, result: Any) -> Any:
            """Twice the value."""
            return execution.CompiledSubscriber.complete_leaf_value(return_type, result) * 2

    schema = build_schema("type Query { a: Int }")
    result = execution.execute(schema, parse("{ a }"), {"a": 2}, executor_class=Doubling)
    assert result.data == {"a": 4}  # type: ignore[union-attr]


@pytest.mark.filterwarnings(
    "ignore:coroutine .* was never awaited", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_execute_sync_refuses_awaitables() -> None:
    """With `check_sync` an awaitable is an error, and without it no value counts as one."""
    schema = build_schema("type Query { a: String }")
    document = parse("{ a }")
    assert execution.execute_sync(schema, document, {"a": "x"}) == execute_sync(schema, document, {"a": "x"})
    root = {"a": object()}
    assert visible(execution.execute_sync(schema, document, root)) == visible(execute_sync(schema, document, root))

    class Later:
        def __await__(self) -> Any:
            return soon("x").__await__()

    with pytest.raises(RuntimeError, match="failed to complete synchronously"):
        execution.execute_sync(schema, document, {"a": lambda _info: asyncio.sleep(0)}, check_sync=True)
    root = {"a": Later()}
    one, other = (call(schema, document, root) for call in (execution.execute_sync, execute_sync))
    assert visible(one) == visible(other)


@pytest.mark.parametrize("variables", [{}, {"n": None}, {"n": 4}])
@pytest.mark.parametrize("declared", ["Int", "Int = 2"])
async def test_variables_in_arguments_are_looked_up(declared: str, variables: dict[str, Any]) -> None:
    """For an omitted variable the argument's default applies; null and a missing one may be an error."""

    def show(_source: Any, _info: Any, **arguments: Any) -> str:
        return repr(sorted(arguments.items()))

    schema = query(
        f=GraphQLField(
            GraphQLString,
            args={
                "plain": GraphQLArgument(GraphQLInt),
                "usual": GraphQLArgument(GraphQLInt, default_value=7, out_name="renamed"),
                "must": GraphQLArgument(GraphQLNonNull(GraphQLInt), default_value=8),
                "many": GraphQLArgument(GraphQLList(GraphQLInt)),
            },
            resolve=show,
        ),
        must=GraphQLField(GraphQLString, args={"n": GraphQLArgument(GraphQLNonNull(GraphQLInt))}, resolve=show),
    )
    fields = "f(plain: $n usual: $n must: $n) two: f(usual: $n) three: f(plain: null) four: f(many: [$n]) must(n: $n)"
    output = await same(schema, f"query($n: {declared}) {{ {fields} }}", variable_values=variables)
    assert b"'renamed'" in output


async def test_introspection_is_compiled() -> None:
    """Introspection is executed by a plan like any other field."""
    text = get_introspection_query(
        input_value_deprecation=True, directive_is_repeatable=True, schema_description=True
    )
    assert b"isOneOf" in await same(torture.SCHEMA, text.replace("kind\n", "kind isOneOf\n", 1))
    document = "query($name: String!) { __typename __type(name: $name) { name fields { name isDeprecated } } }"
    assert b'"Query"' in await same(torture.SCHEMA, document, variable_values={"name": "Query"})
    assert b'"__type":null' in await same(torture.SCHEMA, document, variable_values={"name": "Nobody"})
    assert b'"description":null' in await same(torture.SCHEMA, "{ __schema { description } }")
