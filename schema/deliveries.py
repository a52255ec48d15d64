"""A campaign's deliveries: one for each recipient."""

from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

import strawberry

from models import deliveries
from schema.connections import Connection
from schema.contacts import Contact
from schema.errors import USER_ERRORS, UserError
from schema.fields import on_demand
from schema.nodes import Node
from schema.nulls import never_null
from schema.relations import Relation, key_of
from schema.scalars import DateTime, EmailAddress

if TYPE_CHECKING:
    from schema.campaigns.campaign import Campaign

LazyCampaign = Annotated["Campaign", strawberry.lazy("schema.campaigns.campaign")]

DeliveryState = strawberry.enum(
    deliveries.DeliveryStatus,
    name="DeliveryState",
    description=(
        "The state of one recipient's message. PENDING waits; CLAIMED is being rendered; SUBMITTING is on its way to "
        "the provider; UNKNOWN may have been sent, and the provider is being asked. The others are final, though a "
        "report of the provider may still raise ACCEPTED to DELIVERED, BOUNCED or COMPLAINED: REJECTED was refused "
        "by the provider, SKIPPED was not sent on purpose, FAILED was given up and may have been sent."
    ),
)
DeliveryResolution = strawberry.enum(
    deliveries.DeliveryResolution,
    name="DeliveryResolution",
    description=(
        "What a person decides about a message of which nobody knows whether it was sent. SENT: it was, and counts "
        "as ACCEPTED. NOT_SENT: it was not and will not be, and counts as FAILED. SEND_AGAIN: it is PENDING and goes "
        "out in a new batch, so that the recipient may get it twice if the first one did arrive."
    ),
)


DELIVERY_CAMPAIGN: Final = Relation[UUID, "Campaign"]("Delivery.campaign")
DELIVERY_CONTACT: Final = Relation[UUID, Contact | None]("Delivery.contact")


@strawberry.type(description="One recipient's message of a campaign, from the frozen audience to its end.")
class Delivery(Node):
    email: EmailAddress = strawberry.field(description="The address as it was when the audience was frozen.")
    state: deliveries.DeliveryStatus = strawberry.field(description="The state of the message.")
    reason: str | None = strawberry.field(
        description=(
            "Why it is in that state: the provider's own words where it refused the message, else ours, for example "
            "why a contact was skipped. Null when there is nothing to say."
        )
    )
    provider_code: int | None = strawberry.field(
        description="The provider's own error code, where it refused the message."
    )
    provider_message_id: str | None = strawberry.field(
        description="The provider's id of the message, to look it up there; null before it was accepted."
    )
    attempts: int = strawberry.field(description="How many times it was submitted to the provider.")
    submitted_at: DateTime | None = strawberry.field(description="When it was last submitted to the provider.")
    accepted_at: DateTime | None = strawberry.field(description="When the provider accepted it.")
    delivered_at: DateTime | None = strawberry.field(description="When the recipient's mail server took it.")
    opened_at: DateTime | None = strawberry.field(description="When it was first opened.")
    clicked_at: DateTime | None = strawberry.field(description="When a link in it was first clicked.")
    bounced_at: DateTime | None = strawberry.field(description="When it bounced.")
    unsubscribed_at: DateTime | None = strawberry.field(
        description="When the recipient unsubscribed by this message."
    )

    @on_demand("The campaign it belongs to. Needs the permission `campaign:read`.")
    async def campaign(self, info: strawberry.Info) -> LazyCampaign:
        """Read together for all deliveries of an answer."""
        return await DELIVERY_CAMPAIGN.of(info, key_of(self, "campaign_id"))

    @on_demand("The contact it is for; null when that was deleted since.")
    async def contact(self, info: strawberry.Info) -> Contact | None:
        """Read together for all deliveries of an answer."""
        return await DELIVERY_CONTACT.of(info, key_of(self, "contact_id"))


DeliveryConnection = Connection[Delivery]
CAMPAIGN_DELIVERIES: Final = Relation[UUID, DeliveryConnection]("Campaign.deliveries")


@strawberry.input(description="A state; every condition that is given must hold.")
class DeliveryStateFilter:
    eq: deliveries.DeliveryStatus | None = never_null("Is this.")
    in_: list[deliveries.DeliveryStatus] | None = never_null(
        "Is one of these; an empty list matches nothing.", name="in"
    )


@strawberry.input(description="Which deliveries; every part that is given must hold.")
class DeliveryFilter:
    state: DeliveryStateFilter | None = never_null("By state.")


@strawberry.input(description="A delivery in doubt, and what a person decides about it.")
class ResolveDeliveryInput:
    delivery_id: strawberry.ID = strawberry.field(
        description="Global id of a delivery that is UNKNOWN or FAILED; INVALID_STATE for others, NOT_FOUND for none."
    )
    as_: deliveries.DeliveryResolution = strawberry.field(name="as", description="What is decided.")


@strawberry.type(description="The delivery as it is after the decision, or why nothing was decided.")
class ResolveDeliveryPayload:
    delivery: Delivery | None = strawberry.field(default=None, description="The delivery. Null on refusal.")
    campaign: LazyCampaign | None = strawberry.field(
        default=None,
        description=(
            "Its campaign: SENDING again after SEND_AGAIN, SENT when the last issue was resolved as SENT. Null on "
            "refusal."
        ),
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)
