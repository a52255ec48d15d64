"""Subscription to a campaign's progress."""

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from core.database.scopes import Reader
from core.pubsub import Hub, campaign_topic
from models.campaigns import CampaignStatus
from services.campaigns.listing import CAMPAIGNS
from services.campaigns.progress import ProgressRow, read_progress

_CAMPAIGN_ARGUMENT: Final = ("campaignId",)
_WINDOW: Final = timedelta(seconds=10)
_MIN_RATE_SECONDS: Final = 1.0
"""Over fewer seconds a measured rate would be noise; the average since the start is used instead."""


async def watch_progress(hub: Hub, reads: Reader, campaign_id: UUID | None) -> AsyncGenerator[ProgressRow, None]:
    """The campaign's progress now and after each change, at most 10 times a second, until it is final.

    `sequence` increases strictly. Subscribers of one campaign with the same tenant (organization, user and role, as
    Row Level Security sees it) share the reads. Raises `NotFound` for a campaign that does not exist, or was deleted;
    `HubClosed` when the process shuts down.
    """
    if campaign_id is None:
        raise CAMPAIGNS.not_found(_CAMPAIGN_ARGUMENT)
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
    """Reads a campaign's progress repeatedly, and measures the rate over the last seconds.

    The rate depends on the rows alone, so that the same sequence always gives the same value.
    """

    def __init__(self, reads: Reader, campaign_id: UUID) -> None:
        self.reads = reads
        self.campaign_id = campaign_id
        self.last: ProgressRow | None = None
        self.samples: deque[tuple[datetime, int]] = deque()

    async def read(self) -> ProgressRow:
        """The current progress; raises `NotFound` if the campaign does not exist, or was deleted."""
        row = await read_progress(self.reads, self.campaign_id)
        if row is None:
            raise CAMPAIGNS.not_found(_CAMPAIGN_ARGUMENT)
        if self.last is None or row.sequence > self.last.sequence:
            self.last = self.with_rate(row)
        return self.last

    def with_rate(self, row: ProgressRow) -> ProgressRow:
        """The row with the rate since the oldest sample of the window, once that is long enough."""
        if row.status != CampaignStatus.SENDING:
            self.samples.clear()
            return row
        counts = row.counts
        open_now = counts.pending + counts.in_flight
        self.samples.append((row.updated_at, counts.audience - open_now - counts.skipped))
        while len(self.samples) > 2 and self.samples[1][0] <= row.updated_at - _WINDOW:  # noqa: PLR2004 - a rate takes two
            self.samples.popleft()
        (since, before), (_, submitted) = self.samples[0], self.samples[-1]
        seconds = (row.updated_at - since).total_seconds()
        if seconds < _MIN_RATE_SECONDS:
            return row
        rate = (submitted - before) / seconds
        return row._replace(rate=rate, eta=row.updated_at + timedelta(seconds=open_now / rate) if rate else None)
