"""Sending system mail that is due, and looking up what is in doubt, each in a job of its own."""

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
from integrations.mail import BatchHeader, Mailer, Stream
from models.outbox import OutboxKind
from services.mailing.handover import hand_over
from services.mailing.leases import lease_times
from services.mailing.pacing import reserve
from services.mailing.recording import record_with_retry
from services.mailing.settings import SendingSettings
from services.outbox.reconciling import expire_leases, reconcile
from services.outbox.recording import record
from services.outbox.submitting import Composer, count_due, submit

_ROUND_SIZE = 20
"""Messages of one organization in a round; each organization has its own task, so none waits for another."""


class MailNeeds(NamedTuple):
    """The work that an organization's system mail needs now: to be sent, or a lookup at the provider."""

    organization_id: UUID
    send: bool
    reconcile: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSender:
    """Sends system mail from the installation's own address. All state is in the rows."""

    settings: SendingSettings
    work: Work
    system: SystemScope
    mailer: Mailer
    composers: Mapping[OutboxKind, Composer]

    async def send_due(self, actor: Actor) -> None:
        """Send all of an organization's mail that is due."""
        while await self.send_round(actor):
            pass

    async def reconcile(self, actor: Actor) -> None:
        """Look up an organization's mail in doubt, after expiring its leases."""
        async with self.work.begin(actor) as uow:
            await expire_leases(uow)
        await reconcile(self.work, self.mailer, actor, grace_seconds=self.settings.reconcile_grace_seconds)

    async def send_round(self, actor: Actor) -> bool:
        """Send at most `_ROUND_SIZE` due messages; False when none was due."""
        times = lease_times(self.settings.lease_seconds, request_seconds=self.mailer.timeout_seconds)
        rate = self.mailer.limits.messages_per_second
        async with self.work.begin(actor) as uow:
            limit = await count_due(uow, min(_ROUND_SIZE, rate) if rate else _ROUND_SIZE)
        if not limit:
            return False
        await asyncio.sleep(await self.reserve(limit))
        async with self.work.begin(actor) as uow:
            batches = await submit(uow, self.composers, limit=limit, lease_seconds=times.lease)
        await self.reserve(sum(len(batch.messages) for batch in batches or ()) - limit)
        for batch in batches or ():
            header = BatchHeader(
                sender=self.mailer.sender,
                batch_id=str(batch.batch_id),
                tag=batch.kind,
                stream=Stream.TRANSACTIONAL,
            )
            outcomes = await hand_over(self.mailer, header, batch.messages, deadline=batch.deadline, times=times)
            write = partial(record, batch=batch, outcomes=outcomes, request_seconds=times.request)
            await record_with_retry(self.work, actor, batch.batch_id, write)
        return batches is not None

    async def reserve(self, messages: int) -> float:
        """Reserve messages of the account's rate limit, or release some (negative); returns the seconds to wait."""
        if not messages:
            return 0.0
        return await reserve(self.system, self.mailer.account, messages, self.mailer.limits.messages_per_second)


async def organizations_with_mail(system: SystemScope, after: UUID, limit: int) -> list[MailNeeds]:
    """A page of organizations that have due or unknown system mail now, in the order of their ids."""
    organizations = func.system.organizations_with_mail(after, limit).table_valued(*MailNeeds._fields)
    return [MailNeeds._make(row) for row in await system.rows(select(*organizations.c))]
