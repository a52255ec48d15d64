"""Jobs and sweeps of deliveries: send batches, look up messages in doubt, create partitions."""

from uuid import UUID

from core.database.scopes import SystemScope
from core.telemetry import logger
from jobs.sweeper import PAGE, JobPage, sweep, sweep_jobs
from jobs.worker import Worker, handles
from services.campaigns.work import AdvanceCampaign, ReconcileCampaign, SendBatches
from services.deliveries.reconciling import reconcile
from services.deliveries.sweeping import campaigns_to_send, clear_waiting_reason, ensure_partitions

DAY_SECONDS = 86_400.0
log = logger(__name__)


def send_batches(worker: Worker, job: SendBatches) -> None:
    """Add a campaign to the sender; without a mail provider, set the reason why it waits."""
    if worker.can_send:
        worker.sender.add(job.organization_id, job.campaign_id)
    else:
        worker.start(AdvanceCampaign(organization_id=job.organization_id, campaign_id=job.campaign_id))


async def reconcile_campaign(worker: Worker, job: ReconcileCampaign) -> None:
    """Look up a campaign's messages in doubt; without a mail provider, set the reason why it waits."""
    if worker.can_send:
        await clear_waiting_reason(worker.runtime.work, job.actor, job.campaign_id)
        await reconcile(
            worker.runtime.work,
            worker.runtime.mailer,
            job.actor,
            job.campaign_id,
            grace_seconds=worker.settings.sending.reconcile_grace_seconds,
        )
    else:
        worker.start(AdvanceCampaign(organization_id=job.organization_id, campaign_id=job.campaign_id))


async def find_campaigns(system: SystemScope, after: UUID) -> JobPage:
    """A page of the jobs of campaigns with pending messages."""
    campaigns = await campaigns_to_send(system, after, PAGE)
    jobs = [SendBatches(organization_id=each.organization_id, campaign_id=each.campaign_id) for each in campaigns]
    return JobPage(jobs, campaigns[-1].campaign_id if len(campaigns) == PAGE else None)


async def create_partitions(worker: Worker) -> None:
    """Create the partitions of the coming months."""
    log.info("partitions checked", made=await ensure_partitions(worker.runtime.system))


JOBS = (handles(SendBatches, send_batches), handles(ReconcileCampaign, reconcile_campaign, max_concurrent=10))
SWEEPS = (
    sweep_jobs(find_campaigns, name="send campaigns", exclusive=False),
    sweep(create_partitions, name="create partitions", every=DAY_SECONDS),
)
