"""How far a campaign is: one row of counts that add up, read without touching the ledger."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, func, select

from core.db import Reads, kept
from models.campaigns import FINAL, Campaign, CampaignStats, CampaignStatus


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

    @property
    def is_final(self) -> bool:
        """Whether the campaign has ended; its counts may still move from one end to another, by webhooks."""
        return self.status in FINAL


class StatsRow(NamedTuple):
    """What became of a campaign: `opened`, `clicked` and `unsubscribed` count contacts, `reached` those delivered."""

    campaign_id: UUID
    counts: Counts
    reached: int
    opened: int
    clicked: int
    unsubscribed: int
    updated_at: datetime


FIGURES: Final = kept(
    select(
        CampaignStats.__table__,
        Campaign.status.label("campaign_status"),
        Campaign.status_reason,
        Campaign.started_at,
    )
    .join(
        Campaign,
        (Campaign.organization_id == CampaignStats.organization_id) & (Campaign.id == CampaignStats.campaign_id),
    )
    .where(
        CampaignStats.organization_id == bindparam("organization", type_=Uuid),
        CampaignStats.campaign_id == func.any(bindparam("wanted", type_=ARRAY(Uuid))),
    )
)


async def read_figures(reads: Reads, campaign_ids: Sequence[UUID]) -> dict[UUID, tuple[ProgressRow, StatsRow]]:
    """Progress and results of each of the tenant's campaigns among the ids, in one statement."""
    rows = await reads.rows(FIGURES, {"organization": reads.tenant.organization_id, "wanted": list(campaign_ids)})
    return {row.campaign_id: (progress_of(row), stats_of(row)) for row in rows}


async def read_progress(reads: Reads, campaign_id: UUID) -> ProgressRow | None:
    """The campaign's progress at one moment, or None for an unknown campaign."""
    found = (await read_figures(reads, [campaign_id])).get(campaign_id)
    return None if found is None else found[0]


async def read_stats(reads: Reads, campaign_id: UUID) -> StatsRow | None:
    """What became of the campaign so far, or None for an unknown campaign."""
    found = (await read_figures(reads, [campaign_id])).get(campaign_id)
    return None if found is None else found[1]


def progress_of(row: Any) -> ProgressRow:  # noqa: ANN401 - a row of `read_figures`
    """The progress in a row."""
    counts = Counts(*(getattr(row, name) for name in Counts._fields))
    status = CampaignStatus(row.campaign_status)
    rate = pace(counts, row.started_at, row.updated_at) if status is CampaignStatus.SENDING else None
    return ProgressRow(
        campaign_id=row.campaign_id,
        status=status,
        status_reason=row.status_reason,
        sequence=row.sequence,
        updated_at=row.updated_at,
        counts=counts,
        rate=rate,
        eta=row.updated_at + timedelta(seconds=(counts.pending + counts.in_flight) / rate) if rate else None,
    )


def stats_of(row: Any) -> StatsRow:  # noqa: ANN401 - the same
    """The results in a row."""
    return StatsRow(
        campaign_id=row.campaign_id,
        counts=Counts(*(getattr(row, name) for name in Counts._fields)),
        reached=row.reached,
        opened=row.opened,
        clicked=row.clicked,
        unsubscribed=row.unsubscribed,
        updated_at=row.updated_at,
    )


def pace(counts: Counts, started_at: datetime | None, updated_at: datetime) -> float | None:
    """Messages handed over per second since the campaign started, or None before the first."""
    handed_over = counts.audience - counts.pending - counts.in_flight - counts.skipped
    if started_at is None or not handed_over:
        return None
    seconds = (updated_at - started_at).total_seconds()
    return handed_over / seconds if seconds > 0 else None
