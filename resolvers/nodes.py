"""`node(id)` and `nodes(ids)`: one object of any type by its global id."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from uuid import UUID

import strawberry

from core.access.permissions import Permission
from core.database.scopes import Reader
from core.errors import ErrorCode, InvalidInput
from core.ids import decode_global_id
from resolvers.context import Info
from resolvers.fields import Requires, query
from schema.nodes import Node

MAX_NODES = 100
Read = Callable[[Reader, Sequence[UUID]], Awaitable[Mapping[UUID, Any]]]


@dataclass(frozen=True, slots=True)
class NodeType:
    """A type of objects with global ids: its name, the permission to read it, and the function that reads by ids.

    `read` returns the rows by id, in one statement. A noun declares its types as `NODES`; the roots collect them.
    """

    name: str
    permission: Permission
    read: Read


NODE_TYPES: dict[str, NodeType] = {}


def collect_nodes(*declared: Sequence[NodeType]) -> None:
    """Let `node` and `nodes` find objects of these types; raises `ValueError` for a name that is taken."""
    for each in chain(*declared):
        if NODE_TYPES.setdefault(each.name, each) is not each:
            raise ValueError(f"{each.name} is declared twice")


async def _fetch_nodes(info: Info, values: Sequence[str]) -> list[Node | None]:
    """The objects with global ids; None for an unknown id, another tenant's, or one that the caller may not read."""
    keys = [decode_global_id(value) for value in values]
    ids_by_type: dict[str, list[UUID]] = {}
    for type_name, node_id in filter(None, dict.fromkeys(keys)):
        ids_by_type.setdefault(type_name, []).append(node_id)
    fetched: dict[tuple[str, UUID], Node] = {}
    for type_name, node_ids in ids_by_type.items():
        kind = NODE_TYPES.get(type_name)
        if kind is not None and info.context.caller.may(kind.permission):
            nodes = await kind.read(info.context.reads, node_ids)
            fetched |= {(type_name, node_id): node for node_id, node in nodes.items()}
    return [fetched.get(key) if key else None for key in keys]


@strawberry.type
class NodeQueries:
    @query(Requires(Permission.ORGANIZATION_READ))
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:  # noqa: A002 - Relay's name
        """An object by its ID, or `null` if it does not exist or you have no permission to read it."""
        return (await _fetch_nodes(info, [id]))[0]

    @query(Requires(Permission.ORGANIZATION_READ))
    async def nodes(self, info: Info, ids: list[strawberry.ID]) -> list[Node | None]:
        """Up to 100 objects by their IDs, in the same order, each `null` in the same cases as in `node`."""
        if len(ids) > MAX_NODES:
            raise InvalidInput(
                f"At most {MAX_NODES} ids in one call; this call has {len(ids)}.",
                field=("ids",),
                code=ErrorCode.TOO_MANY,
            )
        return await _fetch_nodes(info, ids)
