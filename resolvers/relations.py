"""How relations of the schema are read: each declares its reader once, and all use the same kind of loader."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from strawberry.dataloader import DataLoader

from core.access.permissions import Permission
from core.database.scopes import Reader
from core.errors import NotFound
from core.listing.conditions import EVERYTHING, Condition
from core.listing.listing import Listing
from core.listing.pages import PageRequest
from resolvers.connections import connection_of
from schema.connections import Connection
from schema.relations import Relation

if TYPE_CHECKING:
    from resolvers.context import RequestContext

K = TypeVar("K")
V = TypeVar("V")
Read = Callable[..., Awaitable[Mapping[Any, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationReader:
    """How a relation is read, and the permission that it requires, if any."""

    read: Read
    optional: bool
    permission: Permission | None


RELATION_READERS: dict[Relation[Any, Any], RelationReader] = {}


def relation(
    declared: Relation[Any, Any],
    read: Read,
    *,
    optional: bool = False,
    permission: Permission | None = None,
) -> None:
    """Declare how a relation is read: by `read(reads, keys, *arguments)`, which returns rows by key.

    A key that is missing in its result is null with `optional`, else NOT_FOUND: the row was deleted after its id was
    read. A relation to a type of `node(id)` must require the permission of that type; for a caller without it the
    field has the error FORBIDDEN, and nothing is read.
    """
    RELATION_READERS[declared] = RelationReader(read=read, optional=optional, permission=permission)


def loader(context: "RequestContext", declared: Relation[K, V], arguments: tuple[object, ...]) -> DataLoader[K, V]:
    """A loader of the relation's values; raises `Forbidden` without the required permission.

    It has no cache, so that later events of a subscription, and fields after a mutation, read current values.
    """
    reader = RELATION_READERS[declared]
    if reader.permission is not None:
        context.caller.require(reader.permission)

    async def load(keys: list[K]) -> list[Any]:
        by_key = await reader.read(context.reads, list(dict.fromkeys(keys)), *arguments)
        if reader.optional:
            return [by_key.get(key) for key in keys]
        return [
            by_key[key] if key in by_key else NotFound("The object was deleted at the same time.") for key in keys
        ]

    return DataLoader(load_fn=load, cache=False)


def connections_of(
    listing: Listing[Any], counts_of: Callable[..., Awaitable[Mapping[UUID, int]]] | None = None
) -> Read:
    """A reader of the same page of each parent's rows; total counts are read for all parents together.

    `counts_of` replaces the listing's own count.
    """
    counted_by = counts_of or listing.counts_of

    async def read(
        reads: Reader, parents: Sequence[UUID], request: PageRequest, condition: Condition = EVERYTHING
    ) -> dict[UUID, Connection[Any]]:
        async def count(ids: list[UUID]) -> list[int]:
            counted = await counted_by(reads, ids, condition)
            return [counted[parent] for parent in ids]

        counts = DataLoader(load_fn=count)
        pages = await listing.pages_of(reads, parents, request, condition)
        return {parent: connection_of(page, partial(counts.load, parent)) for parent, page in pages.items()}

    return read
