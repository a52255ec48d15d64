"""Queries of contacts."""

from typing import Annotated

import strawberry

from core.access.permissions import Permission
from core.listing.conditions import all_of
from core.listing.pages import page_request
from resolvers.contacts.mapping import contact_of
from resolvers.context import Info
from resolvers.fields import Requires, query
from resolvers.listing import connection, order_of, parse
from schema.connections import After, Before, First, Last
from schema.contacts import Contact, ContactConnection, ContactFilter, ContactSort, Tag
from schema.fields import COUNTING_COST
from schema.nodes import uuid_of
from schema.scalars import EmailAddress
from services.contacts import listing
from services.contacts.listing import CONTACTS

Filter = Annotated[
    ContactFilter | None, strawberry.argument(description="Filters the contacts. If omitted, all are returned.")
]
Sort = Annotated[ContactSort | None, strawberry.argument(description="Sort order. If omitted, newest first.")]
Search = Annotated[
    str | None,
    strawberry.argument(
        description=(
            "Words to search for, at most 200 characters; only the first 5 words are used. Each word must be "
            "contained in the e-mail address, first name or last name. Case and equivalent Unicode forms do not "
            "matter: `STRASSE` matches `Straße`."
        )
    ),
]


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
        """The contacts of the organization.

        Fails with the error `BAD_USER_INPUT` if a cursor was returned for another sort order.
        """
        condition = all_of(parse(filter, CONTACTS.fields), listing.search_condition(search))
        request, order = page_request(first, last, after, before), order_of(sort, CONTACTS)
        return await connection(info, CONTACTS, request, condition=condition, order=order)

    @query(Requires(Permission.CONTACT_READ))
    async def contact(self, info: Info, id: strawberry.ID) -> Contact | None:  # noqa: A002 - Relay's name
        """A contact by its ID, or `null` if it does not exist."""
        contact_id = uuid_of("Contact", id)
        row = await CONTACTS.get(info.context.reads, contact_id) if contact_id else None
        return contact_of(row) if row else None

    @query(Requires(Permission.CONTACT_READ))
    async def contact_by_email(self, info: Info, email: EmailAddress) -> Contact | None:
        """A contact by its e-mail address, or `null` if there is none or the address is malformed."""
        row = await listing.by_email(info.context.reads, email)
        return contact_of(row) if row else None

    @query(Requires(Permission.CONTACT_READ), cost=COUNTING_COST)
    async def tags(self, info: Info) -> list[Tag]:
        """The tags of the organization's contacts with the number of contacts, most used first, at most 1,000."""
        counted = await listing.tag_counts(info.context.reads)
        return [Tag(name=name, contact_count=count) for name, count in counted.items()]
