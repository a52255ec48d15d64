"""A campaign's deliveries: one for each recipient."""

from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

import strawberry

from models import deliveries
from schema.connections import Connection
from schema.contacts import Contact
from schema.enums import described_enum
from schema.errors import USER_ERRORS, UserError
from schema.fields import on_demand
from schema.nodes import Node
from schema.nulls import condition, omittable, without_nulls
from schema.relations import Relation, key_of
from schema.scalars import DateTime, EmailAddress

if TYPE_CHECKING:
    from schema.campaigns.campaign import Campaign

LazyCampaign = Annotated["Campaign", strawberry.lazy("schema.campaigns.campaign")]

DeliveryState = described_enum(
    deliveries.DeliveryStatus,
    name="DeliveryState",
    description=(
        "State of one recipient's message. `PENDING`, `CLAIMED`, `SUBMITTING` and `UNKNOWN` are temporary; "
        "the others are final, with two exceptions. A report of the mail provider can change any state to "
        "`ACCEPTED`, `DELIVERED`, `BOUNCED` or `COMPLAINED`, but among these four only to a later one in this order. "
        "`resolveDelivery` can change `FAILED`."
    ),
    values={
        "PENDING": "Waiting to be sent.",
        "CLAIMED": "Being rendered.",
        "SUBMITTING": "Being submitted to the mail provider.",
        "UNKNOWN": (
            "The provider's response was lost, so the message may or may not have been sent. The provider is "
            "being queried about it."
        ),
        "ACCEPTED": "Accepted by the mail provider.",
        "DELIVERED": "Accepted by the recipient's mail server.",
        "BOUNCED": (
            "Reported as undeliverable by the mail provider, immediately or after a delay. Permanent (hard) and "
            "temporary (soft) bounces have this state."
        ),
        "COMPLAINED": "Delivered, and reported as spam by the recipient.",
        "REJECTED": "Refused by the mail provider when it was submitted, see `reason` and `providerCode`.",
        "SKIPPED": (
            "Not submitted, see `reason`: for example because the contact is unsubscribed, the message could not be "
            "rendered or the campaign was cancelled."
        ),
        "FAILED": (
            "The outcome could not be determined: the message may or may not have been sent. This is also the state "
            "after a person decided with `resolveDelivery` that it was not sent."
        ),
    },
)
DeliveryResolution = described_enum(
    deliveries.DeliveryResolution,
    name="DeliveryResolution",
    description="A person's decision about a message that may or may not have been sent.",
    values={
        "SENT": "The message was sent. Its delivery becomes `ACCEPTED`.",
        "NOT_SENT": "The message was not sent and will not be. Its delivery becomes `FAILED`.",
        "SEND_AGAIN": (
            "The message is sent again. Its delivery becomes `PENDING`. If the first message was sent after "
            "all, the recipient gets it twice."
        ),
    },
)


DELIVERY_CAMPAIGN: Final = Relation[UUID, "Campaign"]("Delivery.campaign")
DELIVERY_CONTACT: Final = Relation[UUID, Contact | None]("Delivery.contact")


@strawberry.type(
    description="One recipient's message of a campaign. Deliveries are created when the audience is frozen."
)
class Delivery(Node):
    email: EmailAddress = strawberry.field(
        description="E-mail address of the recipient at the time the audience was frozen."
    )
    state: deliveries.DeliveryStatus = strawberry.field(description="State of the message.")
    reason: str | None = strawberry.field(
        description=(
            "Explanation of the state, for example why the contact was skipped. If the mail provider refused the "
            "message, this is the provider's own text. `null` if there is nothing to explain."
        )
    )
    provider_code: int | None = strawberry.field(
        description="Error code of the mail provider. `null` unless the provider refused the message."
    )
    provider_message_id: str | None = strawberry.field(
        description=(
            "ID of the message at the mail provider. `null` if the provider has not accepted it, or if the ID is "
            "not known."
        )
    )
    attempts: int = strawberry.field(
        description=(
            "Number of times the message was submitted to the mail provider, including those that the provider did "
            "not accept."
        )
    )
    submitted_at: DateTime | None = strawberry.field(
        description=(
            "The time at which the message was last submitted to the mail provider. `null` if it was not, or if it "
            "is to be submitted again."
        )
    )
    accepted_at: DateTime | None = strawberry.field(
        description="The time at which the mail provider accepted the message."
    )
    delivered_at: DateTime | None = strawberry.field(
        description="The time at which the recipient's mail server accepted the message."
    )
    opened_at: DateTime | None = strawberry.field(
        description="The time at which the recipient first opened the message."
    )
    clicked_at: DateTime | None = strawberry.field(
        description="The time at which the recipient first clicked a link in the message."
    )
    bounced_at: DateTime | None = strawberry.field(description="The time at which the message bounced.")
    unsubscribed_at: DateTime | None = strawberry.field(
        description="The time at which the recipient unsubscribed with the link of this message."
    )

    @on_demand(
        "The campaign to which the message belongs. Requires the permission `campaign:read`.", null_on_error=True
    )
    async def campaign(self, info: strawberry.Info) -> LazyCampaign | None:
        """Read together for all deliveries of a response."""
        return await DELIVERY_CAMPAIGN.of(info, key_of(self, "campaign_id"))

    @on_demand("The recipient. `null` if the contact has been deleted.")
    async def contact(self, info: strawberry.Info) -> Contact | None:
        """Read together for all deliveries of a response."""
        return await DELIVERY_CONTACT.of(info, key_of(self, "contact_id"))


DeliveryConnection = Connection[Delivery]
CAMPAIGN_DELIVERIES: Final = Relation[UUID, DeliveryConnection]("Campaign.deliveries")


@strawberry.input(description=condition("A condition on the state. If both fields are given, both must hold."))
class DeliveryStateFilter:
    eq: deliveries.DeliveryStatus | None = omittable("Equal to this state.")
    in_: list[deliveries.DeliveryStatus] | None = omittable(
        "One of these states. An empty list matches nothing.", name="in"
    )


@strawberry.input(
    description=without_nulls(
        "Conditions for a list of deliveries. If several are given, all of them must hold. An empty filter matches "
        "everything."
    )
)
class DeliveryFilter:
    state: DeliveryStateFilter | None = omittable("Filters by state.")


@strawberry.input(description="Input of `resolveDelivery`.")
class ResolveDeliveryInput:
    delivery_id: strawberry.ID = strawberry.field(
        description=(
            "ID of a delivery in the state `UNKNOWN` or `FAILED`. `INVALID_STATE` for any other state, "
            "`NOT_FOUND` if there is no such delivery."
        )
    )
    as_: deliveries.DeliveryResolution = strawberry.field(
        name="as", description="What was decided about the message."
    )


@strawberry.type(description="The result of `resolveDelivery`.")
class ResolveDeliveryPayload:
    delivery: Delivery | None = strawberry.field(
        default=None, description="The delivery in its new state. `null` if the mutation was refused."
    )
    campaign: LazyCampaign | None = strawberry.field(
        default=None,
        description=(
            "The campaign of the delivery. A campaign that is `SENT_WITH_ISSUES` becomes `SENDING` after "
            "`SEND_AGAIN`, and `SENT` when no issue is left. Messages that were refused, not rendered or resolved "
            "as `NOT_SENT` remain issues. `null` if the mutation was refused."
        ),
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)
