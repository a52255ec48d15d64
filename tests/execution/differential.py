"""Runs an operation by graphql-core and compiled, and compares everything observable from outside."""

import asyncio
import inspect
import warnings
from ast import literal_eval
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import graphql
import orjson
import pytest
from graphql import DocumentNode, ExecutionResult, GraphQLSchema, parse

import execution
from execution.plans import plan_cache
from execution.variables import coerce_simple_variables

Observed = tuple[bytes, list[str]]
CALLS: tuple[Any, ...] = (execution.execute, graphql.execute)
LATE = "late "
TIMES = 3  # the operation is compiled, then known, then executed by a copy of that executor
# Of the tests that draw operations.
MARKS = [
    pytest.mark.usefixtures("eager"),
    # A task that is cancelled before it starts never awaits its coroutine; neither do those of graphql-core.
    pytest.mark.filterwarnings(
        "ignore:coroutine .* was never awaited:RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
    ),
]


@dataclass(frozen=True, slots=True)
class Way:
    """A way to run operations: the functions, and the executor class."""

    execute: Callable[..., Any]
    subscribe: Callable[..., Any]
    executor_class: type[Any] | None

    def call(self, kind: str) -> Callable[..., Any]:
        """The function that runs operations of the kind."""
        call = self.subscribe if kind == "subscription" else self.execute
        return partial(call, executor_class=self.executor_class)


def by_core(executor_class: type[Any] | None = None) -> Way:
    """Run by graphql-core's own functions."""
    return Way(graphql.execute, graphql.subscribe, executor_class)


def compiled(executor_class: type[Any]) -> Way:
    """Run by our functions."""
    return Way(execution.execute, execution.subscribe, executor_class)


@contextmanager
def require_plans(way: Way, results: list[ExecutionResult]) -> Iterator[None]:
    """Require that plans ran for every result whose fields were executed, or for none at all."""
    before = execution.statistics()
    yield
    after = execution.statistics()
    executed = [result for result in results if was_executed(result)] if way.execute is execution.execute else []
    assert after["executed"] - before["executed"] == len(executed)
    assert after["fallen_back"] == before["fallen_back"]


def was_executed(result: ExecutionResult) -> bool:
    """Whether any field was executed: an error of the request or of a source stream precedes the first."""
    return result.data is not None or any(error.path for error in result.errors or ())


def was_copied(way: Way, schema: GraphQLSchema, document: DocumentNode, variables: dict[str, Any]) -> bool:
    """Whether the last executor was copied from a template; true where none can be, as for other variables."""
    operation = plan_cache(schema).lookup(document, None)
    assert operation is not None
    if operation.variables is None or coerce_simple_variables(operation.variables, variables) is None:
        return True
    return way.executor_class in operation.templates


def visible(result: ExecutionResult) -> Any:
    """A result as sent to the client, and the errors as logged by the server."""
    errors = [
        (error.formatted, type(error.original_error).__name__, str(error.original_error))
        for error in result.errors or ()
    ]
    return {"data": result.data, "errors": errors}


def encode(value: Any) -> bytes:
    """As bytes; a value that JSON cannot represent (a scalar may return anything) as its type."""
    return orjson.dumps(value, default=lambda other: f"<{type(other).__name__}>", option=orjson.OPT_NON_STR_KEYS)


async def observe(
    way: Way, schema: GraphQLSchema, document: DocumentNode, stage: Any, kind: str = "query", **arguments: Any
) -> Observed:
    """The result (or the results of a subscription) and the events.

    Without events of asynchronous fields below a value that an error has nulled: they are cancelled, and whether one
    had started before depends on one iteration of the event loop, which is not specified.
    """
    results: list[ExecutionResult] = []
    with require_plans(way, results):
        result = way.call(kind)(schema, document, context_value=stage, **arguments)
        if inspect.isawaitable(result):
            result = await result
        if isinstance(result, ExecutionResult):
            results.append(result)
            output: Any = visible(result)
        else:
            results.extend([event async for event in result])
            output = [visible(event) for event in results]
    await settle()
    null_fields = [path for result in results for path in null_paths(result)]
    return encode(output), [
        event for event in stage.events if not null_fields or not is_late_under(event, null_fields)
    ]


def null_paths(result: ExecutionResult) -> Iterator[list[str | int]]:
    """The paths of values that errors have nulled."""
    for error in result.errors or ():
        value: Any = result.data
        for depth, key in enumerate(error.path or ()):
            if value is None:
                yield list(error.path or ())[:depth]
                break
            value = value[key]


def is_late_under(event: str, paths: list[list[str | int]]) -> bool:
    """Whether the event is one of an asynchronous field below one of the paths."""
    if not event.startswith(LATE):
        return False
    path = literal_eval(event[len(LATE) : event.rindex("]") + 1])
    return any(path[: len(each)] == each for each in paths)


def both(text: str, schema: GraphQLSchema, **arguments: Any) -> dict[str, Any]:
    """The response, compiled, after checking that graphql-core gives the same."""
    actual, expected = (call(schema, parse(text), **arguments).formatted for call in CALLS)
    assert actual == expected
    return actual  # type: ignore[no-any-return]


async def settle() -> None:
    """Wait for the tasks that an error left running in the background."""
    with warnings.catch_warnings():
        for _ in range(50):
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if not others:
                return
            await asyncio.sleep(0)
