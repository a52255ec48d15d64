"""Which operations are compiled and cached, which are left to graphql-core, and their costs."""

import gc
import pickle
import weakref
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from graphql import GraphQLSchema, build_schema, parse
from graphql.execution import Executor
from graphql.pyutils import AbortController

import execution
from execution import plans
from tests.properties import is_long

SDL = """
    type Query { a: Int b: Query list: [Query!] c(x: Int, y: [Int!] = [1]): String }
    type Mutation { set: Int }
"""


class Source:
    """A source with every field."""

    a = 1
    list = ()

    @property
    def b(self) -> "Source":
        return self

    def c(self, _info: Any, **arguments: Any) -> str:
        """The arguments."""
        return repr(sorted(arguments.items()))


@pytest.fixture
def schema() -> GraphQLSchema:
    return build_schema(SDL)


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[execution.Limits]:
    fresh = execution.Limits(time_share=1000.0)
    for name in ("max_operations", "max_plans", "max_seen", "min_uses", "time_share"):
        monkeypatch.setattr(execution.limits, name, getattr(fresh, name))
    plans.compile_time_limit.seconds = 0.5
    yield execution.limits
    plans.compile_time_limit.seconds = 0.5


def run(schema: GraphQLSchema, text: str, **arguments: Any) -> Any:
    """The response for a text that is parsed again."""
    return execution.execute(schema, parse(text), Source(), **arguments)


def statistic(key: str) -> int:
    """A number of the statistics: `compiled`, `executed` or a reason."""
    statistics = execution.statistics()
    return int(statistics[key] if key in statistics else statistics["fallen_back"].get(key, 0))


def test_the_second_use_compiles(schema: GraphQLSchema) -> None:
    """graphql-core executes the first time, the plan from then on; the responses are the same."""
    compiled, executed = statistic("compiled"), statistic("executed")
    answers = [run(schema, "{ a b { a } }") for _ in range(4)]
    assert all(answer == answers[0] for answer in answers)
    assert statistic("compiled") == compiled + 1
    assert statistic("executed") == executed + 3


@pytest.mark.differential
def test_many_documents_leave_the_cache_bounded(schema: GraphQLSchema, limits: execution.Limits) -> None:
    """10,000 documents, each used twice, stay within the limits of plans and hashes; quick: a tenth of each."""
    scale = 1 if is_long() else 10
    limits.max_operations, limits.max_seen = 200 // scale, 300 // scale
    for number in range(10_000 // scale):
        document = parse(f"{{ x{number}: a }}")
        for _ in range(2):
            execution.execute(schema, document, Source())
    cache = plans.plan_cache(schema)
    assert len(cache.operations) <= limits.max_operations
    assert len(cache.by_identity) <= limits.max_operations * plans.MAX_ALIASES
    assert len(cache.seen) <= limits.max_seen


def test_many_parsings_of_a_text_share_a_plan(schema: GraphQLSchema) -> None:
    """A text that is parsed for each request is compiled once, and only the last parsed documents are aliases."""
    compiled = statistic("compiled")
    documents = [parse("{ a }") for _ in range(100)]
    for document in documents:
        execution.execute(schema, document, Source())
    assert statistic("compiled") == compiled + 1
    assert len(plans.plan_cache(schema).by_identity) <= plans.MAX_ALIASES


def test_unique_documents_are_not_compiled(schema: GraphQLSchema) -> None:
    """A stream of unique documents costs no compiling at all."""
    compiled = statistic("compiled")
    for number in range(500):
        run(schema, f"{{ unique{number}: a }}")
    assert statistic("compiled") == compiled
    assert len(plans.plan_cache(schema).operations) == 0


def test_compiling_has_a_budget(schema: GraphQLSchema, limits: execution.Limits) -> None:
    """Even documents used twice get no more than their share of the time, and one plan that exceeds it."""
    limits.time_share = 0.0
    plans.compile_time_limit.seconds = 1e-9
    before, compiled = statistic("compile time limit"), statistic("compiled")
    for number in range(200):
        text = f"{{ budgeted{number}: a b {{ a b {{ a b {{ a }} }} }} }}"
        assert run(schema, text) == run(schema, text)
    assert statistic("compile time limit") == before + 199
    assert statistic("compiled") == compiled + 1


def test_variables_of_conditions_make_few_variants(schema: GraphQLSchema, limits: execution.Limits) -> None:
    """Each set of values that @skip and @include depend on has its plan, up to a limit; all responses are right."""
    limits.min_uses, limits.max_plans = 1, 4
    text = (
        "query($p: Boolean!, $q: Boolean!, $r: Boolean!) { a @skip(if: $p) x: a @include(if: $q) y: a @skip(if: $r) }"
    )
    before = statistic("too many variants")
    for number in range(8):
        values = {"p": bool(number & 1), "q": bool(number & 2), "r": bool(number & 4)}
        expected = {"a": not values["p"], "x": values["q"], "y": not values["r"]}
        answer = run(schema, text, variable_values=values)
        assert set(answer.data) == {key for key, there in expected.items() if there}
    assert statistic("too many variants") == before + 4


def test_equal_texts_with_other_nodes_have_their_own_plans(schema: GraphQLSchema, limits: execution.Limits) -> None:
    """A document built from another with the same source text gets a separate plan."""
    limits.min_uses = 1
    document = parse("{ a b { a } }")
    assert run(schema, "{ a b { a } }").data == {"a": 1, "b": {"a": 1}}
    operation: Any = document.definitions[0]
    half = type(operation.selection_set)(selections=operation.selection_set.selections[:1])
    document_copy = type(document)(
        definitions=(type(operation)(operation=operation.operation, selection_set=half),), loc=document.loc
    )
    assert execution.execute(schema, document_copy, Source()).data == {"a": 1}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "arguments", "reason"),
    [
        ("{ a }", {"middleware": [lambda next_, *args, **kwargs: next_(*args, **kwargs)]}, "middleware"),
        ("{ a }", {"abort_signal": AbortController().signal}, "abort signal"),
        ("{ a }", {"is_awaitable": lambda _: False}, "custom is_awaitable"),
        ("{ a }", {"is_async_iterable": lambda _: False}, "custom is_async_iterable"),
        ("{ a }", {"executor_class": type("Own", (Executor,), {})}, "custom executor class"),
        ("{ ... @defer(if: false) { a } }", {}, "incremental delivery"),
        ("{ list @stream(if: false) { a } }", {}, "incremental delivery"),
        ("query @experimental_disableErrorPropagation { a }", {}, "error propagation switched off"),
        ("subscription { a }", {}, "no such root type"),
    ],
)
def test_unsupported_executions_are_left_to_graphql_core(
    schema: GraphQLSchema, limits: execution.Limits, text: str, arguments: dict[str, Any], reason: str
) -> None:
    """Each reason is counted, and graphql-core gives the response."""
    limits.min_uses = 1
    before, executed = statistic(reason), statistic("executed")
    answer = run(schema, text, **arguments)
    assert answer.data is not None or reason == "no such root type"
    assert statistic(reason) == before + 1
    assert statistic("executed") == executed


def test_an_error_of_the_compiler_is_one_reason(schema: GraphQLSchema, limits: execution.Limits) -> None:
    """The response is graphql-core's; the exception's text is passed to the listeners, and is not a reason."""

    class NotReadable:
        """A test that can be called, but not read."""

        def __call__(self, *_: Any) -> bool:
            return True

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(f"no {name} for anybody")

    limits.min_uses = 1
    schema.type_map["Query"].is_type_of = NotReadable()  # type: ignore[attr-defined]
    fallbacks: list[execution.Fallback] = []
    execution.on_fallback(fallbacks.append)
    before = statistic("compiler failed")
    try:
        assert run(schema, "{ a }").data == {"a": 1}
    finally:
        plans.listeners.remove(fallbacks.append)
    assert [fallback.reason for fallback in fallbacks] == ["compiler failed: RuntimeError: no by_class for anybody"]
    assert statistic("compiler failed") == before + 1
    assert not any("RuntimeError" in reason for reason in execution.statistics()["fallen_back"])


def test_listeners_are_called_once(schema: GraphQLSchema, limits: execution.Limits) -> None:
    """A listener is called once for an operation, with the reason and the document."""
    limits.min_uses = 1
    fallbacks: list[execution.Fallback] = []
    execution.on_fallback(fallbacks.append)
    try:
        document = parse("query Named { ... @defer(if: false) { a } }")
        for _ in range(3):
            execution.execute(schema, document, Source(), operation_name="Named")
    finally:
        plans.listeners.remove(fallbacks.append)
    assert fallbacks == [execution.Fallback("incremental delivery", "Named", document)]


def test_plans_are_freed_with_their_schema(limits: execution.Limits) -> None:
    """A schema that is no longer used is freed with its plans."""
    limits.min_uses = 1
    schema = build_schema(SDL)
    run(schema, "{ a }")
    reference = weakref.ref(schema)
    del schema
    gc.collect()
    assert reference() is None


def test_copies_of_a_schema_start_without_plans(schema: GraphQLSchema, limits: execution.Limits) -> None:
    """A schema can be copied, and its plans are pickled as none."""
    limits.min_uses = 1
    run(schema, "{ a }")
    copy = deepcopy(schema)
    assert len(plans.plan_cache(copy).operations) == 0
    assert run(copy, "{ a }").data == {"a": 1}
    pickled = pickle.dumps(plans.plan_cache(schema))
    assert len(pickle.loads(pickled).operations) == 0  # noqa: S301 - our own pickle


def test_lists_in_arguments_are_new_in_each_call(limits: execution.Limits) -> None:
    """A resolver that changes a list argument does not change the next call's."""
    limits.min_uses = 1
    schema = build_schema(SDL)

    class Changing(Source):
        def c(self, _info: Any, **arguments: Any) -> str:
            """Add to the list."""
            arguments["y"].append(5)
            return repr(arguments["y"])

    for text in ("{ c(y: [1]) }", "query($z: Int!) { c(y: [$z]) }", "query($y: [Int!]) { c(y: $y) }"):
        document = parse(text)
        answers = [
            execution.execute(schema, document, Changing(), variable_values={"y": [1], "z": 1}) for _ in range(3)
        ]
        assert {answer.data["c"] for answer in answers} == {"[1, 5]"}  # type: ignore[union-attr, index]


def test_names_cannot_become_code(limits: execution.Limits) -> None:
    """A hand-written syntax tree with invalid names is refused; none of its text is in the generated code."""
    limits.min_uses = 1
    document = parse("{ a }")
    node: Any = document.definitions[0]
    field = node.selection_set.selections[0]
    odd = type(field)(name=field.name, alias=type(field.name)(value="x': boom, 'y"))
    operation = type(node)(operation=node.operation, selection_set=type(node.selection_set)(selections=(odd,)))
    before = statistic("invalid names")
    answer = execution.execute(build_schema(SDL), type(document)(definitions=(operation,)), Source())
    assert answer.data == {"x': boom, 'y": 1}  # type: ignore[union-attr]
    assert statistic("invalid names") == before + 1
