"""The jobs of campaigns. Each may be enqueued again at no harm; a sweep does so from the rows."""

from dataclasses import dataclass
from uuid import UUID

from core.queue import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareCampaign(Job):
    """Freeze the audience of a campaign in `preparing`."""

    campaign_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class SendBatches(Job):
    """Send what is pending of a campaign in `sending`."""

    campaign_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvanceCampaign(Job):
    """Start a campaign that is due, expire its leases, skip what is cancelled, end it when nothing is open."""

    campaign_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileCampaign(Job):
    """Ask the provider about a campaign's unknown messages."""

    campaign_id: UUID
