"""Reads by id, for all objects of an answer in one statement."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from strawberry.dataloader import DataLoader

from core.database.scopes import Reads
from core.errors import NotFound
from resolvers.context import RequestContext
from services.accounts import people
from services.accounts.people import Person

V = TypeVar("V")
Read = Callable[[Reads, Sequence[UUID]], Awaitable[Mapping[UUID, V]]]


def by_id(context: RequestContext, name: str, read: Read[V]) -> DataLoader[UUID, V]:
    """The operation's loader of that name. It remembers nothing: a later mutation of the operation reads anew."""

    async def load(ids: list[UUID]) -> list[V | BaseException]:
        found = await read(context.reads, list(dict.fromkeys(ids)))
        return [found[key] if key in found else NotFound("It was deleted a moment ago.") for key in ids]

    return context.loader(name, lambda: DataLoader(load_fn=load, cache=False))


def known_by_id(context: RequestContext, name: str, read: Read[V]) -> DataLoader[UUID, V | None]:
    """As `by_id`, with None for what is not there."""

    async def load(ids: list[UUID]) -> list[V | None]:
        found = await read(context.reads, list(dict.fromkeys(ids)))
        return [found.get(key) for key in ids]

    return context.loader(f"known {name}", lambda: DataLoader(load_fn=load, cache=False))


async def read_people(reads: Reads, ids: Sequence[UUID]) -> dict[UUID, Person]:
    """The tenant's people by id."""
    return await people.people_by_ids(reads, ids)
