from asyncio import gather
from collections.abc import Awaitable, Sequence
from typing import Annotated, Any, Final, Protocol, cast
from uuid import UUID

import strawberry

from core.listing.pages import page_request
from models import campaigns
from schema.accounts import User
from schema.campaigns.progress import CampaignProgress, CampaignStats
from schema.connections import After, Before, Connection, First, Last
from schema.deliveries import CAMPAIGN_DELIVERIES, Delivery, DeliveryFilter
from schema.fields import COUNTING_COST, later, on_demand
from schema.lists import List
from schema.nodes import Node
from schema.relations import Relation, key_of, key_or_none, known
from schema.scalars import DateTime
from schema.senders import Sender

OnDoubt = strawberry.enum(
    campaigns.OnDoubt,
    name="OnDoubt",
    description=(
        "What happens to a message that may or may not have been sent, once the provider shows no trace of it: "
        "RECONCILE_THEN_RETRY sends it again, HOLD leaves it to a person."
    ),
)


Deliveries = Annotated[DeliveryFilter | None, strawberry.argument(description="Which deliveries; all when left out.")]


class Content(Protocol):
    """A campaign's large texts."""

    @property
    def html_content(self) -> str:
        """The HTML, as it was saved."""

    @property
    def text_content(self) -> str:
        """The text, as it was saved."""


class Counted(Protocol):
    """What is counted of a campaign, which is shown as its stats."""

    def progress_with(self, campaign: Any) -> CampaignProgress:  # noqa: ANN401 - the row of the campaign
        """The progress among it, of a campaign that was read already."""


AUDIENCE_LIST: Final = Relation[UUID, List]("Audience.lists")
AUDIENCE_COUNT: Final = Relation[UUID, int]("Audience.count")


@strawberry.type(
    description=(
        "Whom a campaign is meant for: everybody with `all`, or who is on any of the lists or has any of the tags; "
        "less the excluded ones. Contacts who may not be mailed, unsubscribed or suppressed, are skipped."
    )
)
class Audience:
    all: bool = strawberry.field(description="Whether every contact is included.")
    tags: list[str] = strawberry.field(description="Contacts with any of these tags are included.")
    exclude_tags: list[str] = strawberry.field(description="Contacts with any of these tags are left out.")

    @on_demand("Contacts on any of these lists are included. Needs the permission `list:read`.")
    async def lists(self, info: strawberry.Info) -> list[List]:
        """Read together for all audiences of an answer."""
        return await lists_of(info, self, "list_ids")

    @on_demand("Contacts on any of these lists are left out. Needs the permission `list:read`.")
    async def exclude_lists(self, info: strawberry.Info) -> list[List]:
        """Read together for all audiences of an answer."""
        return await lists_of(info, self, "exclude_list_ids")

    @on_demand(
        "Estimated recipients: contacts named at this moment, those included who will be skipped. Counted when "
        "selected, which costs 10 points. The frozen audience of a campaign that was sent is `stats { audience }`.",
        cost=COUNTING_COST,
    )
    async def count(self, info: strawberry.Info) -> int:
        """Counted together for all audiences of an answer."""
        return await AUDIENCE_COUNT.of(info, key_of(self, "campaign_id"))


async def lists_of(info: strawberry.Info, audience: object, column: str) -> list[List]:
    """The lists of a column of an audience that exist, in their order."""
    ids: Sequence[UUID] = getattr(audience, column)
    return await gather(*(AUDIENCE_LIST.of(info, list_id) for list_id in ids))


CAMPAIGN_CONTENT: Final = Relation[UUID, Content]("Campaign.htmlContent and textContent")
CAMPAIGN_AUTHOR: Final = Relation[UUID, User]("Campaign.author")
CAMPAIGN_SENDER: Final = Relation[UUID, Sender]("Campaign.sender")
CAMPAIGN_AUDIENCE: Final = Relation[UUID, Audience]("Campaign.audience")
CAMPAIGN_FIGURES: Final = Relation[UUID, CampaignStats]("Campaign.stats and progress")


async def content_of(info: strawberry.Info, campaign: object) -> Content:
    """A campaign's large texts, as they were read with it or else together for all campaigns of an answer."""
    found = known(campaign, "content")
    return cast("Content", found) if found is not None else await CAMPAIGN_CONTENT.of(info, key_of(campaign))


async def progress_of(campaign: object, figures: Awaitable[CampaignStats]) -> CampaignProgress:
    """A campaign's progress among figures that are being read."""
    return cast("Counted", await figures).progress_with(campaign)


@strawberry.type(description="A message to many contacts, from draft to inbox.")
class Campaign(Node):
    name: str = strawberry.field(description="Internal name, not shown to recipients. 1 to 200 characters.")
    subject: str = strawberry.field(description="The subject line, a Liquid template of at most 998 characters.")
    status: campaigns.CampaignStatus = strawberry.field(description="The status of the campaign.")
    status_reason: str | None = strawberry.field(
        description="Why it has that status, in a sentence, e.g. what paused it; null when there is nothing to say."
    )
    on_doubt: campaigns.OnDoubt = strawberry.field(
        description="What happens to a message that may or may not have been sent."
    )
    version: int = strawberry.field(
        description="Rises with every change; `updateCampaign` with a version refuses to overwrite a newer one."
    )
    scheduled_at: DateTime | None = strawberry.field(description="When it is due, if it is or was scheduled.")
    started_at: DateTime | None = strawberry.field(description="When its audience was frozen and sending started.")
    sent_at: DateTime | None = strawberry.field(description="When sending ended.")
    archived_at: DateTime | None = strawberry.field(
        description="When it was archived; null when it is not, as is everything that is scheduled or being sent."
    )
    created_at: DateTime = strawberry.field(description="When it was made.")
    updated_at: DateTime = strawberry.field(description="When it last changed.")

    @on_demand("The HTML, a Liquid template of at most 512 KiB, as it was saved.")
    async def html_content(self, info: strawberry.Info) -> str:
        """Read together for all campaigns of an answer."""
        return (await content_of(info, self)).html_content

    @on_demand("The text part, a Liquid template of at most 512 KiB; when empty, it is made from the HTML.")
    async def text_content(self, info: strawberry.Info) -> str:
        """Read together for all campaigns of an answer."""
        return (await content_of(info, self)).text_content

    @on_demand(
        "Who made it; null when that person has left, or when no person did. Needs the permission "
        "`organization:read`."
    )
    async def author(self, info: strawberry.Info) -> User | None:
        """Read together for all campaigns of an answer."""
        author_id = key_or_none(self, "author_id")
        return await CAMPAIGN_AUTHOR.of(info, author_id) if author_id else None

    @on_demand(
        "Of whom it goes out: the sender that was chosen or, once it was scheduled or sent, the one that was taken. "
        "Null: the default sender or, outside production and without one, the installation's own address. Needs the "
        "permission `sender:read`."
    )
    async def sender(self, info: strawberry.Info) -> Sender | None:
        """Read together for all campaigns of an answer."""
        sender_id = key_or_none(self, "from_sender_id") or key_or_none(self, "sender_id")
        return await CAMPAIGN_SENDER.of(info, sender_id) if sender_id else None

    @on_demand("Whom it is meant for.")
    async def audience(self, info: strawberry.Info) -> Audience:
        """Read together for all campaigns of an answer."""
        found = known(self, "audience")
        return cast("Audience", found) if found is not None else await CAMPAIGN_AUDIENCE.of(info, key_of(self))

    @on_demand("Delivery and engagement statistics: sent, delivered, opened, clicked, and the rates.")
    def stats(self, info: strawberry.Info) -> CampaignStats:
        """At once where they were read with the campaign, else together for all campaigns of an answer."""
        found = known(self, "figures")
        if found is not None:
            return cast("CampaignStats", found)
        return later(CAMPAIGN_FIGURES.of(info, key_of(self)))

    @on_demand("Sending progress; `campaignProgress` is the same as a stream.")
    def progress(self, info: strawberry.Info) -> CampaignProgress:
        """At once where the figures were read with the campaign, else together for all campaigns of an answer."""
        found = known(self, "figures")
        if found is not None:
            return cast("Counted", found).progress_with(self)
        # Asked for at once, so that one statement reads the figures for `stats` as well.
        return later(progress_of(self, CAMPAIGN_FIGURES.of(info, key_of(self))))

    @on_demand(
        "Its recipients' messages, one each, in the order in which the audience was frozen; none before that. Needs "
        "the permission `contact:read`. What keeps a campaign from SENT: "
        "`deliveries(filter: {state: {in: [REJECTED, FAILED, SKIPPED]}})`."
    )
    async def deliveries(  # noqa: PLR0917 - GraphQL's arguments have names
        self,
        info: strawberry.Info,
        filter: Deliveries = None,  # noqa: A002 - the contract's name
        first: First = None,
        last: Last = None,
        after: After = None,
        before: Before = None,
    ) -> Connection[Delivery]:
        """Read together for all campaigns of an answer that ask for the same page."""
        request = page_request(first, last, after, before)
        return await CAMPAIGN_DELIVERIES.of(info, key_of(self), request, filter)
