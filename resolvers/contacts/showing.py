"""A contact as the API shows it, and what is read about it only when selected."""

from collections.abc import Awaitable, Sequence
from uuid import UUID

from strawberry.dataloader import DataLoader

from models.contacts import ContactEventKind, ContactStatus
from resolvers.context import RequestContext
from resolvers.lists import list_of
from schema.connections import Edge, page_info
from schema.contacts import Contact, ContactEvent, ContactEventConnection
from schema.lists import List
from schema.nodes import global_id
from schema.scalars import JSON, DateTime, EmailAddress
from services import contacts, lists, pages
from services.contacts import ContactRow, EventRow
from services.pages import Page


def contact_of(context: RequestContext, row: ContactRow) -> Contact:
    """A contact as the API shows it."""
    return Contact(
        id=global_id("Contact", row.id),
        key=row.id,
        relations=ReadRelations(context),
        email=EmailAddress(row.email),
        first_name=row.first_name,
        last_name=row.last_name,
        status=ContactStatus(row.status),
        custom_fields=JSON(row.custom_fields),
        time_zone=row.time_zone,
        created_at=DateTime(row.created_at),
        updated_at=DateTime(row.updated_at),
        subscribed_at=DateTime(row.subscribed_at) if row.subscribed_at else None,
        unsubscribed_at=DateTime(row.unsubscribed_at) if row.unsubscribed_at else None,
    )


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
            found = await contacts.events_of(self.context.reads, contact_ids, pages.requested(first, None, after))
            return [events_of(found[contact_id]) for contact_id in contact_ids]

        name = f"contact_events {first} {after}"
        return self.context.loader(name, lambda: DataLoader(load)).load(contact_id)


def events_of(page: Page[EventRow]) -> ContactEventConnection:
    """A page of events as the API shows it."""
    nodes = [event_of(row) for row in page.rows]
    return ContactEventConnection(
        edges=[Edge(cursor=cursor, node=node) for cursor, node in zip(page.cursors, nodes, strict=True)],
        nodes=nodes,
        page_info=page_info(page.cursors, has_next=page.has_next, has_previous=page.has_previous),
    )


def event_of(row: EventRow) -> ContactEvent:
    """An event as the API shows it."""
    return ContactEvent(
        id=global_id("ContactEvent", row.id),
        kind=ContactEventKind(row.kind),
        occurred_at=DateTime(row.occurred_at),
        campaign_id=global_id("Campaign", row.campaign_id) if row.campaign_id else None,
        data=JSON(row.data),
    )
