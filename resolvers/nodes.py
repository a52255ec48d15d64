"""`node(id)` and `nodes(ids)`: one object of any type by its global id."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

import strawberry

from core.access.permissions import Permission
from core.errors import ErrorCode, InvalidInput
from core.ids import decode_global_id
from resolvers.context import Info
from resolvers.fields import Requires, query
from schema.nodes import Node

MOST_NODES = 100
Fetch = Callable[[Info, Sequence[UUID]], Awaitable[Mapping[UUID, Node]]]
Declared = TypeVar("Declared", bound=Fetch)
fetchers: dict[str, tuple[Permission, Fetch]] = {}


def fetches(type_name: str, permission: Permission) -> Callable[[Declared], Declared]:
    """Declare how objects of a type are read by their ids, in one statement, and which permission it takes."""

    def declare(fetch: Declared) -> Declared:
        fetchers[type_name] = (permission, fetch)
        return fetch

    return declare


async def fetch_nodes(info: Info, values: Sequence[str]) -> list[Node | None]:
    """The objects behind global ids; None for an unknown one, another tenant's, or one out of the caller's rights."""
    keys = [decode_global_id(value) for value in values]
    wanted: dict[str, list[UUID]] = {}
    for type_name, node_id in filter(None, dict.fromkeys(keys)):
        wanted.setdefault(type_name, []).append(node_id)
    found: dict[tuple[str, UUID], Node] = {}
    for type_name, node_ids in wanted.items():
        if type_name in fetchers and info.context.caller.may(fetchers[type_name][0]):
            nodes = await fetchers[type_name][1](info, node_ids)
            found |= {(type_name, node_id): node for node_id, node in nodes.items()}
    return [found.get(key) if key else None for key in keys]


@strawberry.type
class NodeQueries:
    @query(Requires(Permission.ORGANIZATION_READ))
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:  # noqa: A002 - Relay's name
        """The object behind a global id, or null when there is none for you."""
        return (await fetch_nodes(info, [id]))[0]

    @query(Requires(Permission.ORGANIZATION_READ))
    async def nodes(self, info: Info, ids: list[strawberry.ID]) -> list[Node | None]:
        """The objects behind up to 100 global ids, in their order, null where there is none for you."""
        if len(ids) > MOST_NODES:
            raise InvalidInput(
                f"At most {MOST_NODES} ids at once; you asked for {len(ids)}.",
                field=("ids",),
                code=ErrorCode.TOO_MANY,
            )
        return await fetch_nodes(info, ids)
