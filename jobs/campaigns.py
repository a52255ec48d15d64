"""Jobs and sweeps of campaigns: prepare the audience, start due campaigns, finish those without open deliveries."""

from uuid import UUID

from core.database.scopes import SystemScope
from jobs.sweeper import PAGE, JobPage, sweep_jobs
from jobs.worker import Worker, handles
from models.campaigns import CampaignStatus
from services.campaigns.work import AdvanceCampaign, PrepareCampaign, ReconcileCampaign, SendBatches
from services.deliveries.preparing import prepare
from services.deliveries.sweeping import advance_campaign, campaigns_to_advance

MAX_CONCURRENT = 4
PREPARE_SECONDS = 5.0
"""How long one job prepares a campaign, before other jobs of the queue run."""


async def prepare_campaign(worker: Worker, job: PrepareCampaign) -> None:
    """Prepare a campaign's audience, for up to `PREPARE_SECONDS`; then another job continues."""
    await prepare(worker.runtime.work, job.actor, job.campaign_id, within_seconds=PREPARE_SECONDS)


async def advance(worker: Worker, job: AdvanceCampaign) -> None:
    """Advance a campaign, and start the jobs that it needs next."""
    remaining = await advance_campaign(worker.runtime.work, job.actor, job.campaign_id, worker.runtime.features)
    ids = {"organization_id": job.organization_id, "campaign_id": job.campaign_id}
    if remaining.more_to_skip:
        worker.start(AdvanceCampaign(**ids))
    if not worker.can_send:
        return
    if remaining.unknown:
        worker.start(ReconcileCampaign(**ids))
    if remaining.status == CampaignStatus.SENDING and remaining.pending:
        worker.start(SendBatches(**ids))


async def find_campaigns(system: SystemScope, after: UUID) -> JobPage:
    """A page of the jobs that campaigns need."""
    campaigns = await campaigns_to_advance(system, after, PAGE)
    jobs = [
        job(organization_id=campaign.organization_id, campaign_id=campaign.campaign_id)
        for campaign in campaigns
        for job, is_needed in (
            (PrepareCampaign, campaign.prepare),
            (AdvanceCampaign, campaign.advance),
            (ReconcileCampaign, campaign.reconcile),
        )
        if is_needed
    ]
    return JobPage(jobs, campaigns[-1].campaign_id if len(campaigns) == PAGE else None)


JOBS = (
    handles(PrepareCampaign, prepare_campaign, max_concurrent=MAX_CONCURRENT),
    handles(AdvanceCampaign, advance, max_concurrent=MAX_CONCURRENT),
)
SWEEPS = (sweep_jobs(find_campaigns, name="advance campaigns"),)
