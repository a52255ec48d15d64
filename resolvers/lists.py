"""Lists of contacts."""

from collections.abc import Sequence
from typing import Final, cast
from uuid import UUID

import strawberry

from core.access.permissions import Permission
from core.ids import global_ids
from core.listing.pages import page_request
from execution import Column, rows
from resolvers.context import Info
from resolvers.fields import Requires, mutation, query
from resolvers.listing import connection
from resolvers.nodes import NodeType
from resolvers.relations import relation
from schema.connections import After, Before, First, Last
from schema.lists import (
    LIST_CONTACT_COUNT,
    AddToListInput,
    AddToListPayload,
    CreateListInput,
    CreateListPayload,
    List,
    ListConnection,
    RemoveFromListInput,
    RemoveFromListPayload,
)
from schema.nodes import uuid_of
from services import lists
from services.contacts import tagging
from services.lists import LISTS, ListRow

rows.register(List, ListRow, ("id",), id=Column("id", global_ids("List")))
relation(LIST_CONTACT_COUNT, lists.member_counts)
NODES: Final = (NodeType("List", Permission.LIST_READ, LISTS.by_ids),)


def _list_of(row: ListRow) -> List:
    """The list of a row: the API's type is read from the row itself."""
    return cast("List", row)


def contact_ids(values: Sequence[str]) -> list[UUID | None]:
    """The UUIDs of contacts' global ids; None for an invalid one."""
    return [uuid_of("Contact", value) for value in values]


@strawberry.type
class ListQueries:
    @query(Requires(Permission.LIST_READ))
    async def lists(
        self, info: Info, first: First = None, last: Last = None, after: After = None, before: Before = None
    ) -> ListConnection:
        """The lists of the organization, sorted by name."""
        return await connection(info, LISTS, page_request(first, last, after, before))

    @query(Requires(Permission.LIST_READ))
    async def list(self, info: Info, id: strawberry.ID) -> List | None:  # noqa: A002 - Relay's name
        """A list by its ID, or `null` if it does not exist."""
        list_id = uuid_of("List", id)
        row = await LISTS.get(info.context.reads, list_id) if list_id else None
        return _list_of(row) if row else None


@strawberry.type
class ListMutations:
    @mutation(Requires(Permission.LIST_WRITE), audit="list.created")
    async def create_list(self, info: Info, input: CreateListInput) -> CreateListPayload:  # noqa: A002 - the contract's name
        """Create an empty list."""
        async with info.context.work() as uow:
            row = await lists.create(uow, input.name, input.description)
        return CreateListPayload(found=_list_of(row))

    @mutation(Requires(Permission.LIST_WRITE), audit="list_member.added")
    async def add_to_list(self, info: Info, input: AddToListInput) -> AddToListPayload:  # noqa: A002 - the same
        """Add up to 1,000 contacts to a list."""
        async with info.context.work() as uow:
            row = await LISTS.require(uow, uuid_of("List", input.list_id))
            members = await tagging.require_all(uow, contact_ids(input.contact_ids))
            added = await lists.add_members(uow, [row.id], members)
        return AddToListPayload(found=_list_of(row), added=added)

    @mutation(Requires(Permission.LIST_WRITE), audit="list_member.removed")
    async def remove_from_list(self, info: Info, input: RemoveFromListInput) -> RemoveFromListPayload:  # noqa: A002 - the same
        """Remove up to 1,000 contacts from a list. The contacts themselves are not deleted."""
        async with info.context.work() as uow:
            row = await LISTS.require(uow, uuid_of("List", input.list_id))
            members = await tagging.require_all(uow, contact_ids(input.contact_ids))
            removed = await lists.remove_members(uow, row.id, members)
        return RemoveFromListPayload(found=_list_of(row), removed=removed)
