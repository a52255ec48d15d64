"""Sending the outbox: what is in doubt is settled first, then what is due is handed over."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.sql import func

from core.access.actor import Actor
from core.database.scopes import SystemScope
from core.unit_of_work import Work
from integrations.mail import Envelope, Mailer, Stream
from models.outbox import OutboxKind
from services.mailing.handover import hand_over
from services.mailing.leases import lease_times
from services.mailing.pacing import reserve
from services.mailing.settings import SendingSettings
from services.outbox.reconciling import expire_leases, reconcile
from services.outbox.recording import record
from services.outbox.submitting import Composer, submit

AT_ONCE = 20
"""Messages of one organisation in a round. Another's do not wait for them: each has a task of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSender:
    """Sends system mail from the installation's own address. Everything it knows is in the rows."""

    settings: SendingSettings
    work: Work
    system: SystemScope
    mailer: Mailer
    composers: Mapping[OutboxKind, Composer]

    async def send_due(self, actor: Actor) -> None:
        """Settle an organisation's doubts, and send all that is due."""
        async with self.work.begin(actor) as uow:
            await expire_leases(uow)
        await reconcile(self.work, self.mailer, actor, grace_seconds=self.settings.reconcile_grace_seconds)
        while await self.send_some(actor):
            pass

    async def send_some(self, actor: Actor) -> bool:
        """Send up to twenty messages that are due; False when none is."""
        times = lease_times(self.settings.lease_seconds, request_seconds=self.mailer.timeout_seconds)
        rate = self.mailer.limits.messages_per_second
        limit = min(AT_ONCE, rate) if rate else AT_ONCE
        await asyncio.sleep(await self.reserve(limit))
        async with self.work.begin(actor) as uow:
            batches = await submit(uow, self.composers, limit=limit, lease_seconds=times.lease)
        await self.reserve(sum(len(batch.messages) for batch in batches or ()) - limit)
        for batch in batches or ():
            envelope = Envelope(
                sender=self.mailer.sender,
                batch_id=str(batch.batch_id),
                tag=batch.kind,
                stream=Stream.TRANSACTIONAL,
            )
            handed = await hand_over(self.mailer, envelope, batch.messages, deadline=batch.deadline, times=times)
            async with self.work.begin(actor) as uow:
                await record(uow, batch, handed, request_seconds=times.request)
        return batches is not None

    async def reserve(self, messages: int) -> float:
        """Reserve (or give back) messages of the account's rate; the seconds to wait."""
        if not messages:
            return 0.0
        return await reserve(self.system, self.mailer.account, messages, self.mailer.limits.messages_per_second)


async def organizations_with_mail(system: SystemScope) -> list[UUID]:
    """The organisations that have system mail to send, or in doubt, at this moment; who waits longest comes first."""
    found = func.system.organizations_with_mail().table_valued("organization_id")
    rows = await system.rows(select(found.c.organization_id))
    return [row[0] for row in rows]
