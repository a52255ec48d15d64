"""Queries of contacts."""

from typing import Annotated

import strawberry

from core.access.permissions import Permission
from core.listing.conditions import all_of
from core.listing.pages import page_request
from resolvers.contacts.showing import contact_of
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
        condition = all_of(parse(filter, CONTACTS.fields), listing.search_condition(search))
        request, order = page_request(first, last, after, before), order_of(sort, CONTACTS)
        return await connection(info, CONTACTS, request, condition=condition, order=order)

    @query(Requires(Permission.CONTACT_READ))
    async def contact(self, info: Info, id: strawberry.ID) -> Contact | None:  # noqa: A002 - Relay's name
        """One contact by its id, or null when there is none."""
        contact_id = uuid_of("Contact", id)
        row = await CONTACTS.get(info.context.reads, contact_id) if contact_id else None
        return contact_of(row) if row else None

    @query(Requires(Permission.CONTACT_READ))
    async def contact_by_email(self, info: Info, email: EmailAddress) -> Contact | None:
        """One contact by its address, in any case; null when there is none, also for what is no address."""
        row = await listing.by_email(info.context.reads, email)
        return contact_of(row) if row else None

    @query(Requires(Permission.CONTACT_READ), cost=COUNTING_COST)
    async def tags(self, info: Info) -> list[Tag]:
        """The tags in use with their counts, the most used first, up to 1,000. Costs 10 points beside them."""
        counted = await listing.tag_counts(info.context.reads)
        return [Tag(name=name, contact_count=count) for name, count in counted.items()]
