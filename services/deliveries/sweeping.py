"""What a worker may die before it does: expired leases, due schedules, cancellations, the end of a campaign."""

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
from services.campaigns.lifecycle import CampaignChanged, InvalidCampaignState, lock, move
from services.campaigns.work import PrepareCampaign
from services.deliveries.batch_sql import locked_in, of_campaign
from services.deliveries.counting import counts_missing_pending, verify_counts
from services.deliveries.issues import summarize_issues
from services.deliveries.waiting import explain_waiting
from services.features import ALL, Feature, Features
from services.mailing.lookups import LOST_WORKER

CANCEL_PAGE = 10_000
FINAL_STATUS = {
    CampaignStatus.SENDING: CampaignStatus.SENT,
    CampaignStatus.CANCELLING: CampaignStatus.CANCELLED,
}
log = logger(__name__)


class CampaignNeeds(NamedTuple):
    """What a campaign asks for now: to be prepared, advanced, or asked about at the provider."""

    organization_id: UUID
    campaign_id: UUID
    prepare: bool
    advance: bool
    reconcile: bool


class CampaignToSend(NamedTuple):
    """A campaign that has messages to send now."""

    organization_id: UUID
    campaign_id: UUID


class OpenCounts(NamedTuple):
    """A campaign's status, the reason that it tells, and its open deliveries, by its counters.

    `more_to_skip` is for a cancelled campaign that has further pages of recipients to skip.
    """

    status: CampaignStatus | None
    pending: int = 0
    in_flight: int = 0
    unknown: int = 0
    reason: str | None = None
    more_to_skip: bool = False

    @property
    def needs_provider(self) -> bool:
        """Whether the campaign, which is live, cannot go on without the mail provider."""
        if self.status == CampaignStatus.SENDING:
            return self.pending > 0 or self.unknown > 0
        if self.status in (CampaignStatus.PAUSED, CampaignStatus.CANCELLING):
            return self.unknown > 0
        return self.status == CampaignStatus.SCHEDULED


async def campaigns_to_advance(system: SystemScope, after: UUID, limit: int) -> list[CampaignNeeds]:
    """Campaigns of any organisation that ask for something, by id, beyond one. The others are not touched."""
    found = func.system.campaigns_to_advance(after, limit).table_valued(*CampaignNeeds._fields)
    return [CampaignNeeds._make(row) for row in await system.rows(select(*found.c))]


async def campaigns_to_send(system: SystemScope, after: UUID, limit: int) -> list[CampaignToSend]:
    """Campaigns of any organisation that have messages to send, by id, beyond one."""
    found = func.system.campaigns_to_send(after, limit).table_valued(*CampaignToSend._fields)
    return [CampaignToSend._make(row) for row in await system.rows(select(*found.c))]


async def ensure_partitions(system: SystemScope) -> int:
    """Make the coming months' partitions; how many were missing."""
    rows = await system.rows(select(func.system.ensure_partitions()))
    return int(rows[0][0])


async def advance_campaign(work: Work, actor: Actor, campaign_id: UUID, features: Features = ALL) -> OpenCounts:
    """Start what is due, expire leases, skip what is cancelled, and end what has nothing open; what is left then.

    Where sending is off, what is due waits, and a campaign that cannot go on tells why until it can.
    """
    sends = Feature.SENDING not in features.off
    async with work.begin(actor) as uow:
        before = await read_open_counts(uow, campaign_id)
        await explain_waiting(uow, campaign_id, before.reason, waits=before.needs_provider and not sends)
        if before.status == CampaignStatus.SCHEDULED:
            if sends:
                await start_due(uow, campaign_id)
            return before
        moved = await expire_leases(uow, campaign_id, before.in_flight) if before.in_flight else 0
        skipped = 0
        if before.status == CampaignStatus.CANCELLING:
            skipped = await skip_cancelled(uow, campaign_id)
            if not skipped and before.pending and await counts_missing_pending(uow, campaign_id):
                await verify_counts(uow, campaign_id)
        if moved or skipped:
            uow.publish(campaign_topic(actor.organization_id, campaign_id))
    async with work.begin(actor) as uow:
        await finish(uow, campaign_id)
        left = await read_open_counts(uow, campaign_id)
        return left._replace(more_to_skip=skipped >= CANCEL_PAGE)


async def forget_waiting(work: Work, actor: Actor, campaign_id: UUID) -> None:
    """Let a campaign no longer tell that it waits for the mail provider, which is there now."""
    async with work.begin(actor) as uow:
        await explain_waiting(uow, campaign_id, (await read_open_counts(uow, campaign_id)).reason, waits=False)


async def read_open_counts(uow: UnitOfWork, campaign_id: UUID) -> OpenCounts:
    """The campaign's status and open deliveries; a status of None for an unknown campaign."""
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
    """Start a scheduled campaign whose time has come, by the database's clock.

    The UPDATE itself asks whether it is still scheduled and due: a person may be taking it back, or putting it off,
    in a transaction for which the UPDATE waits.
    """
    is_due = Campaign.scheduled_at <= func.now()
    try:
        await move(uow, campaign_id, CampaignStatus.PREPARING, origins=(CampaignStatus.SCHEDULED,), only_if=is_due)
    except (InvalidCampaignState, CampaignChanged, NotFound) as conflict:
        log.info("campaign changed before it started", campaign_id=str(campaign_id), reason=conflict.message)
    else:
        uow.enqueue(PrepareCampaign(organization_id=uow.tenant.organization_id, campaign_id=campaign_id))


async def expire_leases(uow: UnitOfWork, campaign_id: UUID, in_flight: int) -> int:
    """Make expired claims pending again, and expired submissions unknown, as they may have been sent; how many.

    At most `in_flight` leases are looked at: they stand at the front of the open deliveries, and the millions that
    may wait behind them are not read.
    """
    submitting = EmailDelivery.status == DeliveryStatus.SUBMITTING
    of_this = of_campaign(uow.tenant.organization_id, campaign_id)
    in_lease = EmailDelivery.status.in_([str(DeliveryStatus.CLAIMED), str(DeliveryStatus.SUBMITTING)])
    over = has_expired(EmailDelivery)
    leased = (
        select(EmailDelivery.id, over.label("over"))
        .where(*of_this, EmailDelivery.is_open, in_lease)
        .order_by(EmailDelivery.id)
        .limit(in_flight)
        .subquery("leased")
    )
    expired = (
        select(EmailDelivery.id)
        .join(leased, leased.c.id == EmailDelivery.id)
        .where(*of_this, leased.c.over, in_lease, over)
        .with_for_update(skip_locked=True, of=EmailDelivery)
        .cte("expired")
    )
    result = await uow.execute(
        update(EmailDelivery)
        .where(
            *locked_in(uow.tenant.organization_id, campaign_id, expired),
        )
        .values(
            status=case((submitting, str(DeliveryStatus.UNKNOWN)), else_=str(DeliveryStatus.PENDING)),
            error_message=case(
                (submitting, LOST_WORKER),
                else_=EmailDelivery.error_message,
            ),
            next_lookup_at=case((submitting, func.clock_timestamp()), else_=None),
            lookups=0,
            **RELEASED,
        )
    )
    return result.rowcount


async def skip_cancelled(uow: UnitOfWork, campaign_id: UUID) -> int:
    """Skip a page of what a cancelled campaign has not yet submitted."""
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
            *locked_in(uow.tenant.organization_id, campaign_id, waiting),
        )
        .values(status=DeliveryStatus.SKIPPED, decision=str(DeliveryDecision.CANCELLED), **RELEASED)
    )
    return result.rowcount


async def finish(uow: UnitOfWork, campaign_id: UUID) -> None:
    """End a campaign that has nothing open. Decided from the ledger, whose counters are checked by the way."""
    counts = await read_open_counts(uow, campaign_id)
    end = FINAL_STATUS.get(counts.status) if counts.status else None
    if end is None or counts.pending:
        return
    # Under the campaign's lock, as a person may make a failed message pending again (`resolveDelivery`).
    await lock(uow, campaign_id)
    if await anything_open(uow, campaign_id):
        if not counts.in_flight and not counts.unknown:
            await verify_counts(uow, campaign_id)
        return
    await verify_counts(uow, campaign_id)
    reason = None
    if end is CampaignStatus.SENT and (reason := await summarize_issues(uow, campaign_id)):
        end = CampaignStatus.SENT_WITH_ISSUES
    sent_at = None if end is CampaignStatus.CANCELLED else func.now()
    try:
        await move(uow, campaign_id, end, reason=reason, sent_at=sent_at)
    except InvalidCampaignState as conflict:
        log.info("campaign changed while it ended", campaign_id=str(campaign_id), status=conflict.status)
    else:
        log.info("campaign ended", campaign_id=str(campaign_id), status=end)


async def anything_open(uow: UnitOfWork, campaign_id: UUID) -> bool:
    """Whether any recipient of the campaign is not yet in a terminal state."""
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
