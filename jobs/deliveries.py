"""Jobs and sweeps of deliveries: send batches, ask the provider about unknown messages."""

from uuid import UUID

from core.database.scopes import SystemScope
from core.telemetry import logger
from jobs.sweeper import PAGE, Page, sweep, sweep_jobs
from jobs.worker import Worker, handles
from services.campaigns.work import AdvanceCampaign, ReconcileCampaign, SendBatches
from services.deliveries.reconciling import reconcile
from services.deliveries.sweeping import campaigns_to_send, clear_waiting_reason, ensure_partitions

DAY_SECONDS = 86_400.0
log = logger(__name__)


def send_batches(worker: Worker, job: SendBatches) -> None:
    """Send what is pending of a campaign, in turn with others; without a provider, let it say why it waits."""
    if worker.sends:
        worker.sender.add(job.organization_id, job.campaign_id)
    else:
        worker.start(AdvanceCampaign(organization_id=job.organization_id, campaign_id=job.campaign_id))


async def reconcile_campaign(worker: Worker, job: ReconcileCampaign) -> None:
    """Ask the provider about a campaign's unknown messages; without one, let the campaign say why it waits."""
    if worker.sends:
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


async def find_campaigns(system: SystemScope, after: UUID) -> Page:
    """Campaigns that have messages to send."""
    found = await campaigns_to_send(system, after, PAGE)
    jobs = [SendBatches(organization_id=each.organization_id, campaign_id=each.campaign_id) for each in found]
    return Page(jobs, found[-1].campaign_id if len(found) == PAGE else None)


async def make_partitions(worker: Worker) -> None:
    """Make the coming months' partitions."""
    log.info("partitions checked", made=await ensure_partitions(worker.runtime.system))


JOBS = (handles(SendBatches, send_batches), handles(ReconcileCampaign, reconcile_campaign, max_concurrent=10))
SWEEPS = (
    sweep_jobs(find_campaigns, name="send campaigns", alone=False),
    sweep(make_partitions, name="make partitions", every=DAY_SECONDS),
)
