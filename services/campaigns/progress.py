"""How far a campaign is: one row of counts that add up, read without touching the ledger."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil, floor
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Select, Uuid, bindparam, func, select

from core.database.prepared import ProjectionCache, prepare, project
from core.database.scopes import Reads
from models.campaigns import Campaign, CampaignStats, CampaignStatus
from services.campaigns.lifecycle import FINAL
from services.campaigns.listing import CAMPAIGNS, CampaignRow


class Counts(NamedTuple):
    """A campaign's deliveries by status; all but `audience` add up to `audience`."""

    audience: int
    pending: int
    in_flight: int
    accepted: int
    delivered: int
    bounced: int
    complained: int
    rejected: int
    skipped: int
    failed: int
    unknown: int


class ProgressRow(NamedTuple):
    """A moment of a campaign. `sequence` rises with every change; `rate` is in messages a second."""

    campaign_id: UUID
    status: CampaignStatus
    status_reason: str | None
    sequence: int
    updated_at: datetime
    counts: Counts
    rate: float | None
    eta: datetime | None
    campaign_row: CampaignRow | None = None
    """The campaign itself, where it was read before."""

    @property
    def percent(self) -> float:
        """Share of the recipients for whom sending has ended, 0 to 100, and never 100 too early."""
        counts = self.counts
        if self.status in FINAL:
            return 100.0
        if not counts.audience:
            return 0.0
        ended = counts.audience - counts.pending - counts.in_flight - counts.unknown
        return floor(1000 * ended / counts.audience) / 10

    @property
    def rate_per_second(self) -> float:
        """The pace, or 0 where there is none."""
        return round(self.rate or 0.0, 2)

    @property
    def estimated_seconds_left(self) -> int | None:
        """Seconds from `updated_at` until all are handed over, at that rate."""
        return None if self.eta is None else ceil((self.eta - self.updated_at).total_seconds())

    @property
    def is_final(self) -> bool:
        """Whether the campaign has ended; its counts may still move from one end to another, by webhooks."""
        return self.status in FINAL


class Figures(NamedTuple):
    """All that is counted of a campaign at one moment, as the tables have it.

    `opened`, `clicked` and `unsubscribed` count contacts; `reached` those delivered, whatever came after.
    """

    campaign_id: UUID
    status: str
    status_reason: str | None
    started_at: datetime | None
    sequence: int
    updated_at: datetime
    audience: int
    pending: int
    in_flight: int
    accepted: int
    delivered: int
    bounced: int
    complained: int
    rejected: int
    skipped: int
    failed: int
    unknown: int
    reached: int
    opened: int
    clicked: int
    unsubscribed: int

    @property
    def counts(self) -> Counts:
        """The deliveries by status."""
        return Counts._make(self[FIRST_COUNT : FIRST_COUNT + len(Counts._fields)])

    def progress_with(self, campaign: CampaignRow | None) -> ProgressRow:
        """The progress among the figures, of a campaign that was read already."""
        return progress_of(self)._replace(campaign_row=campaign)

    @property
    def sent(self) -> int:
        """Messages that the provider took, whatever became of them."""
        return self.accepted + self.delivered + self.bounced + self.complained

    @property
    def open_rate(self) -> float:
        """Share of the contacts reached who opened, 0 to 1."""
        return share(self.opened, self.reached)

    @property
    def click_rate(self) -> float:
        """Share of the contacts reached who clicked, 0 to 1."""
        return share(self.clicked, self.reached)

    @property
    def delivery_rate(self) -> float:
        """Share of the messages sent that were delivered, 0 to 1."""
        return share(self.reached, self.sent)


class CountedCampaign(CampaignRow):
    """A campaign with what is counted of it, read in one statement."""

    figures: Figures


FIRST_COUNT: Final = Figures._fields.index("audience")
OF_CAMPAIGN: Final = {"status", "status_reason", "started_at"}
FIGURE_COLUMNS: Final = tuple(
    getattr(Campaign, name).label(f"campaign_{name}") if name in OF_CAMPAIGN else getattr(CampaignStats, name)
    for name in Figures._fields
)
SAME_CAMPAIGN: Final = (Campaign.organization_id == CampaignStats.organization_id) & (
    Campaign.id == CampaignStats.campaign_id
)
FIGURES: Final = prepare(
    select(*FIGURE_COLUMNS)
    .join_from(CampaignStats, Campaign, SAME_CAMPAIGN)
    .where(
        CampaignStats.organization_id == bindparam("organization", type_=Uuid),
        CampaignStats.campaign_id == func.any(bindparam("wanted", type_=ARRAY(Uuid))),
    )
)


ALWAYS: Final = frozenset({"id"})
COUNTED: Final = frozenset({"campaign_id"})  # NULL where nothing is counted
COUNTED_OF: Final = Figures._fields.index("campaign_id")
WITH_FIGURES: Final = ProjectionCache()


async def read_figures(reads: Reads, campaign_ids: Sequence[UUID]) -> dict[UUID, Figures]:
    """What is counted of each of the tenant's campaigns among the ids, in one statement."""
    wanted = {"organization": reads.tenant.organization_id, "wanted": list(campaign_ids)}
    return {row.campaign_id: row for row in await reads.rows_as(Figures, FIGURES, wanted)}


def with_figures(columns: frozenset[str] | None, figures: frozenset[str] | None) -> Select[*tuple[Any, ...]]:
    """The select of one campaign with what is counted of it; of the columns those named."""
    needed = None if columns is None else columns | ALWAYS
    counted = None if figures is None else figures | COUNTED
    return (
        select(*project(CAMPAIGNS.columns, needed), *project(FIGURE_COLUMNS, counted, "uncounted"))
        .outerjoin_from(Campaign, CampaignStats, SAME_CAMPAIGN)
        .where(Campaign.id == bindparam("wanted", type_=Uuid))
    )


async def get_with_figures(
    reads: Reads,
    campaign_id: UUID,
    columns: frozenset[str] | None = None,
    figures: frozenset[str] | None = None,
) -> CampaignRow | None:
    """The tenant's campaign with this id, or None; a `CountedCampaign` if anything is counted of it. One statement.

    With `columns` or `figures` these are read (and the id); others are None, or read as well.
    """
    statement = WITH_FIGURES.get("one", with_figures, columns, figures)
    rows = await reads.rows_as(tuple, statement, {"wanted": campaign_id})
    if not rows:
        return None
    width = len(CAMPAIGNS.columns)
    own, counted = rows[0][:width], rows[0][width:]
    if counted[COUNTED_OF] is None:
        return CampaignRow._make(own)
    campaign = CountedCampaign._make(own)
    campaign.figures = Figures._make(counted)
    return campaign


async def read_progress(reads: Reads, campaign_id: UUID) -> ProgressRow | None:
    """The campaign's progress at one moment, or None for an unknown campaign."""
    found = (await read_figures(reads, [campaign_id])).get(campaign_id)
    return None if found is None else progress_of(found)


async def read_stats(reads: Reads, campaign_id: UUID) -> Figures | None:
    """The campaign's figures so far, or None for an unknown campaign."""
    return (await read_figures(reads, [campaign_id])).get(campaign_id)


def progress_of(figures: Figures) -> ProgressRow:
    """The progress among the figures."""
    counts = figures.counts
    status = CampaignStatus(figures.status)
    rate = pace(counts, figures.started_at, figures.updated_at) if status == CampaignStatus.SENDING else None
    return ProgressRow(
        campaign_id=figures.campaign_id,
        status=status,
        status_reason=figures.status_reason,
        sequence=figures.sequence,
        updated_at=figures.updated_at,
        counts=counts,
        rate=rate,
        eta=figures.updated_at + timedelta(seconds=(counts.pending + counts.in_flight) / rate) if rate else None,
    )


def pace(counts: Counts, started_at: datetime | None, updated_at: datetime) -> float | None:
    """Messages handed over per second since the campaign started, or None before the first."""
    handed_over = counts.audience - counts.pending - counts.in_flight - counts.skipped
    if started_at is None or not handed_over:
        return None
    seconds = (updated_at - started_at).total_seconds()
    return handed_over / seconds if seconds > 0 else None


def share(part: int, whole: int) -> float:
    """A share from 0 to 1; an open that was reported before its delivery does not make it more."""
    return min(1.0, round(part / whole, 4)) if whole else 0.0
