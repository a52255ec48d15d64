"""Completes any value of a resolver as graphql-core does, by the specification's CompleteValue.

The generated code handles values of the common types itself, and passes all others to these functions.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from graphql import (
    GraphQLAbstractType,
    GraphQLError,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    Undefined,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)
from graphql.error import located_error
from graphql.execution.collect_fields import FieldDetailsList
from graphql.execution.executor import invalid_return_type_error
from graphql.pyutils import inspect, is_iterable

from execution.paths import ThinPath, core_path, field_path, path_keys
from execution.positions import Complete, Position, await_completed, complete_awaitable, fail_at, settle_at
from execution.run import Field, PlanRun, await_items
from execution.strawberry_private import CAST, resolves_by_class

if TYPE_CHECKING:
    from execution.compiling import Compilation
    from execution.objects import ObjectFunction


def completer(compilation: "Compilation", field: Field, type_: GraphQLOutputType) -> Complete:
    """The function that completes values of the type at a field."""
    if is_non_null_type(type_):
        return _non_null_completer(field, completer(compilation, field, type_.of_type), type_)
    inner = _value_completer(compilation, field, type_)

    def complete(run: PlanRun, path: ThinPath, value: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        if value is None or value is Undefined:
            return None
        return inner(run, path, value)

    return complete


def _non_null_completer(field: Field, inner: Complete, _type: GraphQLNonNull[Any]) -> Complete:
    """Complete a value of a non-null type; raises `TypeError` for null."""

    def complete(run: PlanRun, path: ThinPath, value: Any) -> Any:
        completed = inner(run, path, value)
        if completed is None:
            raise TypeError(f"Cannot return null for non-nullable field {field.parent}.{field.name}.")
        return completed

    return complete


def _value_completer(compilation: "Compilation", field: Field, type_: GraphQLOutputType) -> Complete:
    """The function that completes values that are neither null nor an error."""
    if is_list_type(type_):
        return _list_completer(compilation, field, type_)
    if is_leaf_type(type_):
        return _leaf_completer(type_)
    if is_abstract_type(type_):
        return _abstract_completer(compilation, field, type_)
    assert isinstance(type_, GraphQLObjectType)  # noqa: S101 - there is no other output type
    function = compilation.object_function(type_, field.details)
    return lambda run, path, value: _complete_object(run, field, function, path, value)


def _leaf_completer(type_: GraphQLLeafType) -> Complete:
    """Complete scalars and enums by their own coercion."""
    return lambda _run, _path, value: _require_leaf(type_, value, type_.coerce_output_value(value))


def _require_leaf(type_: GraphQLLeafType, value: Any, coerced: Any) -> Any:
    """The coerced value; raises `TypeError` when it is null or undefined."""
    if coerced is Undefined or coerced is None:
        raise TypeError(
            f"Expected `{inspect(type_)}.coerce_output_value({inspect(value)})` to return non-nullable value,"
            f" returned: {inspect(coerced)}"
        )
    return coerced


def settle_coerced(
    run: PlanRun, position: Position, path: ThinPath | None, coerced: Any, scalar: tuple[Any, Any]
) -> Any:
    """The coerced value of a custom scalar, when its type is not a JSON type."""
    if run.is_awaitable(coerced):
        return await_completed(run, position, (path, position.key, position.parent), coerced)
    return _require_leaf(*scalar, coerced)


def settle_coerced_item(
    run: PlanRun, position: Position, path: ThinPath, index: int, coerced: Any, scalar: tuple[Any, Any]
) -> Any:
    """The same for an item of a list."""
    if run.is_awaitable(coerced):
        return await_completed(run, position, (path, index, None), coerced)
    return _require_leaf(*scalar, coerced)


def _list_completer(compilation: "Compilation", field: Field, type_: GraphQLList[Any]) -> Complete:
    """Complete lists: any iterable or asynchronous iterable."""
    item, name = compilation.list_function(field, type_)

    def complete(run: PlanRun, path: ThinPath, value: Any) -> Any:
        if run.is_async_iterable(value):
            return _complete_stream(run, item, path, run.cancellable_iterable(value).__aiter__())
        if not is_iterable(value):
            raise GraphQLError(f"Expected Iterable, but did not find one for field '{field.parent}.{field.name}'.")
        return compilation.namespace[name](run, path, value)

    return complete


async def _complete_stream(run: PlanRun, item: Position, path: ThinPath, iterator: AsyncIterator[Any]) -> list[Any]:
    """The completed items of an asynchronous iterator."""
    items: list[Any] = []
    waiting: list[int] = []
    try:
        while True:
            try:
                value = await anext(iterator)
            except StopAsyncIteration:
                break
            except Exception as error:
                raise located_error(error, item.nodes, path_keys(path)) from error
            completed = _complete_item(run, item, (path, len(items), None), value)
            if run.is_awaitable(completed):
                waiting.append(len(items))
            items.append(completed)
    except Exception:
        if hasattr(iterator, "aclose"):
            with suppress(Exception):
                await iterator.aclose()
        run.abandon(items)
        raise
    return await await_items(items, waiting) if waiting else items


def _complete_item(run: PlanRun, item: Position, path: ThinPath, value: Any) -> Any:
    """Complete one item; its errors are recorded."""
    if run.is_awaitable(value):
        return complete_awaitable(run, item, path, value)
    try:
        return settle_at(run, item, path, value)
    except Exception as error:  # noqa: BLE001 - whatever a resolver raises is an error of the item
        return fail_at(run, item, path, error)


def abandon_items(run: PlanRun, items: list[Any], rest: Iterator[Any]) -> None:
    """Let awaitable items end in the background, those not yet iterated included."""
    started: list[Any] = [item for item in items if type(item) is CoroutineType and run.awaits]
    with suppress(Exception):
        started.extend(item for item in rest if run.is_awaitable(item))
    if started:
        run.settle_in_background(started)


def _complete_object(run: PlanRun, field: Field, function: "ObjectFunction", path: ThinPath, value: Any) -> Any:
    """Complete an object, after the type's `is_type_of` unless the answer is known for its class."""
    if function.is_known_class(value):
        return function.execute(run, value, path)
    if function.type.is_type_of:
        belongs = function.type.is_type_of(value, run.info(field, field_path(path)))
        if run.is_awaitable(belongs):
            return _complete_object_when_known(run, field, function, path, value, belongs)
        if not belongs:
            raise invalid_return_type_error(function.type, value, field.details)
    function.learn_class(value)
    return _execute_object(run, field, function, path, value)


async def _complete_object_when_known(
    run: PlanRun, field: Field, function: "ObjectFunction", path: ThinPath, value: Any, belongs: Any
) -> Any:
    """Complete an object whose `is_type_of` is asynchronous."""
    if not await belongs:
        raise invalid_return_type_error(function.type, value, field.details)
    completed = _execute_object(run, field, function, path, value)
    return await completed if run.is_awaitable(completed) else completed


def _execute_object(run: PlanRun, field: Field, function: "ObjectFunction", path: ThinPath, value: Any) -> Any:
    """Execute the fields of an object; graphql-core executes those of a row of another type."""
    if function.is_foreign_row(value):
        return execute_by_graphql_core(function, field.details)(run, value, path)
    return function.execute(run, value, path)


def _abstract_completer(compilation: "Compilation", field: Field, type_: GraphQLAbstractType) -> Complete:
    """Complete interfaces and unions: a function is compiled for each concrete type when it first occurs."""
    functions_by_class: dict[type, ObjectFunction] = {}

    def complete_as(run: PlanRun, path: ThinPath, value: Any, info: Any, name: Any) -> Any:
        concrete = run.ensure_valid_runtime_type(name, type_, field.details, info, value)
        function = compilation.concrete_function(concrete, field.details)
        completed = _complete_object(run, field, function, path, value)
        by_class = resolves_by_class(type_.resolve_type, type(value)) and function.is_known_class(value)
        if by_class and compilation.is_cached(function, field.details):
            functions_by_class[type(value)] = function
        return completed

    async def complete_later(run: PlanRun, path: ThinPath, value: Any, info: Any, name: Any) -> Any:
        completed = complete_as(run, path, value, info, await name)
        return await completed if run.is_awaitable(completed) else completed

    def complete(run: PlanRun, path: ThinPath, value: Any) -> Any:
        cached = functions_by_class.get(type(value))
        if cached is not None and not hasattr(value, CAST):
            return cached.execute(run, value, path)
        info = run.info(field, field_path(path))
        name = (type_.resolve_type or run.type_resolver)(value, info, type_)
        if run.is_awaitable(name):
            return complete_later(run, path, value, info, name)
        return complete_as(run, path, value, info, name)

    return complete


def execute_by_graphql_core(function: "ObjectFunction", details: FieldDetailsList) -> Any:
    """A function with the signature of compiled code that executes a selection by graphql-core."""

    def execute(run: PlanRun, value: Any, path: ThinPath | None) -> Any:
        linked_path = core_path(path)
        assert linked_path is not None  # noqa: S101 - the root is always compiled
        return run.collect_and_execute_subfields(function.type, details, linked_path, value, None)

    return execute
