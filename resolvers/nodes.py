"""`node(id)` and `nodes(ids)`: one object of any type by its global id."""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import strawberry

from core.errors import ErrorCode, InvalidInput
from core.ids import decode_global_id
from core.permissions import Permission
from resolvers.context import Info
from resolvers.fields import Requires, query
from schema.nodes import Node

MOST_NODES = 100
Fetch = Callable[[Info, UUID], Awaitable[Node | None]]
Declared = TypeVar("Declared", bound=Fetch)
fetchers: dict[str, tuple[Permission, Fetch]] = {}


def fetches(type_name: str, permission: Permission) -> Callable[[Declared], Declared]:
    """Declare how `node(id)` reads objects of a type, and which permission it takes."""

    def declare(fetch: Declared) -> Declared:
        fetchers[type_name] = (permission, fetch)
        return fetch

    return declare


async def fetch_node(info: Info, value: str) -> Node | None:
    """The object behind a global id; None when unknown, another tenant's, or out of the caller's rights."""
    found = decode_global_id(value)
    if found is None or found[0] not in fetchers:
        return None
    permission, fetch = fetchers[found[0]]
    return await fetch(info, found[1]) if info.context.caller.may(permission) else None


@strawberry.type
class NodeQueries:
    @query(Requires(Permission.ORGANIZATION_READ))
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:  # noqa: A002 - Relay's name
        """The object behind a global id, or null when there is none for you."""
        return await fetch_node(info, id)

    @query(Requires(Permission.ORGANIZATION_READ))
    async def nodes(self, info: Info, ids: list[strawberry.ID]) -> list[Node | None]:
        """The objects behind up to 100 global ids, in their order, null where there is none for you."""
        if len(ids) > MOST_NODES:
            raise InvalidInput(
                f"At most {MOST_NODES} ids at once; you asked for {len(ids)}.",
                field=("ids",),
                code=ErrorCode.TOO_MANY,
            )
        return [await fetch_node(info, value) for value in ids]
