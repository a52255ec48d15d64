"""All uses of Strawberry's private interface in this package.

Plans run through Strawberry's public hook `execution_context_class`. To call a field's function without Strawberry in
between, one must know how Strawberry made the field's resolver, for which there is no public interface.
`tests/execution/test_strawberry_private.py` fails with an explanation when an installed Strawberry differs.
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
from strawberry.types.base import get_object_definition
from strawberry.types.cast import TYPE_CAST_ATTRIBUTE
from strawberry.types.field import StrawberryField

ResolverKind: TypeAlias = Literal["attribute", "call", "coroutine"]
CAST: Final = TYPE_CAST_ATTRIBUTE  # the attribute in which `strawberry.cast` stores the type
strawberry_is_awaitable = optimized_is_awaitable  # the predicate of `Schema.execute`
StrawberryExecutor = StrawberryGraphQLCoreExecutionContext  # the default `execution_context_class`


class StrawberryInfoExecutor(Executor[Any]):
    """Makes infos as `StrawberryExecutor` does, without its state for incremental delivery."""

    build_resolve_info = StrawberryExecutor.build_resolve_info

    def __init__(self, *args: Any, operation_extensions: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.operation_extensions = operation_extensions


def resolver_kind(field: GraphQLField) -> ResolverKind | None:
    """What Strawberry made the field's resolver for: to read an attribute, or to call a function or a coroutine.

    None where it is not Strawberry's, and where exceptions become values (the schema's `exception_handlers`).
    """
    resolve: Any = field.resolve
    if _made_by_converter(resolve, "_get_basic_result"):
        return "attribute"
    if not _made_by_converter(resolve, "_resolver", "_async_resolver"):
        return None
    cells = dict(zip(resolve.__code__.co_freevars, resolve.__closure__ or (), strict=True))
    handlers = cells.get("field_exception_handlers")
    if handlers is None or handlers.cell_contents:
        return None
    return "coroutine" if resolve.__name__ == "_async_resolver" else "call"


def _made_by_converter(function: Any, *names: str) -> bool:
    """Whether the function has one of the names and was made by Strawberry's schema converter."""
    module = GraphQLCoreConverter.__module__
    return getattr(function, "__module__", "") == module and getattr(function, "__name__", "") in names


def checks_class_only(is_type_of: Any) -> bool:
    """Whether Strawberry made the test, which then depends on a value's class and on `CAST` alone."""
    return _made_by_converter(is_type_of, "is_type_of")


def resolves_by_class(resolve_type: Any, cls: type) -> bool:
    """Whether an interface's `resolve_type` returns the same type for all values of the class.

    Strawberry made it, and the class is of a type that is not generic. `CAST` comes before the class.
    """
    definition = get_object_definition(cls)
    by_definition = definition is not None and not definition.is_graphql_generic
    return by_definition and _made_by_converter(resolve_type, "resolve_type")


def strawberry_definition(part: Any) -> Any:
    """Strawberry's definition of a part of a schema, or of the schema itself; None where there is none."""
    return part.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)


def enum_class(type_: Any) -> type[Enum] | None:
    """The Python enum of an enum type; None for any other type."""
    return getattr(type_, "wrapped_cls", None)


def extension_calls(definition: StrawberryField) -> list[Any]:
    """The functions of the field's extensions, the innermost first, as Strawberry calls them."""
    return build_field_extension_resolvers(definition)


def raw_info(info: Any) -> GraphQLResolveInfo[Any]:
    """graphql-core's info, from Strawberry's or from itself."""
    raw: GraphQLResolveInfo[Any] = getattr(info, "_raw_info", info)
    return raw


def with_info(definition: StrawberryField, info_class: Any, call: Callable[..., Any], *, is_async: bool) -> Any:
    """The call with Strawberry's info, as a coroutine function when `is_async`."""

    def resolve(source: Any, info: Any, /, **arguments: Any) -> Any:
        return call(source, info_class(_raw_info=info, _field=definition), arguments)

    async def resolve_async(source: Any, info: Any, /, **arguments: Any) -> Any:
        result = call(source, info_class(_raw_info=info, _field=definition), arguments)
        return await result if type(result) is CoroutineType or inspect.isawaitable(result) else result

    return resolve_async if is_async else resolve


def is_constant_false(predicate: Any) -> bool:
    """Whether it is the `is_async_iterable` that `Schema.execute_sync` makes for each call, which is always false."""
    return getattr(predicate, "__module__", None) == Schema.__module__
