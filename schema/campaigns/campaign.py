from collections.abc import Awaitable
from typing import Annotated, Protocol

import strawberry

from models import campaigns
from schema.accounts import User
from schema.campaigns.progress import CampaignProgress, CampaignStats
from schema.connections import After, Before, Connection, First, Last
from schema.deliveries import Delivery, DeliveryFilter
from schema.fields import COUNTING_COST, at_once_or_later, on_demand
from schema.lists import List
from schema.nodes import Node
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


class AudienceDetails(Protocol):
    """What an audience reads on demand."""

    async def lists(self) -> list[List]:
        """The lists whose contacts are included."""

    async def exclude_lists(self) -> list[List]:
        """The lists whose contacts are left out."""

    async def count(self) -> int:
        """How many contacts it names at this moment."""


@strawberry.type(
    description=(
        "Whom a campaign is meant for: everybody with `all`, or who is on any of the lists or has any of the tags; "
        "less the excluded ones. Contacts who may not be mailed, unsubscribed or suppressed, are skipped."
    )
)
class Audience:
    details: strawberry.Private[AudienceDetails]
    all: bool = strawberry.field(description="Whether every contact is included.")
    tags: list[str] = strawberry.field(description="Contacts with any of these tags are included.")
    exclude_tags: list[str] = strawberry.field(description="Contacts with any of these tags are left out.")

    @on_demand("Contacts on any of these lists are included.")
    async def lists(self) -> list[List]:
        """Read when selected."""
        return await self.details.lists()

    @on_demand("Contacts on any of these lists are left out.")
    async def exclude_lists(self) -> list[List]:
        """Read when selected."""
        return await self.details.exclude_lists()

    @on_demand(
        "Estimated recipients: contacts named at this moment, those included who will be skipped. Counted when "
        "selected, which costs 10 points. The frozen audience of a campaign that was sent is `stats { audience }`.",
        cost=COUNTING_COST,
    )
    async def count(self) -> int:
        """Read when selected."""
        return await self.details.count()


class CampaignDetails(Protocol):
    """What a campaign reads on demand."""

    async def html_content(self) -> str:
        """The HTML, as it was saved."""

    async def text_content(self) -> str:
        """The text, as it was saved."""

    async def author(self) -> User | None:
        """Who made the campaign."""

    async def sender(self) -> Sender | None:
        """Of whom the campaign is sent."""

    async def audience(self) -> Audience:
        """Whom the campaign is meant for."""

    def stats(self) -> CampaignStats | Awaitable[CampaignStats]:
        """What became of the campaign."""

    def progress(self) -> CampaignProgress | Awaitable[CampaignProgress]:
        """How far the campaign is."""

    async def deliveries(
        self, given: DeliveryFilter | None, first: int | None, last: int | None, after: str | None, before: str | None
    ) -> Connection[Delivery]:
        """A page of the campaign's deliveries."""


@strawberry.type(description="A message to many contacts, from draft to inbox.")
class Campaign(Node):
    details: strawberry.Private[CampaignDetails]
    name: str = strawberry.field(description="For its makers; recipients never see it. 1 to 200 characters.")
    subject: str = strawberry.field(description="The subject line, a Liquid template of at most 998 characters.")
    status: campaigns.CampaignStatus = strawberry.field(description="Where the campaign stands.")
    status_reason: str | None = strawberry.field(
        description="Why it stands there, for people, e.g. what paused it; null when there is nothing to say."
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
    created_at: DateTime = strawberry.field(description="When it was made.")
    updated_at: DateTime = strawberry.field(description="When it last changed.")

    @on_demand("The HTML, a Liquid template of at most 512 KiB, as it was saved.")
    async def html_content(self) -> str:
        """Read when selected."""
        return await self.details.html_content()

    @on_demand("The text part, a Liquid template of at most 512 KiB; when empty, it is made from the HTML.")
    async def text_content(self) -> str:
        """Read when selected."""
        return await self.details.text_content()

    @on_demand("Who made it; null when that person has left, or when no person did.")
    async def author(self) -> User | None:
        """Read when selected."""
        return await self.details.author()

    @on_demand(
        "Of whom it goes out: the sender that was chosen or, once it was scheduled or sent, the one that was taken. "
        "Null: the default sender or, outside production and without one, the installation's own address."
    )
    async def sender(self) -> Sender | None:
        """Read when selected."""
        return await self.details.sender()

    @on_demand("Whom it is meant for.")
    async def audience(self) -> Audience:
        """Read when selected."""
        return await self.details.audience()

    @on_demand("What became of it: sent, delivered, opened, clicked, and the rates.")
    def stats(self) -> CampaignStats:
        """Read when selected."""
        return at_once_or_later(self.details.stats())

    @on_demand("How far it is; `campaignProgress` is the same as a stream.")
    def progress(self) -> CampaignProgress:
        """Read when selected."""
        return at_once_or_later(self.details.progress())

    @on_demand(
        "Its recipients' messages, one each, in the order in which the audience was frozen; none before that. Needs "
        "the permission `contact:read`. What keeps a campaign from SENT: "
        "`deliveries(filter: {state: {in: [REJECTED, FAILED, SKIPPED]}})`."
    )
    async def deliveries(
        self,
        filter: Deliveries = None,  # noqa: A002 - the contract's name
        first: First = None,
        last: Last = None,
        after: After = None,
        before: Before = None,
    ) -> Connection[Delivery]:
        """Read when selected."""
        return await self.details.deliveries(filter, first, last, after, before)
