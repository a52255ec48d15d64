"""An object type's part of a plan, and which values it takes without asking."""

from collections.abc import Callable
from enum import Enum
from types import NoneType
from typing import Any

from graphql import GraphQLObjectType
from graphql.pyutils.undefined import UndefinedType

from execution.rows import READERS, RowReader, readers_of
from execution.run import Field, Run
from execution.strawberry_fields import decides_by_class, definition_of
from execution.strawberry_private import CAST

MOST_CLASSES = 64
UNLIKE_PLAIN = ("__await__", "__aiter__", "__getattr__", "__call__")


class ObjectPlan:
    """The selection of one object type; `execute` gives its fields, or a coroutine of them."""

    __slots__ = ("by_class", "cast", "execute", "name", "plain", "rows", "selected", "type")

    def __init__(self, type_: GraphQLObjectType, name: str) -> None:
        self.type = type_
        self.name = name
        self.execute: Callable[[Run, Any, Any], Any] = unwritten
        self.by_class = decides_by_class(type_)
        self.cast = type_.is_type_of is not None
        self.plain: set[type] = set()
        self.selected: dict[str, Field] = {}
        definition = definition_of(type_)
        self.rows: list[RowReader] = readers_of(definition) if definition is not None else []

    def knows(self, value: object) -> bool:
        """Whether values of this class are objects of the type, as one has been before."""
        return type(value) in self.plain and not (self.cast and hasattr(value, CAST))

    def foreign(self, value: object) -> bool:
        """Whether it is a row of another type: then its columns are not known here."""
        reader = READERS.get(type(value))
        return reader is not None and reader not in self.rows

    def learn(self, value: object) -> None:
        """Take values of this class for objects of the type from now on, where nothing but the class decides."""
        if not self.by_class or type(value) in self.plain or len(self.plain) >= MOST_CLASSES or self.foreign(value):
            return
        if is_plain(type(value)) and not (self.cast and hasattr(value, CAST)):
            self.plain.add(type(value))


def unwritten(_run: Run, _value: Any, _path: Any) -> Any:
    """Stands where the generated function will be."""
    raise AssertionError("the plan is not complete")


def is_plain(cls: type) -> bool:
    """Whether instances can be nothing but objects to read: no awaitable, no error, no callable, no null."""
    if issubclass(cls, BaseException | NoneType | UndefinedType | Enum | type):
        return False
    if any(name in base.__dict__ for base in cls.__mro__ for name in UNLIKE_PLAIN):
        return False
    return not any("__getattribute__" in base.__dict__ for base in cls.__mro__ if base.__module__ != "builtins")
