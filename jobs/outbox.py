"""The jobs and sweep of system mail, and who composes it."""

from functools import partial
from uuid import UUID

from core.database.scopes import SystemScope
from jobs.sweeper import PAGE, Page, sweep_jobs
from jobs.worker import Worker, handles
from models.outbox import OutboxKind
from runtime import Runtime
from services.outbox.sending import OutboxSender, organizations_with_mail
from services.outbox.work import ReconcileOutbox, SendOutbox
from services.senders import confirming


def outbox_sender(runtime: Runtime) -> OutboxSender:
    """What sends system mail with the runtime's parts."""
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
    """Send an organization's system mail that is due; it waits where there is no provider."""
    if worker.sends:
        await outbox_sender(worker.runtime).send_due(job.actor)


async def reconcile_outbox(worker: Worker, job: ReconcileOutbox) -> None:
    """Ask the provider about an organization's system mail in doubt."""
    if worker.sends:
        await outbox_sender(worker.runtime).reconcile(job.actor)


async def find_outbox(system: SystemScope, after: UUID) -> Page:
    """The organizations with mail that no job has announced, or that a worker left behind."""
    found = await organizations_with_mail(system, after, PAGE)
    jobs = [
        job(organization_id=needs.organization_id)
        for needs in found
        for job, is_needed in ((SendOutbox, needs.send), (ReconcileOutbox, needs.reconcile))
        if is_needed
    ]
    return Page(jobs, found[-1].organization_id if len(found) == PAGE else None)


JOBS = (
    handles(SendOutbox, send_outbox, max_concurrent=20),
    handles(ReconcileOutbox, reconcile_outbox, max_concurrent=10),
)
SWEEPS = (sweep_jobs(find_outbox, name="send outbox"),)
