"""From rows of campaigns to the types of the API."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, floor
from typing import TypeVar, cast
from uuid import UUID

from core.listing.pages import page_request
from execution import Column, rows
from resolvers.accounts import user_of
from resolvers.campaigns.loading import by_id, read_people
from resolvers.context import RequestContext
from resolvers.lists import list_of
from resolvers.relations import relation
from resolvers.senders import sender_of
from schema.accounts import User
from schema.campaigns.campaign import Audience, Campaign
from schema.campaigns.progress import CampaignProgress, CampaignStats, ProgressDetails
from schema.connections import Connection
from schema.contacts.contact import EVENT_CAMPAIGN
from schema.deliveries import Delivery, DeliveryFilter, DeliveryPages
from schema.lists import List
from schema.nodes import global_id
from schema.scalars import DateTime
from schema.senders import Sender
from services import lists
from services.campaigns import audience as campaign_audience
from services.campaigns import progress, reading
from services.campaigns.audience import Audience as CampaignAudience
from services.campaigns.drafting import Deleted
from services.campaigns.lifecycle import FINAL
from services.campaigns.progress import Figures, ProgressRow, read_figures
from services.campaigns.reading import CampaignRow, Content
from services.campaigns.recipients import count_audiences
from services.senders.reading import SENDERS

V = TypeVar("V")
rows.register(CampaignStats, Figures, delivered=Column("reached"))


def campaign_of(context: RequestContext, row: CampaignRow, figures: Figures | None = None) -> Campaign:
    """A campaign as the API shows it; what is large, or counted and not yet known, is read when it is selected."""
    return mapped(row, LiveDetails(context, row) if figures is None else CountedDetails(context, row, figures))


def deleted_campaign(context: RequestContext, deleted: Deleted) -> Campaign:
    """A campaign that is gone, as it last was."""
    return mapped(deleted.campaign, LastDetails(context, deleted.campaign, deleted))


def mapped(row: CampaignRow, details: "LiveDetails") -> Campaign:
    """The row's own columns, and where the rest comes from."""
    return Campaign(
        id=global_id("Campaign", row.id),
        details=details,
        name=row.name,
        subject=row.subject,
        status=row.status,
        status_reason=row.status_reason,
        on_doubt=row.on_doubt,
        version=row.version,
        scheduled_at=cast("DateTime | None", row.scheduled_at),
        started_at=cast("DateTime | None", row.started_at),
        sent_at=cast("DateTime | None", row.sent_at),
        created_at=DateTime(row.created_at),
        updated_at=DateTime(row.updated_at),
    )


@dataclass(slots=True)
class LiveDetails:
    """What is read about a campaign on demand, for all campaigns of an answer in one statement each."""

    context: RequestContext
    row: CampaignRow

    async def content(self) -> Content:
        """Its large texts."""
        return await by_id(self.context, "campaign contents", reading.read_contents).load(self.row.id)

    async def named(self) -> CampaignAudience:
        """Whom it names."""
        return await by_id(self.context, "campaign audiences", campaign_audience.read_audiences).load(self.row.id)

    def figures(self) -> Figures | Awaitable[Figures]:
        """Its counters."""
        return by_id(self.context, "campaign figures", read_figures).load(self.row.id)

    async def html_content(self) -> str:
        """The HTML, as it was saved."""
        return (await self.content()).html_content

    async def text_content(self) -> str:
        """The text, as it was saved."""
        return (await self.content()).text_content

    async def author(self) -> User | None:
        """Who made the campaign."""
        if self.row.author_id is None:
            return None
        return user_of(await by_id(self.context, "people", read_people).load(self.row.author_id))

    async def sender(self) -> Sender | None:
        """Of whom the campaign is sent."""
        sender_id = self.row.from_sender_id or self.row.sender_id
        if sender_id is None:
            return None
        return sender_of(await by_id(self.context, "senders", SENDERS.by_ids).load(sender_id))

    async def audience(self) -> Audience:
        """Whom the campaign is meant for."""
        named = await self.named()
        return Audience(
            details=AudienceReader(self.context, self.row.id, named),
            all=named.all,
            tags=list(named.tags),
            exclude_tags=list(named.exclude_tags),
        )

    def stats(self) -> CampaignStats | Awaitable[CampaignStats]:
        """What became of the campaign."""
        return of_figures(stats_shown, self.figures())

    def progress(self) -> CampaignProgress | Awaitable[CampaignProgress]:
        """How far the campaign is."""
        return of_figures(partial(progress_shown, self), self.figures())

    def campaign(self) -> Campaign:
        """The campaign itself, as its progress shows it."""
        return mapped(self.row, self)

    async def deliveries(
        self, given: DeliveryFilter | None, first: int | None, last: int | None, after: str | None, before: str | None
    ) -> Connection[Delivery]:
        """A page of the campaign's deliveries; raises `Forbidden` without the permission to read contacts."""
        page = page_request(first, last, after, before)
        # The protocol stands for the reader that is registered for it.
        pages_of: DeliveryPages = self.context.relations(DeliveryPages)  # type: ignore[type-abstract]
        return await pages_of.of_campaign(self.row.id, given, page)


@dataclass(slots=True)
class CountedDetails(LiveDetails):
    """The same where the counters came with the campaign."""

    known: Figures

    def figures(self) -> Figures:
        """Its counters."""
        return self.known


@dataclass(slots=True)
class LastDetails(LiveDetails):
    """What was read about a campaign before it was deleted."""

    deleted: Deleted

    async def content(self) -> Content:
        """Its large texts."""
        return self.deleted.content

    async def named(self) -> CampaignAudience:
        """Whom it named."""
        return self.deleted.audience

    def figures(self) -> Figures:
        """Its counters."""
        return self.deleted.figures


def of_figures(show: Callable[[Figures], V], figures: Figures | Awaitable[Figures]) -> V | Awaitable[V]:
    """What is shown of figures, at once where they are known."""
    return show(figures) if isinstance(figures, Figures) else later(show, figures)


async def later(show: Callable[[Figures], V], figures: Awaitable[Figures]) -> V:
    """What is shown of figures that are being read."""
    return show(await figures)


@dataclass(slots=True)
class AudienceReader:
    """What is read about an audience on demand."""

    context: RequestContext
    campaign_id: UUID
    named: CampaignAudience

    async def lists(self) -> list[List]:
        """The lists whose contacts are included."""
        return await self.read_lists(self.named.list_ids)

    async def exclude_lists(self) -> list[List]:
        """The lists whose contacts are left out."""
        return await self.read_lists(self.named.exclude_list_ids)

    async def count(self) -> int:
        """How many contacts it names at this moment."""
        return await by_id(self.context, "audience counts", count_audiences).load(self.campaign_id)

    async def read_lists(self, list_ids: Sequence[UUID]) -> list[List]:
        """The lists that exist, in their order."""
        found = await by_id(self.context, "lists", lists.LISTS.by_ids).load_many(list_ids)
        return [list_of(row) for row in found]


@dataclass(slots=True)
class ProgressReader:
    """What is read on demand about the progress that a stream shows."""

    context: RequestContext
    campaign_id: UUID

    async def campaign(self) -> Campaign:
        """The campaign as it is now."""
        row = await by_id(self.context, "campaigns", reading.by_ids).load(self.campaign_id)
        return campaign_of(self.context, row)


def progress_shown(details: ProgressDetails, figures: Figures) -> CampaignProgress:
    """The progress among the figures."""
    return progress_of(details, progress.progress_of(figures))


def progress_of(details: ProgressDetails, row: ProgressRow) -> CampaignProgress:
    """The counts of a moment, with what follows from them."""
    counts = row.counts
    left = None if row.eta is None else ceil((row.eta - row.updated_at).total_seconds())
    return CampaignProgress(
        details=details,
        campaign_id=global_id("Campaign", row.campaign_id),
        sequence=row.sequence,
        status=row.status,
        status_reason=row.status_reason,
        **counts._asdict(),
        percent=percent_of(row),
        rate_per_second=round(row.rate or 0.0, 2),
        estimated_seconds_left=left,
        occurred_at=DateTime(row.updated_at),
    )


def percent_of(row: ProgressRow) -> float:
    """Share of the recipients for whom sending has ended, 0 to 100, and never 100 too early."""
    counts = row.counts
    if row.status in FINAL:
        return 100.0
    if not counts.audience:
        return 0.0
    ended = counts.audience - counts.pending - counts.in_flight - counts.unknown
    return floor(1000 * ended / counts.audience) / 10


def stats_shown(figures: Figures) -> CampaignStats:
    """The results among the figures, which are shown as they are."""
    return cast("CampaignStats", figures)


relation(EVENT_CAMPAIGN, reading.by_ids, optional=True, show=campaign_of)
