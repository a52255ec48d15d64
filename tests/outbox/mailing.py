"""The steps of a worker with system mail, one by one, without waiting."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, update

from core.access.actor import Actor
from core.ids import new_id
from core.unit_of_work import UnitOfWork
from integrations.mail import Mailer
from models.outbox import OutboxKind, OutboxMessage, OutboxStatus
from runtime import Runtime
from services.outbox import writing
from services.outbox.sending import OutboxSender
from services.outbox.submitting import ComposedMail, OutboxItem

KIND = OutboxKind.SENDER_CONFIRMATION
DAY = timedelta(days=1)


async def compose_plain(_: UnitOfWork, item: OutboxItem) -> ComposedMail:
    """A message that needs no other rows."""
    return ComposedMail(subject="Hello", text=f"About {item.target_id}", html=f"<p>About {item.target_id}</p>")


def outbox_of(
    runtime: Runtime,
    mailer: Mailer,
    compose: Callable[[UnitOfWork, OutboxItem], Any] = compose_plain,
    *,
    grace: float = 0.0,
) -> OutboxSender:
    """The sender of system mail through a mailer; by default without a pause between two lookups."""
    sending = runtime.settings.sending.model_copy(update={"reconcile_grace_seconds": grace})
    return OutboxSender(
        settings=sending,
        work=runtime.work,
        system=runtime.system,
        mailer=mailer,
        composers={KIND: compose},
    )


async def reconcile_and_send(sender: OutboxSender, actor: Actor) -> None:
    """Run the organization's two jobs in sequence: look up messages in doubt, then send due ones."""
    await sender.reconcile(actor)
    await sender.send_due(actor)


async def put(runtime: Runtime, actor: Actor, how_many: int = 1, *, expires_in: timedelta = DAY) -> list[UUID]:
    """Write this number of messages in one unit of work; returns their ids."""
    async with runtime.work.begin(actor) as uow:
        ids = [
            await writing.enqueue(uow, KIND, new_id(), f"to-{new_id().hex}@example.com", expires_in=expires_in)
            for _ in range(how_many)
        ]
    return [one for one in ids if one is not None]


async def rows(runtime: Runtime, actor: Actor) -> Sequence[Row[Any]]:
    """The organization's messages, oldest first."""
    columns = OutboxMessage.__table__.c
    return await runtime.reads(actor.tenant).rows(select(*columns).order_by(columns.id))


async def statuses(runtime: Runtime, actor: Actor) -> list[OutboxStatus]:
    """The status of each message, oldest first."""
    return [OutboxStatus(row.status) for row in await rows(runtime, actor)]


async def expire_all(runtime: Runtime, actor: Actor) -> None:
    """Let all leases and pauses end."""
    async with runtime.work.begin(actor) as uow:
        await uow.execute(
            update(OutboxMessage).values(due_at=OutboxMessage.created_at, lease_until=OutboxMessage.created_at)
        )
