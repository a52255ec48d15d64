"""Sweeps over campaigns: start due ones, expire leases, skip cancelled deliveries, finish the campaigns.

They do not depend on the worker that did the work before, which may have crashed.
"""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import case, exists, func, select, update

from core.access.actor import Actor
from core.database.scopes import SystemScope, first
from core.errors import NotFound
from core.leases import RELEASED, has_expired
from core.pubsub import campaign_topic
from core.telemetry import logger
from core.unit_of_work import UnitOfWork, Work
from models.campaigns import Campaign, CampaignStats, CampaignStatus
from models.deliveries import DeliveryDecision, DeliveryStatus, EmailDelivery
from services.campaigns.lifecycle import CampaignChanged, InvalidCampaignState, change_status, lock
from services.campaigns.work import PrepareCampaign
from services.deliveries.batch_sql import id_in_locked, of_campaign
from services.deliveries.counting import counts_missing_pending, verify_counts
from services.deliveries.issues import summarize_issues
from services.deliveries.waiting import set_waiting_reason
from services.features import ALL, Feature, Features
from services.mailing.lookups import WORKER_STOPPED

CANCEL_PAGE = 10_000
_FINAL_STATUS = {
    CampaignStatus.SENDING: CampaignStatus.SENT,
    CampaignStatus.CANCELLING: CampaignStatus.CANCELLED,
}
log = logger(__name__)


class CampaignNeeds(NamedTuple):
    """The work that a campaign needs now: to be prepared, to be advanced, or a lookup at the provider."""

    organization_id: UUID
    campaign_id: UUID
    prepare: bool
    advance: bool
    reconcile: bool


class CampaignToSend(NamedTuple):
    """A campaign that has pending messages."""

    organization_id: UUID
    campaign_id: UUID


class OpenCounts(NamedTuple):
    """A campaign's status, its status reason, and its counters of open deliveries.

    `more_to_skip` is set for a cancelled campaign with further pages of recipients to skip.
    """

    status: CampaignStatus | None
    pending: int = 0
    in_flight: int = 0
    unknown: int = 0
    reason: str | None = None
    more_to_skip: bool = False

    @property
    def needs_provider(self) -> bool:
        """Whether the campaign is scheduled or being sent, and cannot continue without the mail provider."""
        if self.status == CampaignStatus.SENDING:
            return self.pending > 0 or self.unknown > 0
        if self.status in (CampaignStatus.PAUSED, CampaignStatus.CANCELLING):
            return self.unknown > 0
        return self.status == CampaignStatus.SCHEDULED


async def campaigns_to_advance(system: SystemScope, after: UUID, limit: int) -> list[CampaignNeeds]:
    """A page of campaigns of all organizations that need work, by id, after the given one."""
    campaigns = func.system.campaigns_to_advance(after, limit).table_valued(*CampaignNeeds._fields)
    return [CampaignNeeds._make(row) for row in await system.rows(select(*campaigns.c))]


async def campaigns_to_send(system: SystemScope, after: UUID, limit: int) -> list[CampaignToSend]:
    """A page of campaigns of all organizations with pending messages, by id, after the given one."""
    campaigns = func.system.campaigns_to_send(after, limit).table_valued(*CampaignToSend._fields)
    return [CampaignToSend._make(row) for row in await system.rows(select(*campaigns.c))]


async def ensure_partitions(system: SystemScope) -> int:
    """Create the partitions of the coming months; returns how many were missing."""
    rows = await system.rows(select(func.system.ensure_partitions()))
    return int(rows[0][0])


async def advance_campaign(work: Work, actor: Actor, campaign_id: UUID, features: Features = ALL) -> OpenCounts:
    """Start a campaign if due, expire leases, skip cancelled deliveries, finish it; returns the open counts.

    If sending is disabled, a due campaign waits, and one that cannot continue gets the cause as `status_reason`.
    """
    sends = Feature.SENDING not in features.off
    async with work.begin(actor) as uow:
        before = await _read_open_counts(uow, campaign_id)
        await set_waiting_reason(uow, campaign_id, before.reason, is_waiting=before.needs_provider and not sends)
        if before.status == CampaignStatus.SCHEDULED:
            if sends:
                await start_due(uow, campaign_id)
            return before
        expired = await _expire_leases(uow, campaign_id, before.in_flight) if before.in_flight else 0
        skipped = 0
        if before.status == CampaignStatus.CANCELLING:
            skipped = await _skip_cancelled(uow, campaign_id)
            if not skipped and before.pending and await counts_missing_pending(uow, campaign_id):
                await verify_counts(uow, campaign_id)
        if expired or skipped:
            uow.publish(campaign_topic(actor.organization_id, campaign_id))
    async with work.begin(actor) as uow:
        await finish(uow, campaign_id)
        remaining = await _read_open_counts(uow, campaign_id)
        return remaining._replace(more_to_skip=skipped >= CANCEL_PAGE)


async def clear_waiting_reason(work: Work, actor: Actor, campaign_id: UUID) -> None:
    """Remove the status reason that the campaign waits for a mail provider."""
    async with work.begin(actor) as uow:
        await set_waiting_reason(
            uow, campaign_id, (await _read_open_counts(uow, campaign_id)).reason, is_waiting=False
        )


async def _read_open_counts(uow: UnitOfWork, campaign_id: UUID) -> OpenCounts:
    """The campaign's status and open deliveries; the status is None for an unknown campaign."""
    row = await first(
        uow,
        select(
            Campaign.status,
            CampaignStats.pending,
            CampaignStats.in_flight,
            CampaignStats.unknown,
            Campaign.status_reason,
        )
        .outerjoin(
            CampaignStats,
            (CampaignStats.organization_id == Campaign.organization_id) & (CampaignStats.campaign_id == Campaign.id),
        )
        .where(Campaign.organization_id == uow.tenant.organization_id, Campaign.id == campaign_id),
    )
    if row is None:
        return OpenCounts(None)
    counts = row.pending or 0, row.in_flight or 0, row.unknown or 0
    return OpenCounts(CampaignStatus(row.status), *counts, row.status_reason)


async def start_due(uow: UnitOfWork, campaign_id: UUID) -> None:
    """Start a scheduled campaign that is due by the database's clock.

    The UPDATE itself checks that it is still scheduled and due: a concurrent transaction, for which the UPDATE waits,
    may unschedule or postpone it.
    """
    is_due = Campaign.scheduled_at <= func.now()
    try:
        await change_status(
            uow, campaign_id, CampaignStatus.PREPARING, from_statuses=(CampaignStatus.SCHEDULED,), only_if=is_due
        )
    except (InvalidCampaignState, CampaignChanged, NotFound) as conflict:
        log.info("campaign changed before it started", campaign_id=str(campaign_id), reason=conflict.message)
    else:
        uow.enqueue(PrepareCampaign(organization_id=uow.tenant.organization_id, campaign_id=campaign_id))


async def _expire_leases(uow: UnitOfWork, campaign_id: UUID, in_flight: int) -> int:
    """Make expired claims pending again, and expired submissions unknown, because they may have been sent.

    Returns how many. At most `in_flight` leases are read: they come first among the open deliveries, before the
    pending ones, of which there may be millions.
    """
    submitting = EmailDelivery.status == DeliveryStatus.SUBMITTING
    of_this = of_campaign(uow.tenant.organization_id, campaign_id)
    in_lease = EmailDelivery.status.in_([str(DeliveryStatus.CLAIMED), str(DeliveryStatus.SUBMITTING)])
    is_expired = has_expired(EmailDelivery)
    leased = (
        select(EmailDelivery.id, is_expired.label("is_expired"))
        .where(*of_this, EmailDelivery.is_open, in_lease)
        .order_by(EmailDelivery.id)
        .limit(in_flight)
        .subquery("leased")
    )
    expired = (
        select(EmailDelivery.id)
        .join(leased, leased.c.id == EmailDelivery.id)
        .where(*of_this, leased.c.is_expired, in_lease, is_expired)
        .with_for_update(skip_locked=True, of=EmailDelivery)
        .cte("expired")
    )
    result = await uow.execute(
        update(EmailDelivery)
        .where(
            *id_in_locked(uow.tenant.organization_id, campaign_id, expired),
        )
        .values(
            status=case((submitting, str(DeliveryStatus.UNKNOWN)), else_=str(DeliveryStatus.PENDING)),
            error_message=case(
                (submitting, WORKER_STOPPED),
                else_=EmailDelivery.error_message,
            ),
            next_lookup_at=case((submitting, func.clock_timestamp()), else_=None),
            lookups=0,
            **RELEASED,
        )
    )
    return result.rowcount


async def _skip_cancelled(uow: UnitOfWork, campaign_id: UUID) -> int:
    """Skip a page of the deliveries that a cancelled campaign has not submitted; returns how many."""
    waiting = (
        select(EmailDelivery.id)
        .where(
            *of_campaign(uow.tenant.organization_id, campaign_id),
            EmailDelivery.is_open,
            EmailDelivery.status.in_([str(DeliveryStatus.PENDING), str(DeliveryStatus.CLAIMED)]),
        )
        .order_by(EmailDelivery.id)
        .limit(CANCEL_PAGE)
        .with_for_update(skip_locked=True)
        .cte("waiting")
    )
    result = await uow.execute(
        update(EmailDelivery)
        .where(
            *id_in_locked(uow.tenant.organization_id, campaign_id, waiting),
        )
        .values(status=DeliveryStatus.SKIPPED, decision=str(DeliveryDecision.CANCELLED), **RELEASED)
    )
    return result.rowcount


async def finish(uow: UnitOfWork, campaign_id: UUID) -> None:
    """Finish a campaign that has no open deliveries. Its counters are compared with the rows, and corrected."""
    counts = await _read_open_counts(uow, campaign_id)
    end = _FINAL_STATUS.get(counts.status) if counts.status else None
    if end is None or counts.pending:
        return
    # The campaign is locked, because `resolveDelivery` may make a failed message pending again.
    await lock(uow, campaign_id)
    if await _has_open_deliveries(uow, campaign_id):
        if not counts.in_flight and not counts.unknown:
            await verify_counts(uow, campaign_id)
        return
    await verify_counts(uow, campaign_id)
    reason = None
    if end is CampaignStatus.SENT and (reason := await summarize_issues(uow, campaign_id)):
        end = CampaignStatus.SENT_WITH_ISSUES
    sent_at = None if end is CampaignStatus.CANCELLED else func.now()
    try:
        await change_status(uow, campaign_id, end, reason=reason, sent_at=sent_at)
    except InvalidCampaignState as conflict:
        log.info("campaign changed before it finished", campaign_id=str(campaign_id), status=conflict.status)
    else:
        log.info("campaign finished", campaign_id=str(campaign_id), status=end)


async def _has_open_deliveries(uow: UnitOfWork, campaign_id: UUID) -> bool:
    """Whether any delivery of the campaign is open, read from the rows."""
    rows = await uow.rows(
        select(
            exists(
                select(EmailDelivery.id).where(
                    *of_campaign(uow.tenant.organization_id, campaign_id),
                    EmailDelivery.is_open,
                )
            )
        )
    )
    return bool(rows[0][0])
