"""The status, the progress and the statistics of a campaign."""

from typing import TYPE_CHECKING, Annotated, Final, cast
from uuid import UUID

import strawberry

from models import campaigns
from schema.enums import described_enum
from schema.fields import later, on_demand
from schema.relations import Relation, key_of, known
from schema.scalars import DateTime

if TYPE_CHECKING:
    from schema.campaigns.campaign import Campaign

LazyCampaign = Annotated["Campaign", strawberry.lazy("schema.campaigns.campaign")]

CampaignStatus = described_enum(
    campaigns.CampaignStatus,
    name="CampaignStatus",
    description=(
        "Status of a campaign. `SENT`, `SENT_WITH_ISSUES`, `CANCELLED` and `FAILED` are final, except that "
        "`resolveDelivery` can change `SENT_WITH_ISSUES`."
    ),
    values={
        "DRAFT": "The campaign can be changed. It has not been scheduled or sent.",
        "SCHEDULED": "The campaign will be sent at `scheduledAt`. It can be unscheduled or cancelled.",
        "PREPARING": (
            "The recipients are being determined: the audience is being frozen, and a delivery is created for each "
            "contact."
        ),
        "SENDING": "Messages are being sent. The campaign can be paused or cancelled.",
        "PAUSED": "Sending is paused. The campaign can be resumed or cancelled.",
        "SENT": "Sending has ended without issues.",
        "SENT_WITH_ISSUES": (
            "Sending has ended, but some messages were refused by the mail provider (`REJECTED`), could not be "
            "rendered (`SKIPPED`), or have an outcome that could not be determined (`FAILED`). `statusReason` "
            "summarizes these issues and `deliveries` lists the recipients. After `resolveDelivery`, the status can "
            "become `SENDING` or `SENT`."
        ),
        "CANCELLING": "The campaign is being cancelled. The outcomes of submitted messages are awaited.",
        "CANCELLED": "The campaign was cancelled. The remaining recipients got no message.",
        "FAILED": "The campaign could not be sent, because its audience was empty.",
    },
)


PROGRESS_CAMPAIGN: Final = Relation[UUID, "Campaign"]("CampaignProgress.campaign")


@strawberry.type(
    description=(
        "Number of deliveries in each state at one point in time. Each delivery is counted once: `pending`, "
        "`inFlight`, `accepted`, `delivered`, `bounced`, `complained`, `rejected`, `skipped`, `failed` and "
        "`unknown` add up to `audience`."
    )
)
class CampaignProgress:
    campaign_id: strawberry.ID = strawberry.field(description="ID of the campaign.")
    sequence: int = strawberry.field(
        description=(
            "Sequence number. It increases with every change, so the update with the highest number is the latest."
        )
    )
    status: campaigns.CampaignStatus = strawberry.field(description="Status of the campaign.")
    status_reason: str | None = strawberry.field(
        description=(
            "Explanation of the status in a sentence, for example why the campaign was paused. `null` if there "
            "is nothing to explain."
        )
    )
    audience: int = strawberry.field(
        description=(
            "Number of recipients. It increases while the status is `PREPARING`, and is fixed after that; it is 0 "
            "before. The field `audience` of `Campaign` is an object instead: it describes who the "
            "recipients are."
        )
    )
    pending: int = strawberry.field(description="Number of messages waiting to be sent.")
    in_flight: int = strawberry.field(
        description="Number of messages being rendered or submitted: `CLAIMED` or `SUBMITTING`."
    )
    accepted: int = strawberry.field(
        description="Number of messages accepted by the mail provider whose delivery has not been reported yet."
    )
    delivered: int = strawberry.field(
        description=(
            "Number of messages whose current state is `DELIVERED`. A message that is reported as spam or bounced "
            "after its delivery moves to `complained` or `bounced`; `stats { delivered }` still includes it."
        )
    )
    bounced: int = strawberry.field(
        description="Number of messages that bounced, permanently (hard bounce) or temporarily (soft bounce)."
    )
    complained: int = strawberry.field(
        description="Number of messages delivered and then reported as spam by the recipient."
    )
    rejected: int = strawberry.field(description="Number of messages refused by the mail provider.")
    skipped: int = strawberry.field(
        description=(
            "Number of recipients to whom no message was submitted, for example because they are unsubscribed or "
            "suppressed, because the message could not be rendered, or because the campaign was cancelled."
        )
    )
    failed: int = strawberry.field(
        description=(
            "Number of messages whose outcome could not be determined, or of which a user decided with "
            "`resolveDelivery` that they were not sent."
        )
    )
    unknown: int = strawberry.field(
        description=(
            "Number of messages of which it is unknown whether they were sent, because the provider's response was "
            "lost. The provider is being queried about them."
        )
    )
    percent: float = strawberry.field(
        description=(
            "Percentage of recipients for whom sending is complete, 0 to 100. Messages that are `pending`, "
            "`inFlight` or `unknown` are not complete. 100 for a campaign with a final status, otherwise 0 if there "
            "are no recipients yet."
        )
    )
    rate_per_second: float = strawberry.field(
        description=(
            "Messages submitted to the mail provider per second. The subscription measures about the last 10 "
            "seconds; elsewhere it is the average since sending started. 0 unless the status is `SENDING`."
        )
    )
    estimated_seconds_left: int | None = strawberry.field(
        description=(
            "Estimated seconds until all messages are submitted, at the current rate. `null` unless the status "
            "is `SENDING` and the rate is above 0."
        )
    )
    occurred_at: DateTime = strawberry.field(
        description="The time of the latest change of the counts, the status or its reason."
    )

    @on_demand(
        "The campaign, read at the time of this update or later. Select its `id` and `status` so that each "
        "update of the subscription also updates the campaign in a normalized cache."
    )
    def campaign(self, info: strawberry.Info) -> LazyCampaign:
        """The campaign that the progress was read with; otherwise read together for all of a response."""
        campaign = known(self, "campaign_row")
        if campaign is not None:
            return cast("Campaign", campaign)
        return later(PROGRESS_CAMPAIGN.of(info, key_of(self, "campaign_id")))


@strawberry.type(
    description="Delivery and engagement statistics. A rate is a share from 0 to 1, and 0 if its denominator is 0."
)
class CampaignStats:
    audience: int = strawberry.field(
        description=(
            "Number of recipients. It increases while the status is `PREPARING`, and is fixed after that; it is 0 "
            "before. The field `audience` of `Campaign` is an object instead: it describes who the "
            "recipients are."
        )
    )
    sent: int = strawberry.field(
        description="Number of messages accepted by the mail provider, including those that bounced later."
    )
    delivered: int = strawberry.field(
        description=(
            "Number of messages that the mail provider ever reported as delivered, including those reported as "
            "spam or bounced later. `progress { delivered }` counts only messages whose current state is `DELIVERED`."
        )
    )
    opened: int = strawberry.field(description="Number of contacts who opened the message. Each contact counts once.")
    clicked: int = strawberry.field(description="Number of contacts who clicked a link. Each contact counts once.")
    bounced: int = strawberry.field(description="Number of messages that bounced, hard and soft bounces alike.")
    complained: int = strawberry.field(description="Number of contacts who reported the message as spam.")
    unsubscribed: int = strawberry.field(
        description="Number of contacts who unsubscribed with the link of this message."
    )
    open_rate: float = strawberry.field(description="Share of `opened` in `delivered`, 0 to 1.")
    click_rate: float = strawberry.field(description="Share of `clicked` in `delivered`, 0 to 1.")
    delivery_rate: float = strawberry.field(description="Share of `delivered` in `sent`, 0 to 1.")
