"""Resolvers of Strawberry fields, called as Strawberry calls them, with everything constant computed in advance.

Only for fields without arguments to convert; `execution/strawberry_fields.py` decides which fields come here.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import strawberry
from graphql import GraphQLSchema
from strawberry.extensions import FieldExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.types.base import StrawberryOptional
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from execution.strawberry_private import extension_calls, strawberry_definition, with_info

_UNCONVERTED_TYPES = (str, int, float, bool, strawberry.ID)


def direct_call(
    definition: StrawberryField,
    resolver: StrawberryResolver[Any],
    schema: GraphQLSchema,
    original: Callable[..., Any],
    *,
    is_async: bool,
) -> Callable[..., Any] | None:
    """A function that resolves the field as Strawberry's resolver `original` does; None where only that one can.

    `is_async` means that `original` is a coroutine function. It is called where an argument must be converted.
    """
    owner = strawberry_definition(schema)
    if not isinstance(owner, strawberry.Schema) or not callable(resolver.wrapped_func):
        return None
    if resolver.parent_parameter or resolver.root_parameter:
        return None
    if resolver.info_parameter and resolver.info_parameter.name != "info":
        return None
    if any(type(extension).map_arguments is not FieldExtension.map_arguments for extension in definition.extensions):
        return None
    names, converted = _argument_names(definition, owner.config)
    if names is None:
        return None
    takes_self, takes_info = bool(resolver.self_parameter), bool(resolver.info_parameter)
    base = _base_call(resolver.wrapped_func, takes_self=takes_self, takes_info=takes_info)
    call = _with_extensions(base, names, extension_calls(definition))
    direct = with_info(definition, owner.config.info_class, call, is_async=is_async)
    return _unless_converted(converted, direct, original, is_async=is_async) if converted else direct


def _argument_names(
    definition: StrawberryField, config: StrawberryConfig
) -> tuple[dict[str, str] | None, frozenset[str]]:
    """The Python names of the arguments, and the arguments to convert when they have a value.

    None instead of the names when there is an argument that must always be converted.
    """
    names: dict[str, str] = {}
    converted: set[str] = set()
    for argument in definition.arguments:
        type_: Any = argument.type
        name = config.name_converter.from_argument(argument)
        optional = type(type_) is StrawberryOptional  # and not its subclass Maybe, whose values are wrapped
        if optional:
            type_ = type_.of_type
        if type_ not in _UNCONVERTED_TYPES and not isinstance(type_, StrawberryEnumDefinition):
            if not optional:
                return None, frozenset()
            converted.add(name)
        names[name] = argument.python_name
    return names, frozenset(converted)


def _unless_converted(
    names: frozenset[str], direct: Callable[..., Any], original: Callable[..., Any], *, is_async: bool
) -> Callable[..., Any]:
    """The direct call, or Strawberry's own resolver where one of these arguments has a value."""

    def call(source: Any, info: Any, /, **arguments: Any) -> Any:
        for name in names:
            if arguments.get(name) is not None:
                return original(source, info, **arguments)
        return direct(source, info, **arguments)

    async def call_async(source: Any, info: Any, /, **arguments: Any) -> Any:
        return await call(source, info, **arguments)

    return call_async if is_async else call


def _base_call(function: Callable[..., Any], *, takes_self: bool, takes_info: bool) -> Callable[..., Any]:
    """The call of the resolver itself."""

    def call(source: Any, info: Any, arguments: dict[str, Any]) -> Any:
        if takes_info:
            arguments["info"] = info
        return function(source, **arguments) if takes_self else function(**arguments)

    return call


def _with_extensions(base: Callable[..., Any], names: dict[str, str], extensions: list[Any]) -> Callable[..., Any]:
    """The call of the resolver inside its extensions, the last one outermost."""
    renamed = list(names.items()) if any(name != python for name, python in names.items()) else None

    def call(source: Any, info: Any, arguments: dict[str, Any]) -> Any:
        if renamed is not None:
            arguments = {python: arguments[name] for name, python in renamed if name in arguments}
        if not extensions:
            return base(source, info, arguments)

        def resolve(_source: Any, info: Any, **arguments: Any) -> Any:
            return base(source, info, arguments)

        for extension in extensions:
            resolve = partial(extension, resolve)
        return resolve(source, info, **arguments)

    return call
