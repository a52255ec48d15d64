"""The sender of a process: several batches in flight, organisations in slot."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from uuid import UUID

from cachetools import LRUCache

from cancellation.deadlines import sleep_unless
from core.access.actor import Actor, system_actor
from core.access.tenant import Tenant
from core.clock import since_boot
from core.database.scopes import Reads, SystemScope
from core.errors import InputErrors
from core.security import Signer
from core.telemetry import logger
from core.unit_of_work import UnitOfWork, Work
from integrations.mail import AccountRefused, Envelope, Mailer, NotSent
from models.campaigns import CampaignStatus
from services.campaigns.lifecycle import InvalidCampaignState, move
from services.campaigns.work import AdvanceCampaign
from services.deliveries.claiming import START, Claim, claim
from services.deliveries.composing import CampaignMail, Composed, SenderNotSettled, compose, load_mail
from services.deliveries.counting import counts_missing_pending, verify_counts
from services.deliveries.fair_scheduler import FairScheduler
from services.deliveries.recording import record, trouble
from services.deliveries.submitting import submit
from services.deliveries.waiting import explain_waiting, tells_waiting
from services.mailing.handover import Handed, hand_over
from services.mailing.leases import LeaseTimes, lease_times
from services.mailing.pacing import ProviderBackoff, reserve
from services.mailing.recording import record_with_retry
from services.mailing.settings import SendingSettings

MAX_CACHED_CAMPAIGNS = 50
NO_SENDER = "It is not known whom the campaign is sent from. Cancel it, and send a copy (`duplicateCampaign`)."
log = logger(__name__)


class Batch(NamedTuple):
    """How many recipients were claimed, and how many handed over."""

    claimed: int = 0
    handed_over: int = 0


@dataclass(slots=True, kw_only=True)
class Sender:
    """Sends what is pending of the campaigns added to it. Everything it knows is in the ledger as well."""

    settings: SendingSettings
    public_url: str
    work: Work
    system: SystemScope
    reads: Callable[[Tenant], Reads]
    mailer: Mailer
    signer: Signer
    backoff: ProviderBackoff = field(default_factory=ProviderBackoff)
    scheduler: FairScheduler = field(default_factory=FairScheduler)
    mails: LRUCache[UUID, CampaignMail] = field(default_factory=lambda: LRUCache(MAX_CACHED_CAMPAIGNS))
    cursors: dict[UUID, UUID] = field(default_factory=dict)

    @property
    def times(self) -> LeaseTimes:
        """The times that the settings give."""
        return lease_times(self.settings.lease_seconds, request_seconds=self.mailer.timeout_seconds)

    def add(self, organization_id: UUID, campaign_id: UUID) -> None:
        """A campaign has something to send; returns at once."""
        self.scheduler.add(organization_id, campaign_id)

    def stop(self) -> None:
        """Claim nothing more; each `send_loop` returns when its batch in flight, if any, is recorded."""
        self.scheduler.close()

    async def send_loop(self) -> None:
        """Send one batch after the other, organisations in turn, until stopped. A process runs several loops."""
        while (slot := await self.scheduler.next()) is not None:
            if not await self.rest(self.backoff.remaining):
                return
            try:
                batch = await self.send_batch(system_actor(slot.organization_id), slot.campaign_id)
            except Exception:
                # Whatever it was (the database restarts, say), the rows say where the batch stands. The campaign
                # waits for the next sweep, and the others do not wait for it.
                log.exception("batch failed; the next sweep goes on", campaign_id=str(slot.campaign_id))
                self.scheduler.remove(slot)
                continue
            if not batch.claimed:
                self.scheduler.remove(slot)

    async def send_batch(self, actor: Actor, campaign_id: UUID) -> Batch:
        """Claim one batch of a campaign and deliver it."""
        mail = await self.mail_of(actor, campaign_id)
        if mail is None:
            return Batch()
        most = await self.allowance(mail.most)
        if not most:
            return Batch()
        claimed = await self.take(actor, mail, most)
        return await self.deliver(actor, mail, claimed) if claimed.rows else Batch()

    async def deliver(self, actor: Actor, mail: CampaignMail, claimed: Claim) -> Batch:
        """Render, submit, hand over and record a claimed batch. Nothing but the claim tells that it is ours."""
        campaign_id = mail.campaign_id
        composed = await compose(
            claimed,
            mail,
            signer=self.signer,
            public_url=self.public_url,
            until=min(since_boot() + self.times.compose, claimed.deadline - self.times.needed),
        )
        await self.adapt_batch_size(campaign_id, claimed, composed)
        async with self.work.begin(actor) as uow:
            messages = await submit(uow, claimed, composed, self.times)
        if messages:
            envelope = Envelope(
                sender=mail.sender, campaign_id=str(campaign_id), batch_id=str(claimed.batch_id), tag=mail.tag
            )
            handed = await hand_over(self.mailer, envelope, messages, deadline=claimed.deadline, times=self.times)
            await self.record(actor, claimed, handed)
            await self.apply_backpressure(actor, campaign_id, handed)
        return Batch(len(claimed.rows), len(messages))

    async def adapt_batch_size(self, campaign_id: UUID, claimed: Claim, composed: Composed) -> None:
        """Claim no more next time than could be composed in time; while all can, up to twice as many."""
        if not composed.rest:
            self.resize(campaign_id, 2 * len(claimed.rows))
            return
        self.resize(campaign_id, len(claimed.rows) - len(composed.rest), shrink=True)
        await self.reserve(-len(composed.rest))

    def resize(self, campaign_id: UUID, most: int, *, shrink: bool = False) -> None:
        """Let the campaign's next batches be larger, or smaller; nothing happens to one that is not kept."""
        mail = self.mails.get(campaign_id)
        if mail is None:
            return
        if shrink:
            self.cursors.pop(campaign_id, None)
        wanted = min(mail.most, most) if shrink else max(mail.most, most)
        self.mails[campaign_id] = replace(mail, most=max(1, min(mail.limit, wanted)))

    async def take(self, actor: Actor, mail: CampaignMail, most: int) -> Claim:
        """Claim the next batch: from where this process's last claim ended, else from the front."""
        after = self.cursors.pop(mail.campaign_id, START)
        claimed = await self.claim_after(actor, mail, most, after)
        if not claimed.rows and after != START:
            claimed = await self.claim_after(actor, mail, most, START)
        if not claimed.rows:
            await self.correct_pending(actor, mail.campaign_id)
        if claimed.rows:
            self.cursors[mail.campaign_id] = max(row[0] for row in claimed.rows)
        if len(claimed.rows) < most:
            await self.reserve(len(claimed.rows) - most)
        return claimed

    async def correct_pending(self, actor: Actor, campaign_id: UUID) -> None:
        """Put the counters right when they know of something pending that is not there: no sweep would end it."""
        if not await counts_missing_pending(self.reads(actor.tenant), campaign_id):
            return
        async with self.work.begin(actor) as uow:
            await verify_counts(uow, campaign_id)
            uow.enqueue(AdvanceCampaign(organization_id=actor.organization_id, campaign_id=campaign_id))

    async def claim_after(self, actor: Actor, mail: CampaignMail, most: int, after: UUID) -> Claim:
        """Claim a batch beyond a delivery."""
        async with self.work.begin(actor) as uow:
            return await claim(
                uow,
                mail.campaign_id,
                most=most,
                lease_seconds=self.times.lease,
                after=after,
                custom_fields=mail.custom_fields,
                tags=mail.tags,
            )

    async def mail_of(self, actor: Actor, campaign_id: UUID) -> CampaignMail | None:
        """The campaign's compiled content, kept for the latest campaigns."""
        mail = self.mails.get(campaign_id)
        if mail is None:
            mail = await self.load(actor, campaign_id)
            if mail is None:
                return None
            self.mails[campaign_id] = mail
        return mail

    async def load(self, actor: Actor, campaign_id: UUID) -> CampaignMail | None:
        """Read and compile the campaign's content; one that cannot be sent so is paused with the reason."""
        try:
            mail = await load_mail(
                self.reads(actor.tenant),
                campaign_id,
                batch_size=min(self.settings.batch_size, self.mailer.limits.max_messages),
            )
        except SenderNotSettled:
            await self.pause(actor, campaign_id, NO_SENDER)
            return None
        except InputErrors as error:
            await self.pause(actor, campaign_id, f"The content cannot be rendered: {error}")
            return None
        if mail is not None and tells_waiting(mail.reason):
            async with self.work.begin(actor) as uow:
                await explain_waiting(uow, campaign_id, mail.reason, waits=False)
        return mail

    async def allowance(self, most: int) -> int:
        """How many messages may go in the next batch, after waiting for the account's rate; none once stopped."""
        rate = self.mailer.limits.messages_per_second
        allowed = min(most, rate) if rate else most
        if await self.rest(await self.reserve(allowed)):
            return allowed
        await self.reserve(-allowed)
        return 0

    async def rest(self, seconds: float) -> bool:
        """Sleep, but not beyond the stop; whether to go on."""
        if seconds > 0:
            await sleep_unless(self.scheduler.closing, seconds)
        return not self.scheduler.closed

    async def reserve(self, messages: int) -> float:
        """Reserve (or give back) messages of the account's rate."""
        return await reserve(self.system, self.mailer.account, messages, self.mailer.limits.messages_per_second)

    async def record(self, actor: Actor, claimed: Claim, handed: list[Handed]) -> None:
        """Record what became of a batch."""

        async def write(uow: UnitOfWork) -> None:
            await record(uow, claimed, handed, request_seconds=self.times.request)

        await record_with_retry(self.work, actor, claimed.batch_id, write)

    async def apply_backpressure(self, actor: Actor, campaign_id: UUID, handed: list[Handed]) -> None:
        """Back off, or pause the campaign, on account-level errors."""
        found = trouble(handed)
        if found is None:
            self.backoff.succeed()
            return
        self.cursors.pop(campaign_id, None)
        if isinstance(found, NotSent) and found.local:
            self.resize(campaign_id, sum(len(part.messages) for part in handed) // 2, shrink=True)
            log.warning(
                "batch not sent in time, making it smaller", campaign_id=str(campaign_id), reason=found.reason
            )
        elif isinstance(found, AccountRefused):
            await self.pause(actor, campaign_id, found.reason)
        else:
            wanted = found.retry_after_seconds if isinstance(found, NotSent) else None
            pause = self.backoff.fail(wanted)
            log.warning("provider fails, backing off", reason=type(found).__name__, seconds=round(pause, 1))

    async def pause(self, actor: Actor, campaign_id: UUID, reason: str) -> None:
        """Pause a campaign with a reason that a person can act on."""
        try:
            async with self.work.begin(actor) as uow:
                await move(uow, campaign_id, CampaignStatus.PAUSED, reason=reason)
        except InvalidCampaignState as conflict:
            log.info("campaign not paused", campaign_id=str(campaign_id), status=conflict.status)
        else:
            log.error("campaign paused; its statusReason says why", campaign_id=str(campaign_id))
