"""The jobs of campaigns. All are idempotent; a sweep enqueues them again from the rows."""

from dataclasses import dataclass
from uuid import UUID

from core.queue import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareCampaign(Job):
    """Freeze the audience of a campaign in `preparing`."""

    campaign_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class SendBatches(Job):
    """Send the pending deliveries of a campaign in `sending`."""

    campaign_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvanceCampaign(Job):
    """Start a campaign that is due, expire its leases, skip cancelled deliveries, end it when none is open."""

    campaign_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileCampaign(Job):
    """Look up a campaign's deliveries of status `unknown` at the provider."""

    campaign_id: UUID
