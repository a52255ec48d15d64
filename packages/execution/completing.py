"""Completing whatever a resolver may give, after the specification's CompleteValue, as graphql-core does it.

The generated code handles the usual values itself; what it does not recognise at a glance comes here.
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

from execution.paths import Thin, keys, of_field, real
from execution.positions import Complete, Position, fail_at, guarded, later, settle_at
from execution.run import Field, Run, join_items

if TYPE_CHECKING:
    from execution.compiling import Compilation
    from execution.objects import ObjectPlan


def completer(compilation: "Compilation", field: Field, type_: GraphQLOutputType) -> Complete:
    """How values of the type are completed at that field."""
    if is_non_null_type(type_):
        return required(field, completer(compilation, field, type_.of_type), type_)
    inner = completer_of_present(compilation, field, type_)

    def complete(run: Run, path: Thin, value: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        if value is None or value is Undefined:
            return None
        return inner(run, path, value)

    return complete


def required(field: Field, inner: Complete, _type: GraphQLNonNull[Any]) -> Complete:
    """Null is an error."""

    def complete(run: Run, path: Thin, value: Any) -> Any:
        completed = inner(run, path, value)
        if completed is None:
            raise TypeError(f"Cannot return null for non-nullable field {field.parent}.{field.name}.")
        return completed

    return complete


def completer_of_present(compilation: "Compilation", field: Field, type_: GraphQLOutputType) -> Complete:
    """How values that are neither null nor an error are completed."""
    if is_list_type(type_):
        return completer_of_list(compilation, field, type_)
    if is_leaf_type(type_):
        return completer_of_leaf(type_)
    if is_abstract_type(type_):
        return completer_of_abstract(compilation, field, type_)
    assert isinstance(type_, GraphQLObjectType)  # noqa: S101 - there is no other output type
    plan = compilation.object_of(type_, field.details)
    return lambda run, path, value: complete_object(run, field, plan, path, value)


def completer_of_leaf(type_: GraphQLLeafType) -> Complete:
    """Scalars and enums, by their own coercion."""
    return lambda _run, _path, value: checked(type_, value, type_.coerce_output_value(value))


def checked(type_: GraphQLLeafType, value: Any, coerced: Any) -> Any:
    """What coercion gave; raises `TypeError` when that is nothing."""
    if coerced is Undefined or coerced is None:
        raise TypeError(
            f"Expected `{inspect(type_)}.coerce_output_value({inspect(value)})` to return non-nullable value,"
            f" returned: {inspect(coerced)}"
        )
    return coerced


def settle_made(run: Run, position: Position, path: Thin | None, made: Any, scalar: tuple[Any, Any]) -> Any:
    """What a custom scalar made of a value, when it is nothing that is obviously data."""
    if run.is_awaitable(made):
        return guarded(run, position, (path, position.key, position.parent), made)
    return checked(*scalar, made)


def settle_made_item(run: Run, position: Position, path: Thin, index: int, made: Any, scalar: tuple[Any, Any]) -> Any:
    """The same for an item of a list."""
    if run.is_awaitable(made):
        return guarded(run, position, (path, index, None), made)
    return checked(*scalar, made)


def completer_of_list(compilation: "Compilation", field: Field, type_: GraphQLList[Any]) -> Complete:
    """Lists: anything iterable, also asynchronously."""
    item, name = compilation.list_of(field, type_)

    def complete(run: Run, path: Thin, value: Any) -> Any:
        if run.is_async_iterable(value):
            return complete_stream(run, item, path, run.cancellable_iterable(value).__aiter__())
        if not is_iterable(value):
            raise GraphQLError(f"Expected Iterable, but did not find one for field '{field.parent}.{field.name}'.")
        return compilation.namespace[name](run, path, value)

    return complete


async def complete_stream(run: Run, item: Position, path: Thin, iterator: AsyncIterator[Any]) -> list[Any]:
    """The list of what an asynchronous iterator gives."""
    items: list[Any] = []
    waiting: list[int] = []
    try:
        while True:
            try:
                value = await anext(iterator)
            except StopAsyncIteration:
                break
            except Exception as error:
                raise located_error(error, item.nodes, keys(path)) from error
            completed = complete_item(run, item, (path, len(items), None), value)
            if run.is_awaitable(completed):
                waiting.append(len(items))
            items.append(completed)
    except Exception:
        if hasattr(iterator, "aclose"):
            with suppress(Exception):
                await iterator.aclose()
        run.abandon(items)
        raise
    return await join_items(items, waiting) if waiting else items


def complete_item(run: Run, item: Position, path: Thin, value: Any) -> Any:
    """One item, its errors handled."""
    if run.is_awaitable(value):
        return later(run, item, path, value)
    try:
        return settle_at(run, item, path, value)
    except Exception as error:  # noqa: BLE001 - whatever a resolver raises is an error of the item
        return fail_at(run, item, path, error)


def abandon_items(run: Run, items: list[Any], rest: Iterator[Any]) -> None:
    """Let the items that were started end by themselves, also those that the list still holds."""
    started: list[Any] = [item for item in items if type(item) is CoroutineType and run.awaits]
    with suppress(Exception):
        started.extend(item for item in rest if run.is_awaitable(item))
    if started:
        run.settle_in_background(started)


def complete_object(run: Run, field: Field, plan: "ObjectPlan", path: Thin, value: Any) -> Any:
    """An object, after asking whether it is of the type, unless that is known of its class."""
    if plan.knows(value):
        return plan.execute(run, value, path)
    if plan.type.is_type_of:
        belongs = plan.type.is_type_of(value, run.info(field, of_field(path)))
        if run.is_awaitable(belongs):
            return complete_object_later(run, field, plan, path, value, belongs)
        if not belongs:
            raise invalid_return_type_error(plan.type, value, field.details)
    plan.learn(value)
    return execute_object(run, field, plan, path, value)


async def complete_object_later(
    run: Run, field: Field, plan: "ObjectPlan", path: Thin, value: Any, belongs: Any
) -> Any:
    """An object whose type takes time to tell."""
    if not await belongs:
        raise invalid_return_type_error(plan.type, value, field.details)
    completed = execute_object(run, field, plan, path, value)
    return await completed if run.is_awaitable(completed) else completed


def execute_object(run: Run, field: Field, plan: "ObjectPlan", path: Thin, value: Any) -> Any:
    """The fields of an object, or by graphql-core those of a row that belongs to another type."""
    if plan.foreign(value):
        return execute_by_graphql_core(plan, field.details)(run, value, path)
    return plan.execute(run, value, path)


def completer_of_abstract(compilation: "Compilation", field: Field, type_: GraphQLAbstractType) -> Complete:
    """Interfaces and unions: each concrete type gets a plan of its own when the first value of it comes."""

    def complete_as(run: Run, path: Thin, value: Any, info: Any, name: Any) -> Any:
        concrete = run.ensure_valid_runtime_type(name, type_, field.details, info, value)
        plan = compilation.object_on_demand(concrete, field.details)
        return complete_object(run, field, plan, path, value)

    async def complete_later(run: Run, path: Thin, value: Any, info: Any, name: Any) -> Any:
        completed = complete_as(run, path, value, info, await name)
        return await completed if run.is_awaitable(completed) else completed

    def complete(run: Run, path: Thin, value: Any) -> Any:
        info = run.info(field, of_field(path))
        name = (type_.resolve_type or run.type_resolver)(value, info, type_)
        if run.is_awaitable(name):
            return complete_later(run, path, value, info, name)
        return complete_as(run, path, value, info, name)

    return complete


def execute_by_graphql_core(plan: "ObjectPlan", details: FieldDetailsList) -> Any:
    """Executes a selection that is not worth compiling; for the rest of the plan it looks like compiled code."""

    def execute(run: Run, value: Any, path: Thin | None) -> Any:
        at = real(path)
        assert at is not None  # noqa: S101 - the root is always compiled
        return run.collect_and_execute_subfields(plan.type, details, at, value, None)

    return execute
