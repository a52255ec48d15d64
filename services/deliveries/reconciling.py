"""Messages in doubt: the provider is asked, and only what it provably does not have is sent again."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import DateTime, Integer, Text, Uuid, bindparam, case, func, null, select, update
from sqlalchemy.orm import aliased

from core.access.actor import Actor
from core.pubsub import campaign_topic
from core.telemetry import described, logger
from core.unit_of_work import UnitOfWork, Work
from integrations.mail import Mailer, SearchFailed
from models.campaigns import Campaign, OnDoubt
from models.deliveries import DeliveryStatus, EmailDelivery
from services.deliveries.claiming import now_plus
from services.deliveries.planning import given, span, within_span
from services.deliveries.work import SendBatches

LOOKS = 3
"""Empty looks, spread evenly over the grace period, after which a message counts as absent."""
BATCHES_A_ROUND = 100
RESERVED_SECONDS = 60.0
NEEDS_ATTENTION = "It may have been sent: the provider's search shows no trace of it. Look before you send it again."
log = logger(__name__)


class Doubtful(NamedTuple):
    """A reserved message, and what its row said then: a look counts only while it says so still."""

    id: UUID
    lookups: int
    next_lookup_at: datetime


class Look(NamedTuple):
    """The messages of one batch that are reserved to be looked for."""

    batch_id: UUID
    rows: Sequence[Doubtful]


async def reconcile(work: Work, mailer: Mailer, actor: Actor, campaign_id: UUID, *, grace_seconds: float) -> int:
    """Ask about every message of a campaign that is due for a look; how many were looked for."""
    asked: list[UUID] = []
    total = 0
    while len(asked) < BATCHES_A_ROUND:
        # One batch at a time, right before the search: the search may be slow, and the reservation does not wait.
        async with work.begin(actor) as uow:
            look = await reserve_due(uow, campaign_id, asked)
        if look is None:
            break
        asked.append(look.batch_id)
        total += len(look.rows)
        try:
            found = await mailer.find(str(look.batch_id))
        except SearchFailed as error:
            log.warning(
                "no answer about a batch, asking again later", batch_id=str(look.batch_id), error=described(error)
            )
            continue
        async with work.begin(actor) as uow:
            await settle(uow, campaign_id, look, found, grace_seconds=grace_seconds)
    return total


async def reserve_due(uow: UnitOfWork, campaign_id: UUID, asked: Sequence[UUID] = ()) -> Look | None:
    """The due messages of one batch that was not `asked` about; nobody else looks for them within the minute."""
    first = select(EmailDelivery.batch_id).where(*due(EmailDelivery, uow.tenant.organization_id, campaign_id))
    if asked:
        first = first.where(EmailDelivery.batch_id.not_in(asked))
    first_batch = first.order_by(EmailDelivery.id).limit(1).with_for_update(skip_locked=True).cte("first_batch")
    of_batch = aliased(EmailDelivery)
    reserved = (
        select(of_batch.id)
        .where(
            *due(of_batch, uow.tenant.organization_id, campaign_id),
            of_batch.batch_id == select(first_batch.c.batch_id).scalar_subquery(),
        )
        .with_for_update(skip_locked=True)
        .cte("reserved")
    )
    rows = await uow.rows(
        update(EmailDelivery)
        .where(
            EmailDelivery.organization_id == uow.tenant.organization_id,
            EmailDelivery.campaign_id == campaign_id,
            EmailDelivery.id == reserved.c.id,
        )
        .values(next_lookup_at=now_plus(RESERVED_SECONDS))
        .returning(EmailDelivery.id, EmailDelivery.lookups, EmailDelivery.next_lookup_at, EmailDelivery.batch_id)
    )
    if not rows:
        return None
    return Look(rows[0].batch_id, [Doubtful(row.id, row.lookups, row.next_lookup_at) for row in rows])


def due(rows: type[EmailDelivery], organization_id: UUID, campaign_id: UUID) -> tuple[Any, ...]:
    """The campaign's messages in doubt that are due for a look."""
    return (
        rows.organization_id == organization_id,
        rows.campaign_id == campaign_id,
        rows.is_open,
        rows.status == DeliveryStatus.UNKNOWN,
        rows.batch_id.is_not(None),
        rows.next_lookup_at <= func.clock_timestamp(),
    )


async def settle(
    uow: UnitOfWork, campaign_id: UUID, look: Look, found: Mapping[str, str], *, grace_seconds: float
) -> None:
    """Write down a look: found messages are accepted; absent ones wait for the next look, or have had their last.

    A look that took so long that somebody else has reserved its messages since counts for nothing.
    """
    bound = {"organization": uow.tenant.organization_id, "campaign": campaign_id}
    there = [row.id for row in look.rows if str(row.id) in found]
    absent = [row for row in look.rows if str(row.id) not in found]
    if there:
        message_ids = [found[str(one)] for one in there]
        await uow.execute(found_statement(), {**bound, **span(there), "given_message_id": message_ids})
    if absent:
        doubt = await uow.rows(select(Campaign.on_doubt).where(Campaign.id == campaign_id))
        await uow.execute(
            absent_statement(hold=doubt[0].on_doubt == OnDoubt.HOLD),
            {
                **bound,
                **span([row.id for row in absent]),
                "batch": look.batch_id,
                "given_lookups": [row.lookups for row in absent],
                "given_next_lookup_at": [row.next_lookup_at for row in absent],
                "pause": grace_seconds / (LOOKS - 1),
            },
        )
        uow.enqueue(SendBatches(organization_id=uow.tenant.organization_id, campaign_id=campaign_id))
    uow.publish(campaign_topic(uow.tenant.organization_id, campaign_id))
    log.info("batch looked up", batch_id=str(look.batch_id), found=len(there), absent=len(absent))


def found_statement() -> Any:  # noqa: ANN401 - an UPDATE
    """The provider has them, whatever batch they are in doubt with by now."""
    given_rows = given(message_id=Text())
    return (
        update(EmailDelivery)
        .where(*within_span(), EmailDelivery.id == given_rows.c.id, EmailDelivery.status == DeliveryStatus.UNKNOWN)
        .values(
            status=DeliveryStatus.ACCEPTED,
            message_id=given_rows.c.message_id,
            accepted_at=func.clock_timestamp(),
            error_message=None,
            next_lookup_at=None,
        )
    )


def absent_statement(*, hold: bool) -> Any:  # noqa: ANN401 - an UPDATE
    """The provider's search does not show them; after the last look they are sent again, or held for a person."""
    given_rows = given(lookups=Integer(), next_lookup_at=DateTime(timezone=True))
    last = EmailDelivery.lookups + 1 >= LOOKS
    end = DeliveryStatus.FAILED if hold else DeliveryStatus.PENDING
    kept = EmailDelivery.batch_id if hold else null()
    return (
        update(EmailDelivery)
        .where(
            *within_span(),
            EmailDelivery.id == given_rows.c.id,
            EmailDelivery.status == DeliveryStatus.UNKNOWN,
            EmailDelivery.batch_id == bindparam("batch", type_=Uuid),
            EmailDelivery.lookups == given_rows.c.lookups,
            EmailDelivery.next_lookup_at == given_rows.c.next_lookup_at,
        )
        .values(
            status=case((last, str(end)), else_=str(DeliveryStatus.UNKNOWN)),
            lookups=case((last, 0), else_=EmailDelivery.lookups + 1),
            next_lookup_at=case((last, null()), else_=now_plus(bindparam("pause"))),
            batch_id=case((last, kept), else_=EmailDelivery.batch_id),
            error_message=case((last, NEEDS_ATTENTION if hold else null()), else_=EmailDelivery.error_message),
        )
    )
