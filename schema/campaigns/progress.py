"""How far a campaign is, and what became of it."""

from typing import TYPE_CHECKING, Annotated, Final, cast
from uuid import UUID

import strawberry

from models import campaigns
from schema.fields import later, on_demand
from schema.relations import Relation, key_of, known
from schema.scalars import DateTime

if TYPE_CHECKING:
    from schema.campaigns.campaign import Campaign

LazyCampaign = Annotated["Campaign", strawberry.lazy("schema.campaigns.campaign")]

CampaignStatus = strawberry.enum(
    campaigns.CampaignStatus,
    name="CampaignStatus",
    description=(
        "The status of a campaign. DRAFT can be changed; SCHEDULED waits for its moment; PREPARING freezes the "
        "audience; SENDING can be paused, PAUSED resumed, and both cancelled; CANCELLING winds down. SENT, "
        "SENT_WITH_ISSUES, CANCELLED and FAILED are final: every recipient is in one terminal state. `statusReason` "
        "says what the issues are, `deliveries` whom they concern; `resolveDelivery` may take a campaign out of "
        "SENT_WITH_ISSUES again."
    ),
)


PROGRESS_CAMPAIGN: Final = Relation[UUID, "Campaign"]("CampaignProgress.campaign")


@strawberry.type(
    description=(
        "A campaign's deliveries at one moment, each counted in exactly one figure: `pending`, `inFlight`, "
        "`accepted`, `delivered`, `bounced`, `complained`, `rejected`, `skipped`, `failed` and `unknown` add up to "
        "`audience`."
    )
)
class CampaignProgress:
    campaign_id: strawberry.ID = strawberry.field(description="Global id of the campaign.")
    sequence: int = strawberry.field(
        description="Rises with every change; of two messages, the one with the higher number is newer."
    )
    status: campaigns.CampaignStatus = strawberry.field(description="The status of the campaign.")
    status_reason: str | None = strawberry.field(
        description="Why it has that status, in a sentence, e.g. what paused it; null when there is nothing to say."
    )
    audience: int = strawberry.field(description="Recipients, frozen when sending starts; 0 before that.")
    pending: int = strawberry.field(description="Not sent yet.")
    in_flight: int = strawberry.field(description="On their way to the provider.")
    accepted: int = strawberry.field(description="Taken by the provider; no word on delivery yet.")
    delivered: int = strawberry.field(description="Taken by the recipient's mail server.")
    bounced: int = strawberry.field(description="Refused by the recipient's mail server.")
    complained: int = strawberry.field(description="Delivered, and reported as spam by the recipient.")
    rejected: int = strawberry.field(description="Refused by the provider.")
    skipped: int = strawberry.field(
        description="Not mailed on purpose: unsubscribed, suppressed, or the campaign was cancelled."
    )
    failed: int = strawberry.field(description="Given up; needs attention.")
    unknown: int = strawberry.field(
        description="May have been sent: the provider's reply was lost, and it is being asked."
    )
    percent: float = strawberry.field(
        description=(
            "Share of the recipients, 0 to 100, for whom sending has ended: all but `pending`, `inFlight` and "
            "`unknown`. 100 for a final campaign, 0 for one without recipients yet."
        )
    )
    rate_per_second: float = strawberry.field(
        description=(
            "Messages handed to the provider per second, as of `occurredAt`: on the subscription over the last 10 "
            "seconds or so, elsewhere on average since sending started. 0 unless SENDING."
        )
    )
    estimated_seconds_left: int | None = strawberry.field(
        description="Seconds until all are handed over, at that rate; null unless SENDING at a rate above 0."
    )
    occurred_at: DateTime = strawberry.field(description="When the counts last changed.")

    @on_demand(
        "The campaign, read for each message when selected: as it is at this moment or a little later, not earlier. "
        "Select its `id` and `status`, and a normalized cache follows the stream."
    )
    def campaign(self, info: strawberry.Info) -> LazyCampaign:
        """The one that the progress was read of, else read together for all of an answer."""
        found = known(self, "campaign_row")
        if found is not None:
            return cast("Campaign", found)
        return later(PROGRESS_CAMPAIGN.of(info, key_of(self, "campaign_id")))


@strawberry.type(
    description="Delivery and engagement statistics. Rates are shares from 0 to 1, and 0 where nothing was sent."
)
class CampaignStats:
    audience: int = strawberry.field(description="Recipients, frozen when sending starts.")
    sent: int = strawberry.field(description="Messages that the provider accepted, whatever came after.")
    delivered: int = strawberry.field(description="Messages that the provider reported delivered.")
    opened: int = strawberry.field(description="Contacts who opened, each counted once.")
    clicked: int = strawberry.field(description="Contacts who clicked, each counted once.")
    bounced: int = strawberry.field(description="Messages that bounced.")
    complained: int = strawberry.field(description="Contacts who reported spam.")
    unsubscribed: int = strawberry.field(description="Contacts who unsubscribed from this message.")
    open_rate: float = strawberry.field(description="`opened` as a share of `delivered`, 0 to 1.")
    click_rate: float = strawberry.field(description="`clicked` as a share of `delivered`, 0 to 1.")
    delivery_rate: float = strawberry.field(description="`delivered` as a share of `sent`, 0 to 1.")
