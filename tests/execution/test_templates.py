"""Executors copied from a template; neither templates nor plans retain anything of the first request."""

import asyncio
import gc
import inspect
from traceback import walk_tb
from typing import Any, ClassVar
from weakref import ref

import pytest
import strawberry
from graphql import DocumentNode, parse
from graphql.execution import Executor
from graphql.execution.values import VariableValues

import execution
from execution.compiling import Compilation
from execution.executors import ExecutorTemplate
from execution.plans import CachedOperation, counters, plan_cache
from tests.execution.differential import settle


@strawberry.interface
class Named:
    name: str


@strawberry.type
class Person(Named):
    age: int


@strawberry.type
class Query:
    @strawberry.field
    def caller(self, info: strawberry.Info, mark: str = "") -> str:
        """The caller; raises without one."""
        if info.context is None:
            raise ValueError("no caller")
        return f"{info.context}{mark}"

    @strawberry.field
    async def later(self, info: strawberry.Info) -> str:
        """Its errors are ignored."""
        await asyncio.sleep(0)
        raise ValueError(f"no word to {type(info.context).__name__}")

    @strawberry.field
    def queries(self) -> "list[Query]":
        """The same again."""
        return [Query()]

    @strawberry.field
    def pair(self) -> "list[Query]":
        """The same once more."""
        return [Query(), Query()]

    @strawberry.field
    async def slow(self) -> "Query":
        """The same, later than any other field."""
        for _ in range(5):
            await asyncio.sleep(0)
        return Query()

    @strawberry.field
    def named(self) -> Named:
        """A person."""
        return Person(name="Ada", age=36)


pytestmark = pytest.mark.usefixtures("eager")


def new_schema(executor: type[Any] = execution.CompiledStrawberryExecutor) -> strawberry.Schema:
    """A separate schema, without plans."""
    return strawberry.Schema(Query, types=[Person], execution_context_class=executor)


def execute_document(schema: strawberry.Schema, document: DocumentNode, context: object, **variables: object) -> Any:
    """The result for a caller."""
    core = schema._schema
    return execution.execute(
        core,
        document,
        context_value=context,
        variable_values=variables,
        executor_class=schema.execution_context_class,
    )


def operation(schema: strawberry.Schema) -> CachedOperation:
    """The only cached operation."""
    (cached,) = plan_cache(schema._schema).operations.values()
    return cached


def test_each_request_has_its_own_context_errors_and_variables() -> None:
    """Executors copied from a template share nothing of a request."""
    schema, document = new_schema(), parse("query ($mark: String!) { caller(mark: $mark) }")
    for turn in range(3):
        assert execute_document(schema, document, "ada", mark=str(turn)).data == {"caller": f"ada{turn}"}
        result = execute_document(schema, document, None, mark="x")
        assert result.data is None
        assert [error.message for error in result.errors] == ["no caller"]
        assert execute_document(schema, document, "bob", mark="!").errors is None
    assert list(operation(schema).templates) == [execution.CompiledStrawberryExecutor]


def test_templates_and_plans_keep_nothing_of_a_request() -> None:
    """Neither the context nor a variable is in them."""
    schema, document = new_schema(), parse("query ($mark: String!) { caller(mark: $mark) }")
    for _ in range(2):
        execute_document(schema, document, "a context", mark="a secret")
    cached = operation(schema)
    (template,) = cached.templates.values()
    assert isinstance(template, ExecutorTemplate)
    assert "a context" not in repr(template.state)
    assert "a secret" not in repr(template.state)
    (plan,) = cached.plans.values()
    assert plan.compilation.variable_values.coerced == {}  # type: ignore[union-attr]


def test_copies_share_no_more_than_executors_do() -> None:
    """State that graphql-core creates for each executor is new in each copy."""
    schema, document = new_schema(), parse("{ caller }")
    for _ in range(2):
        execute_document(schema, document, "ada")
    cached = operation(schema)
    template = cached.templates[execution.CompiledStrawberryExecutor]
    one, other = (vars(template.copy(None, None, VariableValues({}, {}))) for _ in range(2))
    variables: Any = [vars(Executor.build(schema._schema, document)) for _ in range(2)]
    own = {name for name, value in variables[0].items() if value is not variables[1][name]}
    # Properties of the operation are computed once; helpers are created on demand.
    own -= {"fragments", "fragment_definitions", "variable_values", "async_helpers"}
    assert one["async_work_finished_hook_task"] is None
    assert own >= {"background_futures", "collected_errors", "_stream_usages"}
    assert [name for name in own if one[name] is other[name]] == []


class Caller:
    """The context of a caller."""

    def __str__(self) -> str:
        raise ValueError("no caller")


@pytest.mark.parametrize(
    "text",
    [
        "{ caller }",
        "{ later }",
        "{ queries { caller } }",
        "{ queries { later } }",
        "{ queries { queries { named { name } caller later } } }",
        "{ later again: later }",
        "{ pair { later } }",
        "{ pair { later again: later } slow { named { name } } }",
        "{ slow { caller } caller }",
    ],
)
async def test_errors_keep_no_request(text: str) -> None:
    """A resolver's arguments are freed with the result, though the traceback of its error refers to them."""
    schema, document = new_schema(), parse(text)
    gc.collect()
    gc.disable()
    try:
        for turn in range(3):
            caller = Caller()
            reference = ref(caller)
            result = execute_document(schema, document, caller)
            if inspect.isawaitable(result):
                result = await result
            traceback = result.errors[0].original_error.__traceback__
            assert any(frame.f_code.co_name in {"caller", "later"} for frame, _ in walk_tb(traceback))
            del caller, result, traceback
            await settle()
            for _ in range(10):  # the loop itself holds on for a few turns
                await asyncio.sleep(0)
            assert turn == 0 or reference() is None
    finally:
        gc.enable()


class RecordingExecutor(execution.CompiledStrawberryExecutor):
    """Has an `__init__` of its own, and records the caller of each execution."""

    users: ClassVar[list[object]] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = self.context_value

    def execute_operation(self, serially: bool | None = None) -> Any:
        """Record the caller."""
        self.users.append(self.user)
        return super().execute_operation(serially)


def test_methods_of_a_subclass_are_called_each_time() -> None:
    """Its `__init__` and its methods run for every request, with a plan or without."""
    schema, document = new_schema(RecordingExecutor), parse("{ caller }")
    RecordingExecutor.users.clear()
    for user in ("ada", "bob", "eve"):
        assert execute_document(schema, document, user).data == {"caller": user}
    assert RecordingExecutor.users == ["ada", "bob", "eve"]


def test_an_error_below_an_interface_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphql-core executes the concrete type then, each time, and the error is counted."""
    schema, document = new_schema(), parse("{ named { name ... on Person { age } } }")
    before = counters.fallen_back["compiler failed"]
    original = Compilation.object_function

    def failing(self: Compilation, type_: Any, details: Any) -> Any:
        if type_.name == "Person":
            raise TypeError("a fault of ours")
        return original(self, type_, details)

    monkeypatch.setattr(Compilation, "object_function", failing)
    for _ in range(3):
        result = execute_document(schema, document, None)
        assert (result.data, result.errors) == ({"named": {"name": "Ada", "age": 36}}, None)
    assert counters.fallen_back["compiler failed"] == before + 1


def test_concrete_types_count_in_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their fields count as those of the plan do, and without time graphql-core executes them."""
    schema, document = new_schema(), parse("{ named { name ... on Person { age } } }")
    execute_document(schema, document, None)
    assert plan_cache(schema._schema).field_count == 3
    other = new_schema()
    monkeypatch.setattr("execution.plans.OperationMonitor.has_time", lambda _: False)
    for _ in range(2):
        assert execute_document(other, document, None).data == {"named": {"name": "Ada", "age": 36}}
    assert plan_cache(other._schema).field_count == 1
