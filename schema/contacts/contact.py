"""A contact, and what happened to it."""

from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

import strawberry

from core.listing.pages import page_request
from models import contact_events
from models import contacts as models
from schema.connections import After, Connection, First
from schema.enums import described_enum
from schema.fields import on_demand
from schema.lists import List
from schema.nodes import Node
from schema.relations import Relation, key_of, key_or_none
from schema.scalars import JSON, DateTime, EmailAddress

if TYPE_CHECKING:
    from schema.campaigns.campaign import Campaign

LazyCampaign = Annotated["Campaign", strawberry.lazy("schema.campaigns.campaign")]
LazyContact = Annotated["Contact", strawberry.lazy("schema.contacts.contact")]
ContactStatus = described_enum(
    models.ContactStatus,
    name="ContactStatus",
    description="Whether a contact may be mailed. Only `SUBSCRIBED` contacts may.",
    values={
        "SUBSCRIBED": "The contact may be mailed.",
        "PENDING": "The contact has not confirmed the subscription yet.",
        "UNSUBSCRIBED": "The contact has unsubscribed.",
        "BOUNCED": (
            "A message to the address bounced permanently (hard bounce), or the mail provider has stopped mailing "
            "the address. A temporary (soft) bounce alone does not change the status."
        ),
        "COMPLAINED": "The contact has reported a message as spam.",
    },
)
ContactEventKind = described_enum(
    contact_events.ContactEventKind,
    name="ContactEventKind",
    description="Kind of an event in the history of a contact.",
    values={
        "DELIVERED": "The recipient's mail server accepted a message.",
        "OPENED": "The contact opened a message.",
        "CLICKED": "The contact clicked a link in a message. `data` contains its URL.",
        "BOUNCED": (
            "The mail provider reported a message as undeliverable: a permanent (hard) or temporary (soft) bounce."
        ),
        "COMPLAINED": "The contact reported a message as spam.",
        "UNSUBSCRIBED": "The contact unsubscribed.",
        "SUBSCRIBED": "The contact subscribed.",
        "REJECTED": "The mail provider refused a message. `data` contains its `code` and `message`.",
        "SUPPRESSED": "The mail provider stopped mailing the address.",
        "REACTIVATED": (
            "The mail provider mails the address again. This lifts suppressions by bounces and by the provider "
            "itself."
        ),
        "NOTICE": (
            "Another report of the mail provider, such as a delay or an automatic reply. It does not change the "
            "state of the delivery. `data` contains the provider's `Type`."
        ),
    },
)


EVENT_CAMPAIGN: Final = Relation[UUID, "Campaign | None"]("ContactEvent.campaign")
EVENT_CONTACT: Final = Relation[UUID, "Contact | None"]("ContactEvent.contact")


@strawberry.type(
    description="An event in the history of a contact, such as a delivery, an open or an unsubscription."
)
class ContactEvent(Node):
    kind: contact_events.ContactEventKind = strawberry.field(description="Kind of the event.")
    occurred_at: DateTime = strawberry.field(
        description="The time of the event, as recorded by the system that observed it."
    )
    campaign_id: strawberry.ID | None = strawberry.field(
        description="ID of the campaign. `null` if the event belongs to none."
    )
    data: JSON = strawberry.field(
        description="Details of the event as a JSON object, for example the URL of a click."
    )

    @on_demand(
        "The campaign to which the event belongs. `null` if there is none or it has been deleted. Requires "
        "the permission `campaign:read`."
    )
    async def campaign(self, info: strawberry.Info) -> LazyCampaign | None:
        """Read together for all events of a response."""
        campaign_id = key_or_none(self, "campaign_id")
        return await EVENT_CAMPAIGN.of(info, campaign_id) if campaign_id else None

    @on_demand("The contact. `null` if it has been deleted.")
    async def contact(self, info: strawberry.Info) -> LazyContact | None:
        """Read together for all events of a response."""
        return await EVENT_CONTACT.of(info, key_of(self, "contact_id"))


ContactEventConnection = Connection[ContactEvent]
CONTACT_TAGS: Final = Relation[UUID, list[str]]("Contact.tags")
CONTACT_LISTS: Final = Relation[UUID, list[List]]("Contact.lists")
CONTACT_EVENTS: Final = Relation[UUID, ContactEventConnection]("Contact.events")


@strawberry.type(description="A person to whom an organization sends e-mail, identified by the e-mail address.")
class Contact(Node):
    email: EmailAddress = strawberry.field(
        description="E-mail address as it was entered. Unique in the organization, ignoring case."
    )
    first_name: str | None = strawberry.field(description="First name, at most 200 characters.")
    last_name: str | None = strawberry.field(description="Last name, at most 200 characters.")
    status: models.ContactStatus = strawberry.field(description="Whether the contact may be mailed.")
    custom_fields: JSON = strawberry.field(
        description=(
            "Custom fields as a JSON object. In a template, `{{ contact.customFields.plan }}` is the value of "
            "the custom field `plan`."
        )
    )
    time_zone: str | None = strawberry.field(description="Time zone as an IANA name, for example `Europe/Berlin`.")
    created_at: DateTime = strawberry.field(description="The time at which the contact was created.")
    updated_at: DateTime = strawberry.field(
        description="The time at which one of the contact's own fields last changed. Tags and lists do not count."
    )
    subscribed_at: DateTime | None = strawberry.field(description="The time at which the contact subscribed.")
    unsubscribed_at: DateTime | None = strawberry.field(
        description=(
            "The time at which the contact unsubscribed, as recorded by the system that received the request: "
            "this API or the mail provider."
        )
    )

    @on_demand("Tags of the contact in alphabetical order, at most 100.")
    async def tags(self, info: strawberry.Info) -> list[str]:
        """Read together for all contacts of a response."""
        return await CONTACT_TAGS.of(info, key_of(self))

    @on_demand("Lists that the contact is on, sorted by name. Requires the permission `list:read`.")
    async def lists(self, info: strawberry.Info) -> list[List]:
        """Read together for all contacts of a response."""
        return await CONTACT_LISTS.of(info, key_of(self))

    @on_demand("Events of the contact, newest first.")
    async def events(self, info: strawberry.Info, first: First = None, after: After = None) -> ContactEventConnection:
        """Read together for all contacts of a response that ask for the same page."""
        return await CONTACT_EVENTS.of(info, key_of(self), page_request(first, None, after))


ContactConnection = Connection[Contact]


@strawberry.type(description="A tag and the number of contacts that have it.")
class Tag:
    name: str = strawberry.field(description="Name of the tag, 1 to 64 characters, case-sensitive.")
    contact_count: int = strawberry.field(description="Number of contacts with the tag, whatever their status.")
