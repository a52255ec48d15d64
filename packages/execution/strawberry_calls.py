"""Resolvers of Strawberry fields, called as Strawberry calls them, with what never changes worked out beforehand.

Only where no argument needs to be converted; `execution/strawberry_fields.py` says which fields are looked at here.
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

from execution.strawberry_private import definition_behind, extension_calls, with_info

AS_THEY_ARE = (str, int, float, bool, strawberry.ID)


def direct_call(
    definition: StrawberryField,
    resolver: StrawberryResolver[Any],
    schema: GraphQLSchema,
    strawberrys: Callable[..., Any],
    *,
    later: bool,
) -> Callable[..., Any] | None:
    """A function that resolves the field as Strawberry's own resolver does, or None where only that one can.

    `later` says that Strawberry's is a coroutine function. It is called where an argument has to be converted.
    """
    owner = definition_behind(schema)
    if not isinstance(owner, strawberry.Schema) or not callable(resolver.wrapped_func):
        return None
    if resolver.parent_parameter or resolver.root_parameter:
        return None
    if resolver.info_parameter and resolver.info_parameter.name != "info":
        return None
    if any(type(extension).map_arguments is not FieldExtension.map_arguments for extension in definition.extensions):
        return None
    names, converted = names_of_arguments(definition, owner.config)
    if names is None:
        return None
    takes_self, takes_info = bool(resolver.self_parameter), bool(resolver.info_parameter)
    base = base_call(resolver.wrapped_func, takes_self=takes_self, takes_info=takes_info)
    call = chained(base, names, extension_calls(definition))
    made = with_info(definition, owner.config.info_class, call, later=later)
    return unless_given(converted, made, strawberrys, later=later) if converted else made


def names_of_arguments(
    definition: StrawberryField, config: StrawberryConfig
) -> tuple[dict[str, str] | None, frozenset[str]]:
    """The Python names of the arguments, and those that are converted on their way unless they are left out or null.

    No names when there is an argument that is converted in any case.
    """
    names: dict[str, str] = {}
    converted: set[str] = set()
    for argument in definition.arguments:
        type_: Any = argument.type
        name = config.name_converter.from_argument(argument)
        optional = type(type_) is StrawberryOptional  # and not its subclass Maybe, whose values are wrapped
        if optional:
            type_ = type_.of_type
        if type_ not in AS_THEY_ARE and not isinstance(type_, StrawberryEnumDefinition):
            if not optional:
                return None, frozenset()
            converted.add(name)
        names[name] = argument.python_name
    return names, frozenset(converted)


def unless_given(
    names: frozenset[str], made: Callable[..., Any], strawberrys: Callable[..., Any], *, later: bool
) -> Callable[..., Any]:
    """The call, or Strawberry's own resolver where one of these arguments has a value."""

    def at_once(source: Any, info: Any, /, **given: Any) -> Any:
        for name in names:
            if given.get(name) is not None:
                return strawberrys(source, info, **given)
        return made(source, info, **given)

    async def in_time(source: Any, info: Any, /, **given: Any) -> Any:
        return await at_once(source, info, **given)

    return in_time if later else at_once


def base_call(function: Callable[..., Any], *, takes_self: bool, takes_info: bool) -> Callable[..., Any]:
    """The resolver itself."""

    def call(source: Any, info: Any, arguments: dict[str, Any]) -> Any:
        if takes_info:
            arguments["info"] = info
        return function(source, **arguments) if takes_self else function(**arguments)

    return call


def chained(base: Callable[..., Any], names: dict[str, str], extensions: list[Any]) -> Callable[..., Any]:
    """The resolver inside its extensions, the last one outermost."""
    renamed = list(names.items()) if any(name != python for name, python in names.items()) else None

    def call(source: Any, info: Any, given: dict[str, Any]) -> Any:
        if renamed is not None:
            given = {python: given[name] for name, python in renamed if name in given}
        if not extensions:
            return base(source, info, given)

        def resolve(_source: Any, info: Any, **arguments: Any) -> Any:
            return base(source, info, arguments)

        for extension in extensions:
            resolve = partial(extension, resolve)
        return resolve(source, info, **given)

    return call
