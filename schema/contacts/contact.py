"""A contact, and what happened to it."""

from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

import strawberry

from core.listing.pages import page_request
from models import contact_events
from models import contacts as models
from schema.connections import After, Connection, First
from schema.fields import on_demand
from schema.lists import List
from schema.nodes import Node
from schema.relations import Relation, key_of, key_or_none
from schema.scalars import JSON, DateTime, EmailAddress

if TYPE_CHECKING:
    from schema.campaigns.campaign import Campaign

LazyCampaign = Annotated["Campaign", strawberry.lazy("schema.campaigns.campaign")]
LazyContact = Annotated["Contact", strawberry.lazy("schema.contacts.contact")]
ContactStatus = strawberry.enum(
    models.ContactStatus, name="ContactStatus", description="Whether a contact may be mailed; only SUBSCRIBED may."
)
ContactEventKind = strawberry.enum(
    contact_events.ContactEventKind,
    name="ContactEventKind",
    description="What happened to a contact. REJECTED: the provider refused a message (`data` has its `code` and "
    "`message`). SUPPRESSED: the provider no longer mails the address. REACTIVATED: the provider mails it again. "
    "NOTICE: something that changes nothing, such as a delay or an automatic reply (`data` has its `Type`).",
)


EVENT_CAMPAIGN: Final = Relation[UUID, "Campaign | None"]("ContactEvent.campaign")
EVENT_CONTACT: Final = Relation[UUID, "Contact | None"]("ContactEvent.contact")


@strawberry.type(description="Something that happened to a contact.")
class ContactEvent(Node):
    kind: contact_events.ContactEventKind = strawberry.field(description="What happened.")
    occurred_at: DateTime = strawberry.field(description="When it happened, by the clock of whoever saw it.")
    campaign_id: strawberry.ID | None = strawberry.field(description="Global id of the campaign, if it has one.")
    data: JSON = strawberry.field(description="Further facts, such as the link of a click; a JSON object.")

    @on_demand(
        "The campaign it belongs to; null when it has none, or when that was deleted since. Needs the permission "
        "`campaign:read`."
    )
    async def campaign(self, info: strawberry.Info) -> LazyCampaign | None:
        """Read together for all events of an answer."""
        campaign_id = key_or_none(self, "campaign_id")
        return await EVENT_CAMPAIGN.of(info, campaign_id) if campaign_id else None

    @on_demand("The contact it happened to; null when that was deleted since.")
    async def contact(self, info: strawberry.Info) -> LazyContact | None:
        """Read together for all events of an answer."""
        return await EVENT_CONTACT.of(info, key_of(self, "contact_id"))


ContactEventConnection = Connection[ContactEvent]
CONTACT_TAGS: Final = Relation[UUID, list[str]]("Contact.tags")
CONTACT_LISTS: Final = Relation[UUID, list[List]]("Contact.lists")
CONTACT_EVENTS: Final = Relation[UUID, ContactEventConnection]("Contact.events")


@strawberry.type(description="A person the organization writes to, known by their address.")
class Contact(Node):
    email: EmailAddress = strawberry.field(description="The address as it is written to; unique without case.")
    first_name: str | None = strawberry.field(description="Up to 200 characters.")
    last_name: str | None = strawberry.field(description="Up to 200 characters.")
    status: models.ContactStatus = strawberry.field(description="Whether the contact may be mailed.")
    custom_fields: JSON = strawberry.field(
        description="Your own fields as one JSON object; in templates `{{ contact.customFields.plan }}`."
    )
    time_zone: str | None = strawberry.field(description="IANA name, e.g. `Europe/Berlin`.")
    created_at: DateTime = strawberry.field(description="When the contact was created.")
    updated_at: DateTime = strawberry.field(description="When one of the contact's own fields last changed.")
    subscribed_at: DateTime | None = strawberry.field(description="When the contact subscribed.")
    unsubscribed_at: DateTime | None = strawberry.field(
        description="When they unsubscribed, by the clock of whoever was told."
    )

    @on_demand("The contact's tags in alphabetical order, at most 100.")
    async def tags(self, info: strawberry.Info) -> list[str]:
        """Read together for all contacts of an answer."""
        return await CONTACT_TAGS.of(info, key_of(self))

    @on_demand("The lists the contact is on, by name. Needs the permission `list:read`.")
    async def lists(self, info: strawberry.Info) -> list[List]:
        """Read together for all contacts of an answer."""
        return await CONTACT_LISTS.of(info, key_of(self))

    @on_demand("What happened to the contact, newest first.")
    async def events(self, info: strawberry.Info, first: First = None, after: After = None) -> ContactEventConnection:
        """Read together for all contacts of an answer that ask for the same page."""
        return await CONTACT_EVENTS.of(info, key_of(self), page_request(first, None, after))


ContactConnection = Connection[Contact]


@strawberry.type(description="A tag, and how many contacts have it.")
class Tag:
    name: str = strawberry.field(description="1 to 64 characters; upper and lower case differ.")
    contact_count: int = strawberry.field(description="How many contacts have it, whatever their status.")
