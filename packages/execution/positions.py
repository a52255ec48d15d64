"""A place in a plan where a value is completed: a field, or an item of a list."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

from graphql import GraphQLOutputType, is_non_null_type
from graphql.error import located_error

from execution.paths import Thin, keys, real
from execution.run import Field, Run

Complete: TypeAlias = Callable[[Run, Thin, Any], Any]


class Position:
    """What to do with a value there. `complete` gives the completed value or an awaitable of it, or raises.

    `key` and `parent` are of the field; an item has the index in their place.
    """

    __slots__ = ("complete", "key", "nodes", "parent", "required")

    def __init__(self, field: Field, type_: GraphQLOutputType, complete: Complete) -> None:
        self.nodes = field.nodes
        self.key = field.key
        self.parent = field.parent.name
        self.required = is_non_null_type(type_)
        self.complete = complete


def fail_at(run: Run, position: Position, path: Thin, error: Exception) -> None:
    """Answer null and record the error; raises it, located, where null is not allowed."""
    located = located_error(error, position.nodes, keys(path))
    try:
        if position.required:
            raise located
        run.collected_errors.add(located, real(path))
    finally:
        del located, error  # the traceback leads to this call, which would then hold the error in a circle


def settle_at(run: Run, position: Position, path: Thin, value: Any) -> Any:
    """Complete whatever a resolver gave; a coroutine when that takes time. Raises what `fail_at` is to handle."""
    if run.is_awaitable(value):
        return later(run, position, path, value)
    completed = position.complete(run, path, value)
    if run.is_awaitable(completed):
        return guarded(run, position, path, completed)
    return completed


def fail(run: Run, position: Position, path: Thin | None, error: Exception) -> None:
    """`fail_at` for the field under the path."""
    try:
        fail_at(run, position, (path, position.key, position.parent), error)
    finally:
        del error


def settle(run: Run, position: Position, path: Thin | None, value: Any) -> Any:
    """`settle_at` for the field under the path."""
    return settle_at(run, position, (path, position.key, position.parent), value)


def guard(run: Run, position: Position, path: Thin | None, completed: Coroutine[Any, Any, Any]) -> Any:
    """`guarded` for the field under the path."""
    return guarded(run, position, (path, position.key, position.parent), completed)


def fail_item(run: Run, position: Position, path: Thin, index: int, error: Exception) -> None:
    """`fail_at` for an item of the list at the path."""
    try:
        fail_at(run, position, (path, index, None), error)
    finally:
        del error


def settle_item(run: Run, position: Position, path: Thin, index: int, value: Any) -> Any:
    """`settle_at` for an item of the list at the path."""
    return settle_at(run, position, (path, index, None), value)


def guard_item(run: Run, position: Position, path: Thin, index: int, completed: Coroutine[Any, Any, Any]) -> Any:
    """`guarded` for an item of the list at the path."""
    return guarded(run, position, (path, index, None), completed)


async def later(run: Run, position: Position, path: Thin, value: Awaitable[Any]) -> Any:
    """Complete a value once it has come."""
    try:
        completed = position.complete(run, path, await value)
        if run.is_awaitable(completed):
            completed = await completed
    except Exception as error:  # noqa: BLE001 - whatever a resolver raises is an error of the field
        return fail_at(run, position, path, error)
    return completed


async def guarded(run: Run, position: Position, path: Thin, completed: Awaitable[Any]) -> Any:
    """Await a completed value, and handle what fails in it here."""
    try:
        return await completed
    except Exception as error:  # noqa: BLE001 - whatever a resolver raises is an error of the field
        return fail_at(run, position, path, error)
