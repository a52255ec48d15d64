"""A campaign's progress as a state stream."""

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from core.database.scopes import Reads
from core.pubsub import Hub, campaign_topic
from models.campaigns import CampaignStatus
from services.campaigns.listing import CAMPAIGNS
from services.campaigns.progress import ProgressRow, read_progress

CAMPAIGN_ARGUMENT: Final = ("campaignId",)
WINDOW: Final = timedelta(seconds=10)
MIN_PACE_SECONDS: Final = 1.0
"""Seconds below which a pace would be noise; until then the average since the start stands in."""


async def watch_progress(hub: Hub, reads: Reads, campaign_id: UUID | None) -> AsyncGenerator[ProgressRow, None]:
    """The campaign's progress now and at each change, at most 10 a second, until it is final.

    `sequence` rises without repeat. Viewers of one campaign share its reads, where Row Level Security sees the same
    tenant in them. Raises `NotFound` for what is no campaign of the tenant's, or is one no longer; `HubClosed` when
    the process shuts down.
    """
    if campaign_id is None:
        raise CAMPAIGNS.not_found(CAMPAIGN_ARGUMENT)
    organization_id = reads.tenant.organization_id
    rows = hub.shared(
        ("campaignProgress", reads.tenant, campaign_id),
        campaign_topic(organization_id, campaign_id),
        ProgressReader(reads, campaign_id).read,
        is_final=lambda row: row.is_final,
    )
    async with aclosing(rows):
        async for row in rows:
            yield row


class ProgressReader:
    """Reads a campaign's progress again and again, and measures the pace over the last seconds.

    The pace depends on the rows alone, so that the same sequence always gives the same value.
    """

    def __init__(self, reads: Reads, campaign_id: UUID) -> None:
        self.reads = reads
        self.campaign_id = campaign_id
        self.shown: ProgressRow | None = None
        self.samples: deque[tuple[datetime, int]] = deque()

    async def read(self) -> ProgressRow:
        """The progress at this moment; raises `NotFound` when the campaign is not there (any more)."""
        row = await read_progress(self.reads, self.campaign_id)
        if row is None:
            raise CAMPAIGNS.not_found(CAMPAIGN_ARGUMENT)
        if self.shown is None or row.sequence > self.shown.sequence:
            self.shown = self.paced(row)
        return self.shown

    def paced(self, row: ProgressRow) -> ProgressRow:
        """The row with the pace since the oldest sample of the window, once that is long enough."""
        if row.status != CampaignStatus.SENDING:
            self.samples.clear()
            return row
        counts = row.counts
        open_now = counts.pending + counts.in_flight
        self.samples.append((row.updated_at, counts.audience - open_now - counts.skipped))
        while len(self.samples) > 2 and self.samples[1][0] <= row.updated_at - WINDOW:  # noqa: PLR2004 - a pace takes two
            self.samples.popleft()
        (since, before), (_, handed_over) = self.samples[0], self.samples[-1]
        seconds = (row.updated_at - since).total_seconds()
        if seconds < MIN_PACE_SECONDS:
            return row
        rate = (handed_over - before) / seconds
        return row._replace(rate=rate, eta=row.updated_at + timedelta(seconds=open_now / rate) if rate else None)
