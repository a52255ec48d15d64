"""The state of one execution, on top of what graphql-core's `Executor` keeps of it."""

import asyncio
from collections.abc import Awaitable, Coroutine, Iterable, Mapping, Sequence
from types import CoroutineType
from typing import Any, ClassVar, Final, NamedTuple

from graphql import FieldNode, GraphQLField, GraphQLObjectType, GraphQLOutputType, GraphQLResolveInfo, Undefined
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetailsList
from graphql.execution.values import get_argument_values

from execution.paths import Thin, new, real

OF_THE_FIELD: Final = 5  # the first entries of a GraphQLResolveInfo differ by field, the others by execution


class Ingredient(NamedTuple):
    """An argument: its name for the resolver, the variable it is, and its value where no variable is given."""

    name: str
    variable: str | None
    value: Any
    needed: bool
    never_null: bool


class Field:
    """A field of a plan: what is the same each time it is executed."""

    __slots__ = ("arguments", "definition", "details", "key", "name", "nodes", "parent", "recipe", "type")

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
        self.arguments: dict[str, Any] | None = None
        self.recipe: tuple[Ingredient, ...] | None = None


class Run(Executor[Any]):
    """An execution by compiled code.

    `natives` names custom scalars whose values the caller's encoder writes as the scalar would: plans leave values of
    exactly that class in the data as they are. `{"DateTime": datetime}` suits orjson and a scalar that answers
    `isoformat()`; what `data` then holds is for such an encoder alone.
    """

    natives: ClassVar[Mapping[str, type]] = {}
    natives_key: ClassVar[tuple[tuple[str, type], ...]] = ()
    altered: ClassVar[bool] = False  # whether a subclass overrides what generated code stands in for
    info_class: type[GraphQLResolveInfo[Any]] | None = None
    info_rest: tuple[Any, ...] = ()
    over = False  # the result is out; what was started may still run

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.natives_key = tuple(cls.natives.items())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.awaits = True

    def info(self, field: Field, path: Thin) -> GraphQLResolveInfo[Any]:
        """What a resolver is told. The first is made by graphql-core (or Strawberry), the others after its model."""
        if self.info_class is None:
            at = real(path)
            assert at is not None  # noqa: S101 - a field has a path
            info = self.build_resolve_info(field.definition, field.nodes, field.parent, at)
            if self.over:
                return info  # it has helpers that refer to this executor, which nobody lets go of any more
            self.info_class = type(info)
            self.info_rest = tuple(info)[OF_THE_FIELD:]
            return info
        own = (field.name, field.nodes, field.type, field.parent, real(path))
        made: GraphQLResolveInfo[Any] = new(self.info_class, own + self.info_rest)
        return made

    def arguments(self, field: Field) -> dict[str, Any]:
        """The arguments of a field; raises `GraphQLError` when they do not fit."""
        values = looked_up(field.recipe, self.variable_values.coerced) if field.recipe is not None else None
        if values is not None:
            return values
        return get_argument_values(
            field.definition, field.nodes[0], self.variable_values, None, self.hide_suggestions
        )

    def abandon(self, values: Iterable[Any]) -> None:
        """Let what was started among the values end by itself: an error has already answered in its place."""
        started: list[Awaitable[Any]] = [value for value in values if type(value) is CoroutineType]
        if started and self.awaits:
            self.settle_in_background(started)


def looked_up(recipe: tuple[Ingredient, ...], variables: dict[str, Any]) -> dict[str, Any] | None:
    """Arguments by a recipe; None when one of them does not fit, which graphql-core is to say."""
    values: dict[str, Any] = {}
    for name, variable, value, needed, never_null in recipe:
        if variable is not None and variable in variables:
            given = variables[variable]
            if given is None and never_null:
                return None
            values[name] = given
        elif value is not Undefined:
            values[name] = value
        elif needed:
            return None
    return values


def joined(run: Run, fields: dict[str, Any]) -> Any:
    """An object's fields, or a coroutine of them where some take time."""
    waiting = [key for key, value in fields.items() if type(value) is CoroutineType]
    return join(fields, waiting) if waiting and run.awaits else fields


async def join(fields: dict[str, Any], waiting: list[str]) -> dict[str, Any]:
    """An object's fields, once those that take time have come."""
    if len(waiting) == 1:
        fields[waiting[0]] = await fields[waiting[0]]
        return fields
    values = await gathered(fields[key] for key in waiting)
    fields.update(zip(waiting, values, strict=True))
    return fields


def joined_items(run: Run, items: list[Any]) -> Any:
    """A list, or a coroutine of it where some items take time."""
    waiting = [index for index, item in enumerate(items) if type(item) is CoroutineType]
    return join_items(items, waiting) if waiting and run.awaits else items


async def join_items(items: list[Any], waiting: list[int]) -> list[Any]:
    """A list, once those of its items that take time have come."""
    if len(waiting) == 1:
        items[waiting[0]] = await items[waiting[0]]
        return items
    values = await gathered(items[index] for index in waiting)
    for index, value in zip(waiting, values, strict=True):
        items[index] = value
    return items


async def gathered(coroutines: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Their values; at the first error the others are cancelled, and the error is raised when they have ended.

    So it is when the caller is cancelled. That is graphql-core's `gather_with_cancel`, but for this and for what it
    keeps: the error's traceback leads to this frame, and from here the tasks would lead to the error, in a circle.
    """
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        return await asyncio.gather(*tasks)
    except (Exception, asyncio.CancelledError):
        cancel(tasks)
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    finally:
        tasks.clear()


def cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel those that run and have not been cancelled: another time would interrupt their clean-up."""
    for task in tasks:
        if not task.done() and not task.cancelling():
            task.cancel()


def serially(run: Run, source: object, steps: Sequence[tuple[str, Any]]) -> Any:
    """Execute fields one after the other: the next one starts when the one before has come."""
    fields: dict[str, Any] = {}
    for index, (key, step) in enumerate(steps):
        value = step(run, source, None)
        if type(value) is CoroutineType and run.awaits:
            return serially_on(run, source, steps[index + 1 :], fields, key, value)
        fields[key] = value
    return fields


async def serially_on(
    run: Run, source: object, steps: Sequence[tuple[str, Any]], fields: dict[str, Any], key: str, first: Any
) -> dict[str, Any]:
    """Go on with the next fields once the first has come."""
    fields[key] = await first
    for following, step in steps:
        value = step(run, source, None)
        fields[following] = await value if type(value) is CoroutineType and run.awaits else value
    return fields
