"""The doorbell's words for the engine. Each can be rung again at no harm; the sweeper does so from the rows."""

from dataclasses import dataclass
from typing import ClassVar
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
class TendCampaign(Job):
    """Do to a campaign what the sweeper would: lapse leases, skip what is cancelled, finish."""

    campaign_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileCampaign(Job):
    """Ask the provider about a campaign's messages in doubt."""

    campaign_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyEvents(Job):
    """Apply what the provider told us of an organisation's messages: many events at a time."""

    gather_seconds: ClassVar[float] = 0.2
