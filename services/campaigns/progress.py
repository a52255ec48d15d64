"""Progress and statistics of campaigns, from one row of counters per campaign; the deliveries are not read."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil, floor
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Select, Uuid, bindparam, func, select

from core.database.prepared import ProjectionCache, prepare, project
from core.database.scopes import Reader
from models.campaigns import Campaign, CampaignStats, CampaignStatus
from services.campaigns.lifecycle import FINAL
from services.campaigns.listing import CAMPAIGNS, CampaignRow


class DeliveryCounts(NamedTuple):
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
    """A campaign's progress at one moment. `sequence` increases with each change; `rate` is messages per second."""

    campaign_id: UUID
    status: CampaignStatus
    status_reason: str | None
    sequence: int
    updated_at: datetime
    counts: DeliveryCounts
    rate: float | None
    eta: datetime | None
    campaign_row: CampaignRow | None = None
    """The campaign itself, if it was read as well."""

    @property
    def percent(self) -> float:
        """Share of the recipients for whom sending has ended, 0 to 100, rounded down."""
        counts = self.counts
        if self.status in FINAL:
            return 100.0
        if not counts.audience:
            return 0.0
        ended = counts.audience - counts.pending - counts.in_flight - counts.unknown
        return floor(1000 * ended / counts.audience) / 10

    @property
    def rate_per_second(self) -> float:
        """The rate, or 0 if there is none."""
        return round(self.rate or 0.0, 2)

    @property
    def estimated_seconds_left(self) -> int | None:
        """Seconds from `updated_at` until all messages are submitted, at that rate."""
        return None if self.eta is None else ceil((self.eta - self.updated_at).total_seconds())

    @property
    def is_final(self) -> bool:
        """Whether the campaign has ended; webhooks may still change its counts."""
        return self.status in FINAL


class Figures(NamedTuple):
    """All counters of a campaign at one moment.

    `opened`, `clicked` and `unsubscribed` count unique contacts; `reached` counts deliveries that were delivered,
    whatever their status now.
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
    def counts(self) -> DeliveryCounts:
        """The deliveries by status."""
        return DeliveryCounts._make(self[_FIRST_COUNT_INDEX : _FIRST_COUNT_INDEX + len(DeliveryCounts._fields)])

    def progress_with(self, campaign: CampaignRow | None) -> ProgressRow:
        """The progress, with the campaign itself."""
        return _progress_of(self)._replace(campaign_row=campaign)

    @property
    def sent(self) -> int:
        """Messages that the provider accepted, whatever their status now."""
        return self.accepted + self.delivered + self.bounced + self.complained

    @property
    def open_rate(self) -> float:
        """Share of the contacts reached who opened, 0 to 1."""
        return _share(self.opened, self.reached)

    @property
    def click_rate(self) -> float:
        """Share of the contacts reached who clicked, 0 to 1."""
        return _share(self.clicked, self.reached)

    @property
    def delivery_rate(self) -> float:
        """Share of the messages sent that were delivered, 0 to 1."""
        return _share(self.reached, self.sent)


class CampaignWithFigures(CampaignRow):
    """A campaign with its figures, read in one statement."""

    figures: Figures


_FIRST_COUNT_INDEX: Final = Figures._fields.index("audience")
CAMPAIGN_COLUMNS: Final = {"status", "status_reason", "started_at"}
_FIGURE_COLUMNS: Final = tuple(
    getattr(Campaign, name).label(f"campaign_{name}") if name in CAMPAIGN_COLUMNS else getattr(CampaignStats, name)
    for name in Figures._fields
)
_SAME_CAMPAIGN: Final = (Campaign.organization_id == CampaignStats.organization_id) & (
    Campaign.id == CampaignStats.campaign_id
)
_FIGURES: Final = prepare(
    select(*_FIGURE_COLUMNS)
    .join_from(CampaignStats, Campaign, _SAME_CAMPAIGN)
    .where(
        CampaignStats.organization_id == bindparam("organization", type_=Uuid),
        CampaignStats.campaign_id == func.any(bindparam("wanted", type_=ARRAY(Uuid))),
    )
)


_ALWAYS_READ: Final = frozenset({"id"})
_ALWAYS_COUNTED: Final = frozenset({"campaign_id"})  # NULL for a campaign without a row of counters
_CAMPAIGN_ID_INDEX: Final = Figures._fields.index("campaign_id")
_WITH_FIGURES: Final = ProjectionCache()


async def read_figures(reads: Reader, campaign_ids: Sequence[UUID]) -> dict[UUID, Figures]:
    """The figures of the tenant's campaigns among the ids, in one statement."""
    parameters = {"organization": reads.tenant.organization_id, "wanted": list(campaign_ids)}
    return {row.campaign_id: row for row in await reads.rows_as(Figures, _FIGURES, parameters)}


def _with_figures(columns: frozenset[str] | None, figures: frozenset[str] | None) -> Select[*tuple[Any, ...]]:
    """The select of one campaign with its figures; None selects all columns."""
    needed = None if columns is None else columns | _ALWAYS_READ
    counted = None if figures is None else figures | _ALWAYS_COUNTED
    return (
        select(*project(CAMPAIGNS.columns, needed), *project(_FIGURE_COLUMNS, counted, "uncounted"))
        .outerjoin_from(Campaign, CampaignStats, _SAME_CAMPAIGN)
        .where(Campaign.id == bindparam("wanted", type_=Uuid))
    )


async def get_with_figures(
    reads: Reader,
    campaign_id: UUID,
    columns: frozenset[str] | None = None,
    figures: frozenset[str] | None = None,
) -> CampaignRow | None:
    """The tenant's campaign with this id, or None; a `CampaignWithFigures` if it has counters. One statement.

    `columns` and `figures` limit the columns that are read besides the id. Other columns may be None.
    """
    statement = _WITH_FIGURES.get("one", _with_figures, columns, figures)
    rows = await reads.rows_as(tuple, statement, {"wanted": campaign_id})
    if not rows:
        return None
    width = len(CAMPAIGNS.columns)
    own, counted = rows[0][:width], rows[0][width:]
    if counted[_CAMPAIGN_ID_INDEX] is None:
        return CampaignRow._make(own)
    campaign = CampaignWithFigures._make(own)
    campaign.figures = Figures._make(counted)
    return campaign


async def read_progress(reads: Reader, campaign_id: UUID) -> ProgressRow | None:
    """The campaign's progress at one moment, or None for an unknown campaign."""
    row = (await read_figures(reads, [campaign_id])).get(campaign_id)
    return None if row is None else _progress_of(row)


async def read_stats(reads: Reader, campaign_id: UUID) -> Figures | None:
    """The campaign's figures, or None for an unknown campaign."""
    return (await read_figures(reads, [campaign_id])).get(campaign_id)


def _progress_of(figures: Figures) -> ProgressRow:
    """The progress that the figures contain."""
    counts = figures.counts
    status = CampaignStatus(figures.status)
    rate = _average_rate(counts, figures.started_at, figures.updated_at) if status == CampaignStatus.SENDING else None
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


def _average_rate(counts: DeliveryCounts, started_at: datetime | None, updated_at: datetime) -> float | None:
    """Messages submitted per second since the campaign started, or None before the first."""
    submitted = counts.audience - counts.pending - counts.in_flight - counts.skipped
    if started_at is None or not submitted:
        return None
    seconds = (updated_at - started_at).total_seconds()
    return submitted / seconds if seconds > 0 else None


def _share(part: int, total: int) -> float:
    """A share from 0 to 1, also while opens are reported before their deliveries."""
    return min(1.0, round(part / total, 4)) if total else 0.0
