"""The sending loops of a worker process: several batches at a time, round-robin over organizations."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from uuid import UUID

from cachetools import LRUCache

from cancellation.deadlines import sleep_unless
from core.access.actor import Actor, system_actor
from core.access.tenant import Tenant
from core.clock import since_boot
from core.database.scopes import Reader, SystemScope
from core.errors import InputErrors
from core.security import Signer
from core.telemetry import logger
from core.unit_of_work import UnitOfWork, Work
from integrations.mail import AccountRefused, BatchHeader, Mailer, NotSent
from models.campaigns import CampaignStatus
from services.campaigns.lifecycle import InvalidCampaignState, change_status
from services.campaigns.work import AdvanceCampaign
from services.deliveries.claiming import START, Claim, claim
from services.deliveries.counting import counts_missing_pending, verify_counts
from services.deliveries.fair_scheduler import FairScheduler
from services.deliveries.recording import backpressure_cause, record
from services.deliveries.rendering import CampaignContent, NoFromHeader, RenderedBatch, load_content, render_batch
from services.deliveries.submitting import submit
from services.deliveries.waiting import is_waiting_reason, set_waiting_reason
from services.mailing.handover import RequestOutcome, hand_over
from services.mailing.leases import LeaseTimes, lease_times
from services.mailing.pacing import ProviderBackoff, reserve
from services.mailing.recording import record_with_retry
from services.mailing.settings import SendingSettings

_MAX_CACHED_CAMPAIGNS = 50
NO_SENDER = "The campaign has no sender. Cancel it, and send a copy (`duplicateCampaign`)."
log = logger(__name__)


class BatchResult(NamedTuple):
    """How many deliveries were claimed, and how many of their messages were submitted to the provider."""

    claimed: int = 0
    handed_over: int = 0


@dataclass(slots=True, kw_only=True)
class CampaignSender:
    """Sends the pending deliveries of the campaigns added to it. Its state is a cache of that in the rows."""

    settings: SendingSettings
    public_url: str
    work: Work
    system: SystemScope
    reads: Callable[[Tenant], Reader]
    mailer: Mailer
    signer: Signer
    backoff: ProviderBackoff = field(default_factory=ProviderBackoff)
    scheduler: FairScheduler = field(default_factory=FairScheduler)
    contents: LRUCache[UUID, CampaignContent] = field(default_factory=lambda: LRUCache(_MAX_CACHED_CAMPAIGNS))
    cursors: dict[UUID, UUID] = field(default_factory=dict)

    @property
    def times(self) -> LeaseTimes:
        """The lease time of the settings, divided into its parts."""
        return lease_times(self.settings.lease_seconds, request_seconds=self.mailer.timeout_seconds)

    def add(self, organization_id: UUID, campaign_id: UUID) -> None:
        """Add a campaign that has something to send; does not wait."""
        self.scheduler.add(organization_id, campaign_id)

    def stop(self) -> None:
        """Claim no more batches; each `send_loop` returns after its current batch is recorded."""
        self.scheduler.close()

    async def send_loop(self) -> None:
        """Send one batch after the other, round-robin, until stopped. A process runs several loops."""
        while (slot := await self.scheduler.next()) is not None:
            if not await self.sleep_unless_stopped(self.backoff.remaining):
                return
            try:
                batch = await self.send_batch(system_actor(slot.organization_id), slot.campaign_id)
            except Exception:
                # A restart of the database, for example. The rows have the state of the batch; the campaign waits
                # for the next sweep, so that it does not delay the others.
                log.exception("batch failed; the next sweep retries", campaign_id=str(slot.campaign_id))
                self.scheduler.remove(slot)
                continue
            if not batch.claimed:
                self.scheduler.remove(slot)

    async def send_batch(self, actor: Actor, campaign_id: UUID) -> BatchResult:
        """Claim a batch of a campaign and send it; an empty result if there is nothing to send."""
        content = await self.content_of(actor, campaign_id)
        if content is None:
            return BatchResult()
        allowed = await self.wait_for_rate(content.batch_size)
        if not allowed:
            return BatchResult()
        claim = await self.claim_batch(actor, content, allowed)
        return await self.deliver(actor, content, claim) if claim.rows else BatchResult()

    async def deliver(self, actor: Actor, content: CampaignContent, claim: Claim) -> BatchResult:
        """Render, submit, send and record a claimed batch."""
        campaign_id = content.campaign_id
        rendered = await render_batch(
            claim,
            content,
            signer=self.signer,
            public_url=self.public_url,
            until=min(since_boot() + self.times.render, claim.deadline - self.times.needed),
        )
        await self.adapt_batch_size(campaign_id, claim, rendered)
        async with self.work.begin(actor) as uow:
            messages = await submit(uow, claim, rendered, self.times)
        if messages:
            header = BatchHeader(
                sender=content.sender, campaign_id=str(campaign_id), batch_id=str(claim.batch_id), tag=content.tag
            )
            outcomes = await hand_over(self.mailer, header, messages, deadline=claim.deadline, times=self.times)
            await self.record(actor, claim, outcomes)
            await self.apply_backpressure(actor, campaign_id, outcomes)
        return BatchResult(len(claim.rows), len(messages))

    async def adapt_batch_size(self, campaign_id: UUID, claim: Claim, rendered: RenderedBatch) -> None:
        """Adapt the size of the next batch to the number of messages rendered in time; it at most doubles."""
        if not rendered.remaining:
            self.resize(campaign_id, 2 * len(claim.rows))
            return
        self.resize(campaign_id, len(claim.rows) - len(rendered.remaining), shrink=True)
        await self.reserve(-len(rendered.remaining))

    def resize(self, campaign_id: UUID, size: int, *, shrink: bool = False) -> None:
        """Raise, or with `shrink` lower, the size of the next batches to `size`, if the campaign is cached."""
        content = self.contents.get(campaign_id)
        if content is None:
            return
        if shrink:
            self.cursors.pop(campaign_id, None)
        new_size = min(content.batch_size, size) if shrink else max(content.batch_size, size)
        self.contents[campaign_id] = replace(content, batch_size=max(1, min(content.max_batch_size, new_size)))

    async def claim_batch(self, actor: Actor, content: CampaignContent, limit: int) -> Claim:
        """Claim the next batch after the last one of this process, or from the first pending delivery on."""
        after = self.cursors.pop(content.campaign_id, START)
        claim = await self.claim_after(actor, content, limit, after)
        if not claim.rows and after != START:
            claim = await self.claim_after(actor, content, limit, START)
        if not claim.rows:
            await self.correct_pending(actor, content.campaign_id)
        if claim.rows:
            self.cursors[content.campaign_id] = max(row[0] for row in claim.rows)
        if len(claim.rows) < limit:
            await self.reserve(len(claim.rows) - limit)
        return claim

    async def correct_pending(self, actor: Actor, campaign_id: UUID) -> None:
        """Correct counters that include pending deliveries without a row: no sweep would finish the campaign."""
        if not await counts_missing_pending(self.reads(actor.tenant), campaign_id):
            return
        async with self.work.begin(actor) as uow:
            await verify_counts(uow, campaign_id)
            uow.enqueue(AdvanceCampaign(organization_id=actor.organization_id, campaign_id=campaign_id))

    async def claim_after(self, actor: Actor, content: CampaignContent, limit: int, after: UUID) -> Claim:
        """Claim a batch of deliveries after an id."""
        async with self.work.begin(actor) as uow:
            return await claim(
                uow,
                content.campaign_id,
                limit=limit,
                lease_seconds=self.times.lease,
                after=after,
                with_custom_fields=content.uses_custom_fields,
                with_tags=content.uses_tags,
            )

    async def content_of(self, actor: Actor, campaign_id: UUID) -> CampaignContent | None:
        """The campaign's compiled content, cached; None if it does not exist or cannot be sent."""
        content = self.contents.get(campaign_id)
        if content is None:
            content = await self.load(actor, campaign_id)
            if content is None:
                return None
            self.contents[campaign_id] = content
        return content

    async def load(self, actor: Actor, campaign_id: UUID) -> CampaignContent | None:
        """Read and compile the campaign's content; if it cannot be sent, the campaign is paused with the reason."""
        try:
            content = await load_content(
                self.reads(actor.tenant),
                campaign_id,
                batch_size=min(self.settings.batch_size, self.mailer.limits.max_messages),
            )
        except NoFromHeader:
            await self.pause(actor, campaign_id, NO_SENDER)
            return None
        except InputErrors as error:
            await self.pause(actor, campaign_id, f"The content cannot be rendered: {error}")
            return None
        if content is not None and is_waiting_reason(content.status_reason):
            async with self.work.begin(actor) as uow:
                await set_waiting_reason(uow, campaign_id, content.status_reason, is_waiting=False)
        return content

    async def wait_for_rate(self, requested: int) -> int:
        """Wait until the account's rate limit allows the next batch; returns its size, 0 once stopped."""
        rate = self.mailer.limits.messages_per_second
        allowed = min(requested, rate) if rate else requested
        if await self.sleep_unless_stopped(await self.reserve(allowed)):
            return allowed
        await self.reserve(-allowed)
        return 0

    async def sleep_unless_stopped(self, seconds: float) -> bool:
        """Sleep until the time is up or the sender is stopped; returns whether it still runs."""
        if seconds > 0:
            await sleep_unless(self.scheduler.closing, seconds)
        return not self.scheduler.closed

    async def reserve(self, messages: int) -> float:
        """Reserve messages of the account's rate limit, or release some (negative); returns the seconds to wait."""
        return await reserve(self.system, self.mailer.account, messages, self.mailer.limits.messages_per_second)

    async def record(self, actor: Actor, claim: Claim, outcomes: list[RequestOutcome]) -> None:
        """Record the outcome of a batch, with retries."""

        async def write(uow: UnitOfWork) -> None:
            await record(uow, claim, outcomes, request_seconds=self.times.request)

        await record_with_retry(self.work, actor, claim.batch_id, write)

    async def apply_backpressure(self, actor: Actor, campaign_id: UUID, outcomes: list[RequestOutcome]) -> None:
        """Back off, or pause the campaign, after outcomes that concern more than this batch."""
        cause = backpressure_cause(outcomes)
        if cause is None:
            self.backoff.succeed()
            return
        self.cursors.pop(campaign_id, None)
        if isinstance(cause, NotSent) and cause.caused_locally:
            self.resize(campaign_id, sum(len(each.messages) for each in outcomes) // 2, shrink=True)
            log.warning(
                "batch not sent in time, next ones will be smaller", campaign_id=str(campaign_id), reason=cause.reason
            )
        elif isinstance(cause, AccountRefused):
            await self.pause(actor, campaign_id, cause.reason)
        else:
            retry_after = cause.retry_after_seconds if isinstance(cause, NotSent) else None
            pause = self.backoff.fail(retry_after)
            log.warning("provider request failed, backing off", reason=type(cause).__name__, seconds=round(pause, 1))

    async def pause(self, actor: Actor, campaign_id: UUID, reason: str) -> None:
        """Pause a campaign with a reason that a person can act on."""
        try:
            async with self.work.begin(actor) as uow:
                await change_status(uow, campaign_id, CampaignStatus.PAUSED, reason=reason)
        except InvalidCampaignState as conflict:
            log.info("campaign not paused", campaign_id=str(campaign_id), status=conflict.status)
        else:
            log.error("campaign paused; see its statusReason", campaign_id=str(campaign_id))
