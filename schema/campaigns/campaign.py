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
from schema.enums import described_enum
from schema.fields import COUNTING_COST, later, on_demand
from schema.lists import List
from schema.nodes import Node
from schema.relations import Relation, key_of, key_or_none, known
from schema.scalars import DateTime
from schema.senders import Sender

OnDoubt = described_enum(
    campaigns.OnDoubt,
    name="OnDoubt",
    description=(
        "What happens to a message if it may or may not have been sent. In each case, the mail provider is queried "
        "first (reconciliation); this setting applies if the provider has no record of the message."
    ),
    values={
        "RECONCILE_THEN_RETRY": "The message is sent again. In rare cases, a recipient may get it twice.",
        "HOLD": (
            "The message is not sent again. Its delivery becomes `FAILED`, which is final unless a person decides "
            "otherwise with `resolveDelivery`."
        ),
    },
)


Deliveries = Annotated[
    DeliveryFilter | None, strawberry.argument(description="Filters the deliveries. If omitted, all are returned.")
]


class Content(Protocol):
    """A campaign's large texts."""

    @property
    def html_content(self) -> str:
        """The HTML, as it was saved."""

    @property
    def text_content(self) -> str:
        """The text, as it was saved."""


class Counted(Protocol):
    """The counters of a campaign, which the API returns as its `stats`."""

    def progress_with(self, campaign: Any) -> CampaignProgress:  # noqa: ANN401 - the row of the campaign
        """The `progress` in these counters, for a campaign that was already read."""


AUDIENCE_LIST: Final = Relation[UUID, List]("Audience.lists")
AUDIENCE_COUNT: Final = Relation[UUID, int]("Audience.count")


@strawberry.type(
    description=(
        "The contacts to whom a campaign is sent.\n\n"
        "It includes all contacts if `all` is true, otherwise every contact who is on any of `lists` or has any "
        "of `tags`. Contacts on any of `excludeLists` or with any of `excludeTags` are excluded. Contacts who "
        "must not be mailed are part of the audience, but are skipped when the campaign is sent."
    )
)
class Audience:
    all: bool = strawberry.field(description="Whether all contacts are included.")
    tags: list[str] = strawberry.field(description="Tags whose contacts are included.")
    exclude_tags: list[str] = strawberry.field(description="Tags whose contacts are excluded.")

    @on_demand("Lists whose contacts are included. Requires the permission `list:read`.", null_on_error=True)
    async def lists(self, info: strawberry.Info) -> list[List] | None:
        """Read together for all audiences of a response."""
        return await lists_of(info, self, "list_ids")

    @on_demand("Lists whose contacts are excluded. Requires the permission `list:read`.", null_on_error=True)
    async def exclude_lists(self, info: strawberry.Info) -> list[List] | None:
        """Read together for all audiences of a response."""
        return await lists_of(info, self, "exclude_list_ids")

    @on_demand(
        (
            "Number of contacts that the audience includes at present, including those who would be skipped. "
            "Counted only if selected, which adds 10 points to the cost. For a campaign that was started, `stats "
            "{ audience }` is the number of recipients."
        ),
        cost=COUNTING_COST,
    )
    async def count(self, info: strawberry.Info) -> int:
        """Counted together for all audiences of a response."""
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
    """A campaign's large texts, read with it, or otherwise together for all campaigns of a response."""
    content = known(campaign, "content")
    return cast("Content", content) if content is not None else await CAMPAIGN_CONTENT.of(info, key_of(campaign))


async def progress_of(figures: Awaitable[CampaignStats]) -> CampaignProgress:
    """A campaign's progress among figures that are being read.

    Without the row of the campaign: that of a list has only the columns that were selected of it.
    """
    return cast("Counted", await figures).progress_with(None)


@strawberry.type(description="An e-mail message for many contacts, with its content, audience, status and results.")
class Campaign(Node):
    name: str = strawberry.field(description="Internal name, 1 to 200 characters. Recipients do not see it.")
    subject: str = strawberry.field(description="Subject line as a Liquid template, at most 998 characters.")
    status: campaigns.CampaignStatus = strawberry.field(description="Status of the campaign.")
    status_reason: str | None = strawberry.field(
        description=(
            "Explanation of the status in a sentence, for example why the campaign was paused. `null` if there "
            "is nothing to explain."
        )
    )
    on_doubt: campaigns.OnDoubt = strawberry.field(
        description="What happens to a message if it remains unknown whether it was sent."
    )
    version: int = strawberry.field(
        description=(
            "Version number. It increases with every change. Pass it to `updateCampaign` to avoid overwriting a "
            "change of someone else."
        )
    )
    scheduled_at: DateTime | None = strawberry.field(
        description=(
            "The time for which the campaign is or was scheduled. `null` if it was never scheduled, or was "
            "unscheduled."
        )
    )
    started_at: DateTime | None = strawberry.field(
        description="The time at which the audience was frozen and sending started. `null` before that."
    )
    sent_at: DateTime | None = strawberry.field(
        description=("The time at which sending ended. `null` unless the status is `SENT` or `SENT_WITH_ISSUES`.")
    )
    archived_at: DateTime | None = strawberry.field(
        description=(
            "The time at which the campaign was archived. `null` if it is not archived. A campaign that is "
            "scheduled or being sent is never archived."
        )
    )
    created_at: DateTime = strawberry.field(description="The time at which the campaign was created.")
    updated_at: DateTime = strawberry.field(description="The time of the latest change.")

    @on_demand("HTML as a Liquid template, at most 512 KiB, as it was saved.")
    async def html_content(self, info: strawberry.Info) -> str:
        """Read together for all campaigns of a response."""
        return (await content_of(info, self)).html_content

    @on_demand(
        "Plain text as a Liquid template, at most 512 KiB. If it is empty, the text is generated from the HTML."
    )
    async def text_content(self, info: strawberry.Info) -> str:
        """Read together for all campaigns of a response."""
        return (await content_of(info, self)).text_content

    @on_demand(
        "The user who created the campaign. `null` if that user is no longer a member, or if no user created "
        "it. Requires the permission `organization:read`."
    )
    async def author(self, info: strawberry.Info) -> User | None:
        """Read together for all campaigns of a response."""
        author_id = key_or_none(self, "author_id")
        return await CAMPAIGN_AUTHOR.of(info, author_id) if author_id else None

    @on_demand(
        "Sender of the campaign: the chosen one or, once the campaign is scheduled or sent, the one in use. "
        "`null` if no sender was chosen, in which case the default sender will be used, and if the sender has been "
        "deleted since. Outside production, it is also `null` if the campaign is sent from the address in the "
        "installation's settings. Requires the permission `sender:read`."
    )
    async def sender(self, info: strawberry.Info) -> Sender | None:
        """Read together for all campaigns of a response."""
        sender_id = key_or_none(self, "from_sender_id") or key_or_none(self, "sender_id")
        return await CAMPAIGN_SENDER.of(info, sender_id) if sender_id else None

    @on_demand("The contacts to whom the campaign is sent.")
    async def audience(self, info: strawberry.Info) -> Audience:
        """Read together for all campaigns of a response."""
        audience = known(self, "audience")
        return cast("Audience", audience) if audience is not None else await CAMPAIGN_AUDIENCE.of(info, key_of(self))

    @on_demand("Delivery and engagement statistics.")
    def stats(self, info: strawberry.Info) -> CampaignStats:
        """Immediately if they were read with the campaign, otherwise together for all campaigns of a response."""
        figures = known(self, "figures")
        if figures is not None:
            return cast("CampaignStats", figures)
        return later(CAMPAIGN_FIGURES.of(info, key_of(self)))

    @on_demand("Sending progress. The subscription `campaignProgress` delivers it live.")
    def progress(self, info: strawberry.Info) -> CampaignProgress:
        """Immediately if they were read with the campaign, otherwise together for all campaigns of a response."""
        figures = known(self, "figures")
        if figures is not None:
            return cast("Counted", figures).progress_with(self)
        # Requested immediately, so that one statement reads the figures for `stats` as well.
        return later(progress_of(CAMPAIGN_FIGURES.of(info, key_of(self))))

    @on_demand(
        "The messages of the campaign, one for each recipient, in the order in which they were created. They are "
        "created while the status is `PREPARING`; empty before that.\n\n"
        "`deliveries(filter: {state: {in: [REJECTED, FAILED, SKIPPED]}})` returns the messages whose sending "
        "did not succeed. Requires the permission `contact:read`.",
        null_on_error=True,
    )
    async def deliveries(  # noqa: PLR0917 - GraphQL's arguments have names
        self,
        info: strawberry.Info,
        filter: Deliveries = None,  # noqa: A002 - the contract's name
        first: First = None,
        last: Last = None,
        after: After = None,
        before: Before = None,
    ) -> Connection[Delivery] | None:
        """Read together for all campaigns of a response that ask for the same page."""
        request = page_request(first, last, after, before)
        return await CAMPAIGN_DELIVERIES.of(info, key_of(self), request, filter)
