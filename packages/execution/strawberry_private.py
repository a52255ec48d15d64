"""What we know of Strawberry's inside, which it does not promise to keep. No other module of this room knows of it.

Strawberry's public hook, `execution_context_class`, is how plans get to run. To call a field's function without
Strawberry in between, one has to know how the field's resolver was made, and of that nothing public tells.
`tests/execution/test_strawberry_private.py` fails, and says what has changed, when an installed Strawberry is not so.
"""

import inspect
from collections.abc import Callable
from enum import Enum
from types import CoroutineType
from typing import Any, Final, Literal, TypeAlias

from graphql import GraphQLField, GraphQLResolveInfo
from graphql.execution import Executor
from strawberry.execution import optimized_is_awaitable
from strawberry.extensions.field_extension import build_field_extension_resolvers
from strawberry.schema.schema import Schema, StrawberryGraphQLCoreExecutionContext
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.cast import TYPE_CAST_ATTRIBUTE
from strawberry.types.field import StrawberryField

Made: TypeAlias = Literal["attribute", "call", "coroutine"]
CAST: Final = TYPE_CAST_ATTRIBUTE  # where `strawberry.cast` says what a value is
awaitable = optimized_is_awaitable  # what `Schema.execute` asks
StrawberryExecutor = StrawberryGraphQLCoreExecutionContext  # the `execution_context_class` of who sets none


class InfoMaker(Executor[Any]):
    """Makes infos as `StrawberryExecutor` does, without what that has for incremental delivery."""

    build_resolve_info = StrawberryExecutor.build_resolve_info

    def __init__(self, *args: Any, operation_extensions: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.operation_extensions = operation_extensions


def resolver_made(field: GraphQLField) -> Made | None:
    """What Strawberry made the field's resolver for: to read an attribute, or to call a function, at once or later.

    None where it is not Strawberry's, and where exceptions become values (the schema's `exception_handlers`).
    """
    resolve: Any = field.resolve
    if is_of_the_converter(resolve, "_get_basic_result"):
        return "attribute"
    if not is_of_the_converter(resolve, "_resolver", "_async_resolver"):
        return None
    cells = dict(zip(resolve.__code__.co_freevars, resolve.__closure__ or (), strict=True))
    handlers = cells.get("field_exception_handlers")
    if handlers is None or handlers.cell_contents:
        return None
    return "coroutine" if resolve.__name__ == "_async_resolver" else "call"


def is_of_the_converter(function: Any, *names: str) -> bool:
    """Whether the function is one of those names that Strawberry made while it converted the schema."""
    module = GraphQLCoreConverter.__module__
    return getattr(function, "__module__", "") == module and getattr(function, "__name__", "") in names


def tells_by_class(is_type_of: Any) -> bool:
    """Whether Strawberry made the test, which then looks at a value's class and at `CAST` alone."""
    return is_of_the_converter(is_type_of, "is_type_of")


def definition_behind(part: Any) -> Any:
    """Strawberry's definition of a part of a schema, or of the schema itself; None where it has none."""
    return part.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)


def enum_behind(type_: Any) -> type[Enum] | None:
    """The class whose members the type of an enum takes; None for any other type."""
    return getattr(type_, "wrapped_cls", None)


def extension_calls(definition: StrawberryField) -> list[Any]:
    """The functions of the field's extensions, the innermost first, as Strawberry calls them."""
    return build_field_extension_resolvers(definition)


def raw_info(info: Any) -> GraphQLResolveInfo[Any]:
    """graphql-core's info, of Strawberry's or of itself."""
    raw: GraphQLResolveInfo[Any] = getattr(info, "_raw_info", info)
    return raw


def with_info(definition: StrawberryField, info_class: Any, call: Callable[..., Any], *, later: bool) -> Any:
    """The call with Strawberry's info, in a coroutine where Strawberry's is."""

    def at_once(source: Any, info: Any, /, **given: Any) -> Any:
        return call(source, info_class(_raw_info=info, _field=definition), given)

    async def in_time(source: Any, info: Any, /, **given: Any) -> Any:
        result = call(source, info_class(_raw_info=info, _field=definition), given)
        return await result if type(result) is CoroutineType or inspect.isawaitable(result) else result

    return in_time if later else at_once


def says_no_to_streams(predicate: Any) -> bool:
    """Whether it is an `is_async_iterable` as `Schema.execute_sync` makes for each call, which says no to all."""
    return getattr(predicate, "__module__", None) == Schema.__module__
