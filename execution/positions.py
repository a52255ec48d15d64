"""A place in a plan where a value is completed: a field, or an item of a list."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

from graphql import FieldNode, GraphQLOutputType, is_non_null_type
from graphql.error import located_error

from execution.paths import Thin, keys, real
from execution.run import Run

Complete: TypeAlias = Callable[[Run, Thin, Any], Any]


class Position:
    """What to do with a value there. `complete` gives the completed value or an awaitable of it, or raises."""

    __slots__ = ("complete", "nodes", "required")

    def __init__(self, nodes: list[FieldNode], type_: GraphQLOutputType, complete: Complete) -> None:
        self.nodes = nodes
        self.required = is_non_null_type(type_)
        self.complete = complete


def fail(run: Run, position: Position, path: Thin, error: Exception) -> None:
    """Answer null and record the error; raises it, located, where null is not allowed."""
    located = located_error(error, position.nodes, keys(path))
    if position.required:
        raise located
    run.collected_errors.add(located, real(path))


def settle(run: Run, position: Position, path: Thin, value: Any) -> Any:
    """Complete whatever a resolver gave; a coroutine when that takes time. Raises what `fail` is to handle."""
    if run.is_awaitable(value):
        return later(run, position, path, value)
    completed = position.complete(run, path, value)
    if run.is_awaitable(completed):
        return guarded(run, position, path, completed)
    return completed


def settle_scalar(run: Run, position: Position, path: Thin, value: Any, coerced: Any, error: Callable[..., Any]) -> Any:
    """What a custom scalar made of a value, when it is nothing that is obviously data."""
    if run.is_awaitable(coerced):
        return guarded(run, position, path, coerced)
    return error(value, coerced)


async def later(run: Run, position: Position, path: Thin, value: Awaitable[Any]) -> Any:
    """Complete a value once it has come."""
    try:
        completed = position.complete(run, path, await value)
        if run.is_awaitable(completed):
            completed = await completed
    except Exception as error:  # noqa: BLE001 - whatever a resolver raises is an error of the field
        return fail(run, position, path, error)
    return completed


async def guarded(run: Run, position: Position, path: Thin, completed: Coroutine[Any, Any, Any]) -> Any:
    """Await a completed value, and handle what fails in it here."""
    try:
        return await completed
    except Exception as error:  # noqa: BLE001 - whatever a resolver raises is an error of the field
        return fail(run, position, path, error)
