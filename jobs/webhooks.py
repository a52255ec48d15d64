"""The jobs and sweeps of the provider's webhooks."""

from uuid import UUID

from core.database.scopes import SystemScope
from jobs.sweeper import PAGE, JobPage, sweep_jobs
from jobs.worker import Worker, handles
from services.webhooks.applying import apply_pages
from services.webhooks.attributing import attribute_events, organizations_with_events
from services.webhooks.receiving import UNATTRIBUTED
from services.webhooks.work import ApplyEvents, AttributeEvents

MAX_CONCURRENT = 4
APPLY_SECONDS = 5.0
"""How long one job applies an organization's events, before others of the queue run."""


async def attribute(worker: Worker, _: AttributeEvents) -> None:
    """Attribute events to organizations, and start a job for each of these."""
    for organization_id in await attribute_events(worker.runtime.system):
        worker.start(ApplyEvents(organization_id=organization_id))


async def apply_events(worker: Worker, job: ApplyEvents) -> None:
    """Apply an organization's events that are due."""
    await apply_pages(worker.runtime.work, job.actor, worker.runtime.webhooks, within_seconds=APPLY_SECONDS)


async def find_unattributed(_: SystemScope, __: UUID) -> JobPage:
    """The one job for all events without an organization."""
    return JobPage([AttributeEvents(organization_id=UNATTRIBUTED)])


async def find_events(system: SystemScope, after: UUID) -> JobPage:
    """A page of the jobs of organizations that have events to apply."""
    organizations = await organizations_with_events(system, after, PAGE)
    jobs = [ApplyEvents(organization_id=organization_id) for organization_id in organizations]
    return JobPage(jobs, organizations[-1] if len(organizations) == PAGE else None)


JOBS = (
    handles(AttributeEvents, attribute, max_concurrent=1),
    handles(ApplyEvents, apply_events, max_concurrent=MAX_CONCURRENT),
)
SWEEPS = (
    sweep_jobs(find_unattributed, name="attribute events"),
    sweep_jobs(find_events, name="apply events"),
)
