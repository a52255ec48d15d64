"""The job and sweep of system mail, and who composes it."""

from functools import partial
from uuid import UUID

from core.database.scopes import SystemScope
from jobs.sweeper import Page, sweep_jobs
from jobs.worker import Worker, handles
from models.outbox import OutboxKind
from runtime import Runtime
from services.outbox.sending import OutboxSender, organizations_with_mail
from services.outbox.work import SendOutbox
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
    """Send an organisation's system mail that is due; it waits where there is no provider."""
    if worker.sends:
        await outbox_sender(worker.runtime).send_due(job.actor)


async def find_outbox(system: SystemScope, _: UUID) -> Page:
    """The organisations with mail that no job has announced, or that a worker left behind; longest wait first."""
    return Page([SendOutbox(organization_id=found) for found in await organizations_with_mail(system)])


JOBS = (handles(SendOutbox, send_outbox, max_concurrent=20),)
SWEEPS = (sweep_jobs(find_outbox, name="send outbox"),)
