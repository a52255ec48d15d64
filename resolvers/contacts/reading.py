"""Queries of contacts."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated
from uuid import UUID

import strawberry

from core.access.permissions import Permission
from core.listing import pages
from execution import rows
from resolvers.connections import connection_of
from resolvers.contacts.filtering import filter_of, order_of
from resolvers.contacts.showing import contact_of, event_of
from resolvers.context import Info
from resolvers.fields import Requires, query
from resolvers.nodes import fetches
from schema.connections import After, Before, First, Last
from schema.contacts import Contact, ContactConnection, ContactEvent, ContactFilter, ContactSort, Tag
from schema.nodes import uuid_of
from schema.scalars import EmailAddress
from services import contacts
from services.contacts import ContactRow

Filter = Annotated[ContactFilter | None, strawberry.argument(description="Which contacts; all when left out.")]
Sort = Annotated[ContactSort | None, strawberry.argument(description="The order; newest first when left out.")]
Search = Annotated[
    str | None,
    strawberry.argument(
        description=(
            "Words, each of which the address, first or last name must contain, without regard to case and form "
            "(Unicode's compatibility caseless match: `STRASSE` finds `Straße`); up to 200 characters, of which the "
            "first 5 words count."
        )
    ),
]
SHOWN_AT = (("edges", "node"), ("nodes",))


@fetches("Contact", Permission.CONTACT_READ)
async def fetch_contacts(info: Info, contact_ids: Sequence[UUID]) -> dict[UUID, Contact]:
    """Contacts of the caller's organisation."""
    found = await contacts.by_ids(info.context.reads, contact_ids)
    return {contact_id: contact_of(row) for contact_id, row in found.items()}


@fetches("ContactEvent", Permission.CONTACT_READ)
async def fetch_events(info: Info, event_ids: Sequence[UUID]) -> dict[UUID, ContactEvent]:
    """Events of the organisation's contacts."""
    found = await contacts.events_by_ids(info.context.reads, event_ids)
    return {event_id: event_of(row) for event_id, row in found.items()}


@strawberry.type
class ContactQueries:
    @query(Requires(Permission.CONTACT_READ))
    async def contacts(  # noqa: PLR0917 - GraphQL's arguments have names
        self,
        info: Info,
        first: First = None,
        last: Last = None,
        after: After = None,
        before: Before = None,
        filter: Filter = None,  # noqa: A002 - the contract's name
        sort: Sort = None,
        search: Search = None,
    ) -> ContactConnection:
        """The organization's contacts, page by page.

        A cursor is good for the `sort` it came from; another order answers BAD_USER_INPUT.
        """
        reads = info.context.reads
        wanted = filter_of(filter)
        request, columns = pages.requested(first, last, after, before), rows.selected(info, ContactRow, *SHOWN_AT)
        page = await contacts.page(reads, request, order_of(sort), wanted, search, columns=columns)
        return connection_of(page, None, partial(contacts.count, reads, wanted, search))

    @query(Requires(Permission.CONTACT_READ))
    async def contact(self, info: Info, id: strawberry.ID) -> Contact | None:  # noqa: A002 - Relay's name
        """One contact by its id, or null when there is none."""
        contact_id = uuid_of("Contact", id)
        row = await contacts.get(info.context.reads, contact_id) if contact_id else None
        return contact_of(row) if row else None

    @query(Requires(Permission.CONTACT_READ))
    async def contact_by_email(self, info: Info, email: EmailAddress) -> Contact | None:
        """One contact by its address, in any case; null when there is none, also for what is no address."""
        row = await contacts.by_email(info.context.reads, email)
        return contact_of(row) if row else None

    @query(Requires(Permission.CONTACT_READ))
    async def tags(self, info: Info) -> list[Tag]:
        """The tags in use with their counts, the most used first, up to 1,000."""
        counted = await contacts.tag_counts(info.context.reads)
        return [Tag(name=name, contact_count=count) for name, count in counted.items()]
