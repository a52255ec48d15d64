"""The function of a plan for the selection on one object type, and the classes whose values need no `is_type_of`."""

from collections.abc import Callable
from enum import Enum
from types import NoneType
from typing import Any

from graphql import GraphQLObjectType
from graphql.pyutils.undefined import UndefinedType

from execution.rows import READERS_BY_ROW, RowReader, readers_of
from execution.run import Field, PlanRun
from execution.strawberry_fields import decides_by_class, definition_of
from execution.strawberry_private import CAST

MAX_CLASSES = 64
_SPECIAL_METHODS = ("__await__", "__aiter__", "__getattr__", "__call__")


class ObjectFunction:
    """Executes a selection on one object type: `execute` returns its fields, or a coroutine of them."""

    __slots__ = ("by_class", "checks_cast", "execute", "fields", "known_classes", "name", "row_readers", "type")

    def __init__(self, type_: GraphQLObjectType, name: str) -> None:
        self.type = type_
        self.name = name
        self.execute: Callable[[PlanRun, Any, Any], Any] = _not_compiled
        self.by_class = decides_by_class(type_)
        self.checks_cast = type_.is_type_of is not None
        self.known_classes: set[type] = set()
        self.fields: dict[str, Field] = {}
        definition = definition_of(type_)
        self.row_readers: list[RowReader] = readers_of(definition) if definition is not None else []

    def is_known_class(self, value: object) -> bool:
        """Whether values of this class are known to be objects of the type."""
        return type(value) in self.known_classes and not (self.checks_cast and hasattr(value, CAST))

    def is_foreign_row(self, value: object) -> bool:
        """Whether the value is a row of another type, whose columns this function does not know."""
        reader = READERS_BY_ROW.get(type(value))
        return reader is not None and reader not in self.row_readers

    def learn_class(self, value: object) -> None:
        """Skip `is_type_of` for values of this class from now on, where the class alone determines the type."""
        if not self.by_class or type(value) in self.known_classes or len(self.known_classes) >= MAX_CLASSES:
            return
        if self.is_foreign_row(value):
            return
        if _is_plain_class(type(value)) and not (self.checks_cast and hasattr(value, CAST)):
            self.known_classes.add(type(value))


def _not_compiled(_run: PlanRun, _value: Any, _path: Any) -> Any:
    """Placeholder until the generated function is compiled."""
    raise AssertionError("the function is not compiled")


def _is_plain_class(cls: type) -> bool:
    """Whether instances are ordinary objects: not awaitable, not an error, not callable, not null."""
    if issubclass(cls, BaseException | NoneType | UndefinedType | Enum | type):
        return False
    if any(name in base.__dict__ for base in cls.__mro__ for name in _SPECIAL_METHODS):
        return False
    return not any("__getattribute__" in base.__dict__ for base in cls.__mro__ if base.__module__ != "builtins")
