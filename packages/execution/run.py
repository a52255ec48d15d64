"""The state of one execution of a plan, in addition to that of graphql-core's `Executor`."""

import asyncio
from collections.abc import Awaitable, Coroutine, Iterable, Mapping, Sequence
from types import CoroutineType
from typing import Any, ClassVar, Final, NamedTuple

from graphql import FieldNode, GraphQLField, GraphQLObjectType, GraphQLOutputType, GraphQLResolveInfo, Undefined
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetailsList
from graphql.execution.values import get_argument_values

from execution.paths import ThinPath, core_path, new_tuple

_FIELD_ENTRIES: Final = 5  # the first entries of a GraphQLResolveInfo differ by field, the others by execution


class PreparedArgument(NamedTuple):
    """An argument: its name for the resolver, its variable if it is one, and its value or default."""

    name: str
    variable: str | None
    value: Any
    required: bool
    non_null: bool


class Field:
    """A field of a plan, with everything that is the same in each execution."""

    __slots__ = (
        "constant_arguments",
        "definition",
        "details",
        "key",
        "name",
        "nodes",
        "parent",
        "prepared_arguments",
        "type",
    )

    def __init__(
        self,
        key: str,
        details: FieldDetailsList,
        nodes: list[FieldNode],
        definition: GraphQLField,
        parent: GraphQLObjectType,
    ) -> None:
        self.key = key
        self.details = details
        self.nodes = nodes
        self.name = nodes[0].name.value
        self.definition = definition
        self.parent = parent
        self.type: GraphQLOutputType = definition.type
        self.constant_arguments: dict[str, Any] | None = None
        self.prepared_arguments: tuple[PreparedArgument, ...] | None = None


class PlanRun(Executor[Any]):
    """One execution by compiled code.

    `encoder_scalars` names custom scalars whose values the caller's encoder serializes as the scalar does: plans put
    values of exactly that class into `data` without coercion. `{"DateTime": datetime}` is for orjson and a scalar
    that returns `isoformat()`; `data` must then be encoded by such an encoder.
    """

    encoder_scalars: ClassVar[Mapping[str, type]] = {}
    encoder_scalars_key: ClassVar[tuple[tuple[str, type], ...]] = ()
    overrides_execution: ClassVar[bool] = False  # whether a subclass overrides methods that generated code replaces
    info_class: type[GraphQLResolveInfo[Any]] | None = None
    info_rest: tuple[Any, ...] = ()
    finished = False  # the result was returned; background tasks may still run

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.encoder_scalars_key = tuple(cls.encoder_scalars.items())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.awaits = True

    def info(self, field: Field, path: ThinPath) -> GraphQLResolveInfo[Any]:
        """The info for a resolver. graphql-core or Strawberry makes the first one; the others are copies of it."""
        if self.info_class is None:
            linked_path = core_path(path)
            assert linked_path is not None  # noqa: S101 - a field has a path
            info = self.build_resolve_info(field.definition, field.nodes, field.parent, linked_path)
            if self.finished:
                return info  # it refers to this executor by its helpers: storing it now would make a reference cycle
            self.info_class = type(info)
            self.info_rest = tuple(info)[_FIELD_ENTRIES:]
            return info
        own = (field.name, field.nodes, field.type, field.parent, core_path(path))
        copied: GraphQLResolveInfo[Any] = new_tuple(self.info_class, own + self.info_rest)
        return copied

    def arguments(self, field: Field) -> dict[str, Any]:
        """The coerced arguments of a field; raises `GraphQLError` for invalid ones."""
        prepared = field.prepared_arguments
        values = _build_arguments(prepared, self.variable_values.coerced) if prepared is not None else None
        if values is not None:
            return values
        return get_argument_values(
            field.definition, field.nodes[0], self.variable_values, None, self.hide_suggestions
        )

    def abandon(self, values: Iterable[Any]) -> None:
        """Let coroutines among the values end in the background: an error has replaced their results."""
        started: list[Awaitable[Any]] = [value for value in values if type(value) is CoroutineType]
        if started and self.awaits:
            self.settle_in_background(started)


def _build_arguments(prepared: tuple[PreparedArgument, ...], variables: dict[str, Any]) -> dict[str, Any] | None:
    """The values of prepared arguments; None when one is invalid, for which graphql-core then raises the error."""
    values: dict[str, Any] = {}
    for name, variable, value, required, non_null in prepared:
        if variable is not None and variable in variables:
            argument = variables[variable]
            if argument is None and non_null:
                return None
            values[name] = argument
        elif value is not Undefined:
            values[name] = value
        elif required:
            return None
    return values


def join_fields(run: PlanRun, fields: dict[str, Any]) -> Any:
    """An object's fields, or a coroutine of them where some are coroutines."""
    waiting = [key for key, value in fields.items() if type(value) is CoroutineType]
    return _await_fields(fields, waiting) if waiting and run.awaits else fields


async def _await_fields(fields: dict[str, Any], waiting: list[str]) -> dict[str, Any]:
    """Await the fields that are coroutines, together."""
    if len(waiting) == 1:
        fields[waiting[0]] = await fields[waiting[0]]
        return fields
    values = await gather_or_cancel(fields[key] for key in waiting)
    fields.update(zip(waiting, values, strict=True))
    return fields


def join_items(run: PlanRun, items: list[Any]) -> Any:
    """A list, or a coroutine of it where some items are coroutines."""
    waiting = [index for index, item in enumerate(items) if type(item) is CoroutineType]
    return await_items(items, waiting) if waiting and run.awaits else items


async def await_items(items: list[Any], waiting: list[int]) -> list[Any]:
    """Await the items that are coroutines, together."""
    if len(waiting) == 1:
        items[waiting[0]] = await items[waiting[0]]
        return items
    values = await gather_or_cancel(items[index] for index in waiting)
    for index, value in zip(waiting, values, strict=True):
        items[index] = value
    return items


async def gather_or_cancel(coroutines: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """The values; at the first error, or when cancelled, cancels the others, awaits their end and raises.

    Unlike graphql-core's `gather_with_cancel` it also cancels when the caller is cancelled, and keeps no reference to
    the tasks: the error's traceback refers to this frame, and the tasks to the error, which would make a cycle.
    """
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        return await asyncio.gather(*tasks)
    except (Exception, asyncio.CancelledError):
        _cancel(tasks)
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    finally:
        tasks.clear()


def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel the tasks not yet cancelled; a second cancellation would interrupt their clean-up."""
    for task in tasks:
        if not task.done() and not task.cancelling():
            task.cancel()


def execute_serially(run: PlanRun, source: object, steps: Sequence[tuple[str, Any]]) -> Any:
    """Execute fields one after the other: each starts when the one before has completed."""
    fields: dict[str, Any] = {}
    for index, (key, step) in enumerate(steps):
        value = step(run, source, None)
        if type(value) is CoroutineType and run.awaits:
            return _continue_serially(run, source, steps[index + 1 :], fields, key, value)
        fields[key] = value
    return fields


async def _continue_serially(
    run: PlanRun, source: object, steps: Sequence[tuple[str, Any]], fields: dict[str, Any], key: str, first: Any
) -> dict[str, Any]:
    """Await the first field, then execute the others."""
    fields[key] = await first
    for following, step in steps:
        value = step(run, source, None)
        fields[following] = await value if type(value) is CoroutineType and run.awaits else value
    return fields
