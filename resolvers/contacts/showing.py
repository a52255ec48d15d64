"""A contact as the API shows it, and what is read about it only when selected."""

from collections.abc import Awaitable, Sequence
from typing import cast
from uuid import UUID

from strawberry.dataloader import DataLoader

from core.ids import global_ids
from core.listing.pages import Page, page_request
from execution import Column, rows
from models.contact_events import ContactEventKind
from models.contacts import ContactStatus
from resolvers.connections import page_info
from resolvers.context import RequestContext, reads_relations
from resolvers.lists import list_of
from schema.connections import Edge
from schema.contacts import Contact, ContactEvent, ContactEventConnection, ContactRelations
from schema.lists import List
from schema.nodes import global_id
from schema.scalars import JSON, DateTime
from services import contacts, lists
from services.contacts import ContactRow, EventRow

rows.register(
    Contact,
    ContactRow,
    ("id",),
    id=Column("id", global_ids("Contact")),
    status=Column("status", ContactStatus),
)


def contact_of(row: ContactRow) -> Contact:
    """A contact as the API shows it, which is how the service has it."""
    return cast("Contact", row)


@reads_relations(ContactRelations)
class ReadRelations:
    """Reads the relations of contacts, for all of an answer at once."""

    __slots__ = ("context",)

    def __init__(self, context: RequestContext) -> None:
        self.context = context

    def tags(self, contact_id: UUID) -> Awaitable[list[str]]:
        """A contact's tags."""
        return self.context.loader("contact_tags", lambda: DataLoader(self.load_tags)).load(contact_id)

    async def load_tags(self, contact_ids: Sequence[UUID]) -> list[list[str]]:
        """The tags of contacts, in their order."""
        found = await contacts.tags_of(self.context.reads, contact_ids)
        return [found[contact_id] for contact_id in contact_ids]

    def lists(self, contact_id: UUID) -> Awaitable[list[List]]:
        """A contact's lists."""
        return self.context.loader("contact_lists", lambda: DataLoader(self.load_lists)).load(contact_id)

    async def load_lists(self, contact_ids: Sequence[UUID]) -> list[list[List]]:
        """The lists of contacts, in their order."""
        found = await lists.of_contacts(self.context.reads, contact_ids)
        return [[list_of(self.context, row) for row in found[contact_id]] for contact_id in contact_ids]

    def events(self, contact_id: UUID, first: int | None, after: str | None) -> Awaitable[ContactEventConnection]:
        """A page of a contact's events."""

        async def load(contact_ids: Sequence[UUID]) -> list[ContactEventConnection]:
            found = await contacts.EVENTS.pages_of(self.context.reads, contact_ids, page_request(first, None, after))
            return [events_of(found[contact_id]) for contact_id in contact_ids]

        name = f"contact_events {first} {after}"
        return self.context.loader(name, lambda: DataLoader(load)).load(contact_id)


def events_of(page: Page[EventRow]) -> ContactEventConnection:
    """A page of events as the API shows it."""
    nodes = [event_of(row) for row in page.rows]
    return ContactEventConnection(
        edges=[Edge(cursor=cursor, node=node) for cursor, node in zip(page.cursors, nodes, strict=True)],
        nodes=nodes,
        page_info=page_info(page),
    )


def event_of(row: EventRow) -> ContactEvent:
    """An event as the API shows it; its campaign and contact are read when they are selected."""
    return ContactEvent(
        id=global_id("ContactEvent", row.id),
        campaign_key=row.campaign_id,
        contact_key=row.contact_id,
        kind=ContactEventKind(row.kind),
        occurred_at=DateTime(row.occurred_at),
        campaign_id=global_id("Campaign", row.campaign_id) if row.campaign_id else None,
        data=JSON(row.data),
    )
