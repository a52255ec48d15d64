"""The job and sweep of the provider's webhooks."""

from uuid import UUID

from core.database.scopes import SystemScope
from jobs.sweeper import Page, sweep_jobs
from jobs.worker import Worker, handles
from services.webhooks.applying import apply_everything
from services.webhooks.receiving import NOBODY
from services.webhooks.work import ApplyEvents


async def apply_events(worker: Worker, _: ApplyEvents) -> None:
    """Apply the events that wait in the inbox, of every organisation."""
    await apply_everything(worker.runtime.work, worker.runtime.system, worker.runtime.webhooks)


async def find_events(_: SystemScope, __: UUID) -> Page:
    """One job for the whole inbox: whose an event is, the job finds out."""
    return Page([ApplyEvents(organization_id=NOBODY)])


JOBS = (handles(ApplyEvents, apply_events),)
SWEEPS = (sweep_jobs(find_events, name="apply events"),)
