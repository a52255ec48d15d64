"""Sending the outbox: what is due is handed over, and what is in doubt is asked about, each in a job of its own."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple
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
from services.mailing.recording import record_with_retry
from services.mailing.settings import SendingSettings
from services.outbox.reconciling import expire_leases, reconcile
from services.outbox.recording import record
from services.outbox.submitting import Composer, count_due, submit

AT_ONCE = 20
"""Messages of one organisation in a round. Another's do not wait for them: each has a task of its own."""


class MailNeeds(NamedTuple):
    """What an organisation's system mail asks for now: to be sent, or to be asked about at the provider."""

    organization_id: UUID
    send: bool
    reconcile: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSender:
    """Sends system mail from the installation's own address. Everything it knows is in the rows."""

    settings: SendingSettings
    work: Work
    system: SystemScope
    mailer: Mailer
    composers: Mapping[OutboxKind, Composer]

    async def send_due(self, actor: Actor) -> None:
        """Send all of an organisation's mail that is due."""
        while await self.send_some(actor):
            pass

    async def reconcile(self, actor: Actor) -> None:
        """Ask about an organisation's mail of which nobody knows whether it was sent."""
        async with self.work.begin(actor) as uow:
            await expire_leases(uow)
        await reconcile(self.work, self.mailer, actor, grace_seconds=self.settings.reconcile_grace_seconds)

    async def send_some(self, actor: Actor) -> bool:
        """Send up to twenty messages that are due; False when none is."""
        times = lease_times(self.settings.lease_seconds, request_seconds=self.mailer.timeout_seconds)
        rate = self.mailer.limits.messages_per_second
        async with self.work.begin(actor) as uow:
            limit = await count_due(uow, min(AT_ONCE, rate) if rate else AT_ONCE)
        if not limit:
            return False
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
            write = partial(record, batch=batch, handed=handed, request_seconds=times.request)
            await record_with_retry(self.work, actor, batch.batch_id, write)
        return batches is not None

    async def reserve(self, messages: int) -> float:
        """Reserve (or give back) messages of the account's rate; the seconds to wait."""
        if not messages:
            return 0.0
        return await reserve(self.system, self.mailer.account, messages, self.mailer.limits.messages_per_second)


async def organizations_with_mail(system: SystemScope, after: UUID, limit: int) -> list[MailNeeds]:
    """The organisations that have system mail to send, or in doubt, at this moment, by id, beyond one."""
    found = func.system.organizations_with_mail(after, limit).table_valued(*MailNeeds._fields)
    return [MailNeeds._make(row) for row in await system.rows(select(*found.c))]
