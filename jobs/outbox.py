"""The jobs and the sweep of system mail, with the function that composes each kind."""

from functools import partial
from uuid import UUID

from core.database.scopes import SystemScope
from jobs.sweeper import PAGE, JobPage, sweep_jobs
from jobs.worker import Worker, handles
from models.outbox import OutboxKind
from runtime import Runtime
from services.outbox.sending import OutboxSender, organizations_with_mail
from services.outbox.work import ReconcileOutbox, SendOutbox
from services.senders import confirming


def outbox_sender(runtime: Runtime) -> OutboxSender:
    """The sender of system mail, from the runtime."""
    public_url = runtime.settings.public_url
    return OutboxSender(
        settings=runtime.settings.sending,
        work=runtime.work,
        system=runtime.system,
        mailer=runtime.mailer,
        composers={
            OutboxKind.SENDER_CONFIRMATION: partial(confirming.compose_confirmation, public_url=public_url),
        },
    )


async def send_outbox(worker: Worker, job: SendOutbox) -> None:
    """Send an organization's due system mail; without a mail provider it waits."""
    if worker.can_send:
        await outbox_sender(worker.runtime).send_due(job.actor)


async def reconcile_outbox(worker: Worker, job: ReconcileOutbox) -> None:
    """Look up an organization's system mail in doubt."""
    if worker.can_send:
        await outbox_sender(worker.runtime).reconcile(job.actor)


async def find_outbox(system: SystemScope, after: UUID) -> JobPage:
    """A page of the jobs of organizations with due or unknown system mail."""
    organizations = await organizations_with_mail(system, after, PAGE)
    jobs = [
        job(organization_id=organization.organization_id)
        for organization in organizations
        for job, is_needed in ((SendOutbox, organization.send), (ReconcileOutbox, organization.reconcile))
        if is_needed
    ]
    return JobPage(jobs, organizations[-1].organization_id if len(organizations) == PAGE else None)


JOBS = (
    handles(SendOutbox, send_outbox, max_concurrent=20),
    handles(ReconcileOutbox, reconcile_outbox, max_concurrent=10),
)
SWEEPS = (sweep_jobs(find_outbox, name="send outbox"),)
