"""Preparing a campaign: its audience is written to `email_deliveries`, page by page.

The cursor is saved with each page, so that any worker can continue.
"""

from time import monotonic
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, bindparam, case, func, literal, null, select, update
from sqlalchemy.dialects.postgresql import insert

from core.access.actor import Actor
from core.pubsub import campaign_topic
from core.telemetry import logger
from core.unit_of_work import UnitOfWork, Work
from models.campaigns import Campaign, CampaignStats, CampaignStatus
from models.contacts import Contact, ContactStatus
from models.deliveries import DeliveryDecision, DeliveryStatus, EmailDelivery
from services.campaigns.lifecycle import change_status
from services.campaigns.recipients import audience_select, is_excluded
from services.campaigns.work import PrepareCampaign, SendBatches
from services.suppressions.reading import is_suppressed

PAGE = 5_000
_START = UUID(int=0)
_EMPTY_AUDIENCE = "The audience is empty: no contact is on its lists or has its tags."
log = logger(__name__)


NOT_MAILABLE = {
    ContactStatus.UNSUBSCRIBED: DeliveryDecision.UNSUBSCRIBED,
    ContactStatus.PENDING: DeliveryDecision.NOT_CONFIRMED,
    ContactStatus.BOUNCED: DeliveryDecision.BOUNCED,
    ContactStatus.COMPLAINED: DeliveryDecision.COMPLAINED,
}


class PreparedPage(NamedTuple):
    """How many contacts of the audience the page had, and the id of the last one."""

    candidates: int
    last: UUID | None


async def prepare(work: Work, actor: Actor, campaign_id: UUID, *, within_seconds: float = 20.0) -> bool:
    """Prepare page after page; True when the audience is complete, False when a job was enqueued for the rest."""
    until = monotonic() + within_seconds
    while monotonic() < until:
        async with work.begin(actor) as uow:
            if await prepare_page(uow, campaign_id):
                return True
    async with work.begin(actor) as uow:
        uow.enqueue(PrepareCampaign(organization_id=actor.organization_id, campaign_id=campaign_id))
    return False


async def prepare_page(uow: UnitOfWork, campaign_id: UUID) -> bool:
    """Prepare the next page; True when nothing is left, or the campaign is not being prepared."""
    organization_id = uow.tenant.organization_id
    # Another worker, or a cancellation, waits for this lock until the page is committed.
    rows = await uow.rows(
        select(Campaign.prepare_cursor)
        .where(
            Campaign.organization_id == organization_id,
            Campaign.id == campaign_id,
            Campaign.status == CampaignStatus.PREPARING,
        )
        .with_for_update()
    )
    if not rows:
        return True
    await uow.execute(
        insert(CampaignStats)
        .values(organization_id=organization_id, campaign_id=campaign_id)
        .on_conflict_do_nothing()
    )
    page = await _insert_page(uow, campaign_id, rows[0].prepare_cursor or _START)
    uow.publish(campaign_topic(organization_id, campaign_id))
    if page.candidates < PAGE:
        await complete(uow, campaign_id)
        return True
    await uow.execute(
        update(Campaign)
        .where(Campaign.organization_id == organization_id, Campaign.id == campaign_id)
        .values(prepare_cursor=page.last)
    )
    return False


async def _insert_page(uow: UnitOfWork, campaign_id: UUID, after: UUID) -> PreparedPage:
    """Insert the next page of recipients; those who must not be mailed as skipped, with the decision."""
    organization_id = uow.tenant.organization_id
    candidates = (
        audience_select(organization_id, campaign_id, after=bindparam("after", after, type_=Uuid), limit=PAGE)
        .cte("candidates")
        .prefix_with("MATERIALIZED")
    )
    contact = Contact.__table__.c
    decision = case(
        *((contact.status == status, str(reason)) for status, reason in NOT_MAILABLE.items()),
        (is_suppressed(organization_id, contact.email_norm), str(DeliveryDecision.SUPPRESSED)),
        else_=null(),
    ).label("decision")
    decided = (
        select(contact.id, contact.email, contact.email_norm, decision)
        .select_from(candidates)
        .join(Contact, (contact.organization_id == organization_id) & (contact.id == candidates.c.contact_id))
        .where(~is_excluded(organization_id, campaign_id, contact.id))
        .order_by(contact.id)
        .cte("decided")
    )
    status = case(
        (decided.c.decision.is_(None), str(DeliveryStatus.PENDING)), else_=str(DeliveryStatus.SKIPPED)
    ).label("status")
    inserted = (
        insert(EmailDelivery)
        .from_select(
            ["organization_id", "campaign_id", "contact_id", "email", "email_norm", "decision", "status"],
            select(
                literal(organization_id, Uuid),
                literal(campaign_id, Uuid),
                decided.c.id,
                decided.c.email,
                decided.c.email_norm,
                decided.c.decision,
                status,
            ),
        )
        .on_conflict_do_nothing()
        .cte("inserted")
    )
    rows = await uow.rows(
        select(
            func.count(),
            select(candidates.c.contact_id).order_by(candidates.c.contact_id.desc()).limit(1).scalar_subquery(),
        )
        .select_from(candidates)
        .add_cte(inserted)
    )
    return PreparedPage(*rows[0])


async def complete(uow: UnitOfWork, campaign_id: UUID) -> None:
    """Start sending, as the audience is complete; a campaign without any recipient is `failed`."""
    organization_id = uow.tenant.organization_id
    size = await uow.rows(select(CampaignStats.audience).where(CampaignStats.campaign_id == campaign_id))
    if not size[0].audience:
        await change_status(uow, campaign_id, CampaignStatus.FAILED, reason=_EMPTY_AUDIENCE)
        return
    if size[0].audience >= PAGE:
        await uow.rows(select(func.system.analyze_deliveries(campaign_id)))
    await change_status(uow, campaign_id, CampaignStatus.SENDING, prepare_cursor=None, started_at=func.now())
    uow.enqueue(SendBatches(organization_id=organization_id, campaign_id=campaign_id))
    log.info("campaign prepared", campaign_id=str(campaign_id), audience=size[0].audience)
