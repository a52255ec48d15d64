"""Messages in doubt: the provider is asked, and only what it provably does not have is sent again."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, case, func, null, select, update

from core.permissions import Tenant
from core.pubsub import campaign_topic
from core.telemetry import logger
from core.unit_of_work import UnitOfWork, Work
from integrations.mail import Mailer, SearchFailed
from models.campaigns import Campaign, DeliveryStatus, EmailDelivery, OnDoubt
from services.deliveries.claiming import now_plus
from services.deliveries.planning import given, is_listed, span, within_span
from services.deliveries.work import SendBatches

LOOKS = 3
"""Empty looks, spread evenly over the grace period, after which a message counts as absent."""
ROWS_A_ROUND = 5_000
RESERVED_SECONDS = 60.0
NEEDS_ATTENTION = "It may have been sent: the provider's search shows no trace of it. Look before you send it again."
log = logger(__name__)


async def reconcile(work: Work, mailer: Mailer, tenant: Tenant, campaign_id: UUID, *, grace_seconds: float) -> int:
    """Ask about every message of a campaign that is due for a look; how many were looked for."""
    async with work.begin(tenant) as uow:
        batches = await reserve_due(uow, campaign_id)
    for batch_id, deliveries in batches.items():
        try:
            found = await mailer.find(str(batch_id))
        except SearchFailed as error:
            log.warning("no answer about a batch, asking again later", batch_id=str(batch_id), error=str(error))
            continue
        async with work.begin(tenant) as uow:
            await settle(uow, campaign_id, batch_id, deliveries, found, grace_seconds=grace_seconds)
    return sum(map(len, batches.values()))


async def reserve_due(uow: UnitOfWork, campaign_id: UUID) -> dict[UUID, list[UUID]]:
    """The messages due for a look, by batch; nobody else looks for them within the minute."""
    due = (
        select(EmailDelivery.id)
        .where(
            EmailDelivery.organization_id == uow.tenant.organization_id,
            EmailDelivery.campaign_id == campaign_id,
            EmailDelivery.is_open,
            EmailDelivery.status == DeliveryStatus.UNKNOWN,
            EmailDelivery.next_look_at <= func.clock_timestamp(),
        )
        .order_by(EmailDelivery.id)
        .limit(ROWS_A_ROUND)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    rows = await uow.rows(
        update(EmailDelivery)
        .where(
            EmailDelivery.organization_id == uow.tenant.organization_id,
            EmailDelivery.campaign_id == campaign_id,
            EmailDelivery.id == due.c.id,
        )
        .values(next_look_at=now_plus(RESERVED_SECONDS))
        .returning(EmailDelivery.id, EmailDelivery.batch_id)
    )
    batches: dict[UUID, list[UUID]] = defaultdict(list)
    for delivery_id, batch_id in rows:
        if batch_id is None:
            raise AssertionError(f"delivery {delivery_id} is in doubt without a batch")
        batches[batch_id].append(delivery_id)
    return batches


async def settle(
    uow: UnitOfWork,
    campaign_id: UUID,
    batch_id: UUID,
    deliveries: Sequence[UUID],
    found: Mapping[str, str],
    *,
    grace_seconds: float,
) -> None:
    """Write down a look: found messages are accepted; absent ones wait for the next look, or have had their last."""
    bound = {"organization": uow.tenant.organization_id, "campaign": campaign_id, "batch": batch_id}
    there = [delivery_id for delivery_id in deliveries if str(delivery_id) in found]
    absent = [delivery_id for delivery_id in deliveries if str(delivery_id) not in found]
    if there:
        await uow.execute(
            found_statement(), {**bound, **span(there), "given_message_id": [found[str(one)] for one in there]}
        )
    if absent:
        doubt = await uow.rows(select(Campaign.on_doubt).where(Campaign.id == campaign_id))
        await uow.execute(
            absent_statement(hold=doubt[0].on_doubt == OnDoubt.HOLD),
            {**bound, **span(absent), "pause": grace_seconds / (LOOKS - 1)},
        )
        uow.enqueue(SendBatches(organization_id=uow.tenant.organization_id, campaign_id=campaign_id))
    uow.publish(campaign_topic(uow.tenant.organization_id, campaign_id))
    log.info("batch looked up", batch_id=str(batch_id), found=len(there), absent=len(absent))


def in_doubt() -> tuple[Any, ...]:
    """The bound batch's messages that are still in doubt."""
    return (
        *within_span(),
        EmailDelivery.status == DeliveryStatus.UNKNOWN,
        EmailDelivery.batch_id == bindparam("batch", type_=Uuid),
    )


def found_statement() -> Any:  # noqa: ANN401 - an UPDATE
    """The provider has them."""
    given_rows = given(message_id=Text())
    return (
        update(EmailDelivery)
        .where(*in_doubt(), EmailDelivery.id == given_rows.c.id)
        .values(
            status=DeliveryStatus.ACCEPTED,
            message_id=given_rows.c.message_id,
            accepted_at=func.clock_timestamp(),
            error_message=None,
            next_look_at=None,
        )
    )


def absent_statement(*, hold: bool) -> Any:  # noqa: ANN401 - an UPDATE
    """The provider's search does not show them; after the last look they are sent again, or held for a person."""
    last = EmailDelivery.looks + 1 >= LOOKS
    end = DeliveryStatus.FAILED if hold else DeliveryStatus.PENDING
    kept = EmailDelivery.batch_id if hold else null()
    return (
        update(EmailDelivery)
        .where(*in_doubt(), *is_listed())
        .values(
            status=case((last, str(end)), else_=str(DeliveryStatus.UNKNOWN)),
            looks=case((last, 0), else_=EmailDelivery.looks + 1),
            next_look_at=case((last, null()), else_=now_plus(bindparam("pause"))),
            batch_id=case((last, kept), else_=EmailDelivery.batch_id),
            error_message=case((last, NEEDS_ATTENTION if hold else null()), else_=EmailDelivery.error_message),
        )
    )
