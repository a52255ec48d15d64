"""Related values of objects, which are read only when they are selected."""

from collections.abc import Awaitable
from typing import Generic, TypeVar, cast
from uuid import UUID

import strawberry

K = TypeVar("K")
V = TypeVar("V")


class Relation(Generic[K, V]):
    """A value of each object, by a key of the object: read for all objects of a response in one statement.

    The schema declares it, with its type, under the name of its field; `resolvers.relations.relation` declares how it
    is read.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def of(self, info: strawberry.Info, key: K, *arguments: object) -> Awaitable[V]:
        """The value for the key; objects of one response with equal arguments are read together."""
        related: Awaitable[V] = info.context.load(self, key, *arguments)
        return related


def key_of(node: object, column: str = "id") -> UUID:
    """The UUID in a column of the row that a node is read from; the schema has the global id instead."""
    return cast("UUID", getattr(node, column))


def key_or_none(node: object, column: str) -> UUID | None:
    """The same for a column that may be NULL."""
    return cast("UUID | None", getattr(node, column))


def known(node: object, name: str) -> object | None:
    """The value that was read together with the row under that name; None if it was not."""
    value: object | None = getattr(node, name, None)
    return value
