"""Lists of contacts."""

from collections.abc import Awaitable, Sequence
from functools import partial
from uuid import UUID

import strawberry
from strawberry.dataloader import DataLoader

from core.access.permissions import Permission
from core.listing.pages import page_request
from resolvers.connections import connection_of
from resolvers.context import Info, RequestContext
from resolvers.fields import Requires, mutation, query
from resolvers.nodes import fetches
from schema.connections import After, Before, First, Last
from schema.lists import (
    AddToListInput,
    AddToListPayload,
    CreateListInput,
    CreateListPayload,
    List,
    ListConnection,
    RemoveFromListInput,
    RemoveFromListPayload,
)
from schema.nodes import global_id, uuid_of
from schema.scalars import DateTime
from services import contacts, lists
from services.lists import ListRow


class ReadRelations:
    """What is read about lists only when selected, for all of an answer at once."""

    def __init__(self, context: RequestContext) -> None:
        self.context = context

    def contact_count(self, list_id: UUID) -> Awaitable[int]:
        """How many contacts are on it."""
        return self.context.loader("list_counts", lambda: DataLoader(self.counts)).load(list_id)

    async def counts(self, list_ids: Sequence[UUID]) -> list[int]:
        """The counts of lists, in their order."""
        found = await lists.member_counts(self.context.reads, list_ids)
        return [found[list_id] for list_id in list_ids]


def list_of(context: RequestContext, row: ListRow) -> List:
    """A list as the API shows it."""
    return List(
        id=global_id("List", row.id),
        key=row.id,
        relations=ReadRelations(context),
        name=row.name,
        description=row.description,
        created_at=DateTime(row.created_at),
    )


@fetches("List", Permission.LIST_READ)
async def fetch_lists(info: Info, list_ids: Sequence[UUID]) -> dict[UUID, List]:
    """Lists of the caller's organisation."""
    rows = await lists.LISTS.by_ids(info.context.reads, list_ids)
    return {list_id: list_of(info.context, row) for list_id, row in rows.items()}


def contact_ids(values: Sequence[str]) -> list[UUID | None]:
    """The UUIDs of contacts' global ids; None for what is none."""
    return [uuid_of("Contact", value) for value in values]


@strawberry.type
class ListQueries:
    @query(Requires(Permission.LIST_READ))
    async def lists(
        self, info: Info, first: First = None, last: Last = None, after: After = None, before: Before = None
    ) -> ListConnection:
        """The organization's lists, by name."""
        reads = info.context.reads
        page = await lists.LISTS.page(reads, page_request(first, last, after, before))
        return connection_of(page, partial(list_of, info.context), partial(lists.LISTS.count, reads))

    @query(Requires(Permission.LIST_READ))
    async def list(self, info: Info, id: strawberry.ID) -> List | None:  # noqa: A002 - Relay's name
        """One list by its id, or null when there is none."""
        list_id = uuid_of("List", id)
        row = await lists.LISTS.get(info.context.reads, list_id) if list_id else None
        return list_of(info.context, row) if row else None


@strawberry.type
class ListMutations:
    @mutation(Requires(Permission.LIST_WRITE), audit="list.created")
    async def create_list(self, info: Info, input: CreateListInput) -> CreateListPayload:  # noqa: A002 - the contract's name
        """Make an empty list."""
        async with info.context.work() as uow:
            row = await lists.create(uow, input.name, input.description)
        return CreateListPayload(found=list_of(info.context, row))

    @mutation(Requires(Permission.LIST_WRITE), audit="list_member.added")
    async def add_to_list(self, info: Info, input: AddToListInput) -> AddToListPayload:  # noqa: A002 - the same
        """Put up to 1,000 contacts on a list; those that are on it stay."""
        async with info.context.work() as uow:
            row = await lists.LISTS.require(uow, uuid_of("List", input.list_id))
            members = await contacts.require_all(uow, contact_ids(input.contact_ids))
            added = await lists.add_members(uow, row.id, members)
        return AddToListPayload(found=list_of(info.context, row), added=added)

    @mutation(Requires(Permission.LIST_WRITE), audit="list_member.removed")
    async def remove_from_list(self, info: Info, input: RemoveFromListInput) -> RemoveFromListPayload:  # noqa: A002 - the same
        """Take up to 1,000 contacts off a list; those that are not on it are passed over."""
        async with info.context.work() as uow:
            row = await lists.LISTS.require(uow, uuid_of("List", input.list_id))
            members = await contacts.require_all(uow, contact_ids(input.contact_ids))
            removed = await lists.remove_members(uow, row.id, members)
        return RemoveFromListPayload(found=list_of(info.context, row), removed=removed)
