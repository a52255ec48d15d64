"""Runs an operation by graphql-core and compiled, and compares everything that can be seen from outside."""

import asyncio
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from graphql import DocumentNode, ExecutionResult, GraphQLSchema
from hypothesis import HealthCheck, Phase, settings

Observed = tuple[bytes, list[str]]
# Of the tests that draw operations.
MARKS = [
    pytest.mark.usefixtures("eager"),
    # A task that is cancelled before it starts leaves what it was to await; graphql-core's do, too.
    pytest.mark.filterwarnings(
        "ignore:coroutine .* was never awaited:RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
    ),
]


def drawing(examples: int) -> settings:
    """So many examples by seeds, which can't be shrunk."""
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), phases=phases)


def seen(result: ExecutionResult) -> Any:
    """A result as a client sees it, and what the server sees of its errors."""
    errors = [
        (error.formatted, type(error.original_error).__name__, str(error.original_error))
        for error in result.errors or ()
    ]
    return {"data": result.data, "errors": errors}


def encoded(value: Any) -> bytes:
    """As bytes; what is no JSON (a scalar may give anything) by its kind."""
    return orjson.dumps(value, default=lambda other: f"<{type(other).__name__}>", option=orjson.OPT_NON_STR_KEYS)


async def observed(
    call: Callable[..., Any], schema: GraphQLSchema, document: DocumentNode, stage: Any, **arguments: Any
) -> Observed:
    """The result (or the results of a subscription) and the events."""
    result = call(schema, document, context_value=stage, **arguments)
    if inspect.isawaitable(result):
        result = await result
    if isinstance(result, ExecutionResult):
        found: Any = seen(result)
    else:
        found = [seen(event) async for event in result]
    await settled()
    return encoded(found), stage.events


async def settled() -> None:
    """Wait for what an error left behind in the background."""
    with warnings.catch_warnings():
        for _ in range(50):
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if not others:
                return
            await asyncio.sleep(0)
