"""The job of system mail, and who composes it."""

from functools import partial
from typing import Any
from uuid import UUID

from core.access.actor import Actor, system_actor
from jobs.workshop import Workshop, workshop_of
from models.outbox import OutboxKind
from runtime import Runtime
from services import senders
from services.outbox import OutboxSender, actors_with_mail


def outbox_sender(runtime: Runtime) -> OutboxSender:
    """What sends system mail with the runtime's parts."""
    public_url = runtime.settings.public_url
    return OutboxSender(
        settings=runtime.settings,
        work=runtime.work,
        system=runtime.system,
        mailer=runtime.mailer,
        composers={
            OutboxKind.SENDER_CONFIRMATION: partial(senders.compose_confirmation, public_url=public_url),
        },
    )


async def send_outbox(context: dict[str, Any], ids: dict[str, str]) -> None:
    """Send an organisation's system mail that is due."""
    start_sending(workshop_of(context), system_actor(UUID(ids["organization_id"])))


def start_sending(shop: Workshop, actor: Actor) -> None:
    """Send in the background, each organisation's in a task of its own."""
    outbox = outbox_sender(shop.runtime)
    shop.errands.start(f"outbox {actor.organization_id}", lambda: outbox.send_due(actor))


async def start_sending_due(shop: Workshop) -> None:
    """Start what no job has announced, or a worker left behind."""
    for actor in await actors_with_mail(shop.runtime.system):
        start_sending(shop, actor)


FUNCTIONS = (send_outbox,)
