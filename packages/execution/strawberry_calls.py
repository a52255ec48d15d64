"""Resolvers of Strawberry fields, called as Strawberry calls them, with everything constant computed in advance.

Arguments that must be converted are left to Strawberry's resolver; `direct_call` returns None for a field that always
has such an argument.
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
    """A function that resolves the field as Strawberry's resolver `original` does; None if only `original` can.

    `original` is called if an argument must be converted. `is_async` means that it is a coroutine function.
    """
    strawberry_schema = strawberry_definition(schema)
    if not isinstance(strawberry_schema, strawberry.Schema) or not callable(resolver.wrapped_func):
        return None
    if resolver.parent_parameter or resolver.root_parameter:
        return None
    if resolver.info_parameter and resolver.info_parameter.name != "info":
        return None
    if any(type(extension).map_arguments is not FieldExtension.map_arguments for extension in definition.extensions):
        return None
    python_names, to_convert = _argument_names(definition, strawberry_schema.config)
    if python_names is None:
        return None
    takes_self, takes_info = bool(resolver.self_parameter), bool(resolver.info_parameter)
    base = _base_call(resolver.wrapped_func, takes_self=takes_self, takes_info=takes_info)
    call = _with_extensions(base, python_names, extension_calls(definition))
    direct = with_info(definition, strawberry_schema.config.info_class, call, is_async=is_async)
    return _unless_converted(to_convert, direct, original, is_async=is_async) if to_convert else direct


def _argument_names(
    definition: StrawberryField, config: StrawberryConfig
) -> tuple[dict[str, str] | None, frozenset[str]]:
    """The Python names of the arguments, and the arguments to convert when they have a value.

    None instead of the names when there is an argument that must always be converted.
    """
    python_names: dict[str, str] = {}
    to_convert: set[str] = set()
    for argument in definition.arguments:
        type_: Any = argument.type
        name = config.name_converter.from_argument(argument)
        optional = type(type_) is StrawberryOptional  # and not its subclass Maybe, whose values are wrapped
        if optional:
            type_ = type_.of_type
        if type_ not in _UNCONVERTED_TYPES and not isinstance(type_, StrawberryEnumDefinition):
            if not optional:
                return None, frozenset()
            to_convert.add(name)
        python_names[name] = argument.python_name
    return python_names, frozenset(to_convert)


def _unless_converted(
    to_convert: frozenset[str], direct: Callable[..., Any], original: Callable[..., Any], *, is_async: bool
) -> Callable[..., Any]:
    """The direct call, or Strawberry's own resolver if one of the arguments to convert has a value."""

    def call(source: Any, info: Any, /, **arguments: Any) -> Any:
        for name in to_convert:
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


def _with_extensions(
    base: Callable[..., Any], python_names: dict[str, str], extensions: list[Any]
) -> Callable[..., Any]:
    """The call of the resolver inside its extensions, the last one outermost."""
    renamed = list(python_names.items()) if any(name != python for name, python in python_names.items()) else None

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
