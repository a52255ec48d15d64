"""A place in a plan where a value is completed: a field, or an item of a list."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

from graphql import GraphQLOutputType, is_non_null_type
from graphql.error import located_error

from execution.paths import ThinPath, core_path, path_keys
from execution.run import Field, PlanRun

Complete: TypeAlias = Callable[[PlanRun, ThinPath, Any], Any]


class Position:
    """How a value there is completed. `complete` returns the completed value or an awaitable of it, or raises.

    `key` and `parent` are the field's; the path of an item has its index instead.
    """

    __slots__ = ("complete", "key", "nodes", "parent", "required")

    def __init__(self, field: Field, type_: GraphQLOutputType, complete: Complete) -> None:
        self.nodes = field.nodes
        self.key = field.key
        self.parent = field.parent.name
        self.required = is_non_null_type(type_)
        self.complete = complete


def fail_at(run: PlanRun, position: Position, path: ThinPath, error: Exception) -> None:
    """Return null and record the error; raises the located error where null is not allowed."""
    located = located_error(error, position.nodes, path_keys(path))
    try:
        if position.required:
            raise located
        run.collected_errors.add(located, core_path(path))
    finally:
        del located, error  # the traceback refers to this frame: a reference to the error would make a cycle


def settle_at(run: PlanRun, position: Position, path: ThinPath, value: Any) -> Any:
    """Complete any value of a resolver; returns a coroutine for an awaitable. Raises errors for `fail_at`."""
    if run.is_awaitable(value):
        return complete_awaitable(run, position, path, value)
    completed = position.complete(run, path, value)
    if run.is_awaitable(completed):
        return await_completed(run, position, path, completed)
    return completed


def fail(run: PlanRun, position: Position, path: ThinPath | None, error: Exception) -> None:
    """`fail_at` for the field under the path."""
    try:
        fail_at(run, position, (path, position.key, position.parent), error)
    finally:
        del error


def settle(run: PlanRun, position: Position, path: ThinPath | None, value: Any) -> Any:
    """`settle_at` for the field under the path."""
    return settle_at(run, position, (path, position.key, position.parent), value)


def guard(run: PlanRun, position: Position, path: ThinPath | None, completed: Coroutine[Any, Any, Any]) -> Any:
    """`await_completed` for the field under the path."""
    return await_completed(run, position, (path, position.key, position.parent), completed)


def fail_item(run: PlanRun, position: Position, path: ThinPath, index: int, error: Exception) -> None:
    """`fail_at` for an item of the list at the path."""
    try:
        fail_at(run, position, (path, index, None), error)
    finally:
        del error


def settle_item(run: PlanRun, position: Position, path: ThinPath, index: int, value: Any) -> Any:
    """`settle_at` for an item of the list at the path."""
    return settle_at(run, position, (path, index, None), value)


def guard_item(
    run: PlanRun, position: Position, path: ThinPath, index: int, completed: Coroutine[Any, Any, Any]
) -> Any:
    """`await_completed` for an item of the list at the path."""
    return await_completed(run, position, (path, index, None), completed)


async def complete_awaitable(run: PlanRun, position: Position, path: ThinPath, value: Awaitable[Any]) -> Any:
    """Await a value and complete it."""
    try:
        completed = position.complete(run, path, await value)
        if run.is_awaitable(completed):
            completed = await completed
    except Exception as error:  # noqa: BLE001 - whatever a resolver raises is an error of the field
        return fail_at(run, position, path, error)
    return completed


async def await_completed(run: PlanRun, position: Position, path: ThinPath, completed: Awaitable[Any]) -> Any:
    """Await a completed value, and record an error of it at this position."""
    try:
        return await completed
    except Exception as error:  # noqa: BLE001 - whatever a resolver raises is an error of the field
        return fail_at(run, position, path, error)
