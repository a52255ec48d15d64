"""Looking up a campaign's messages in doubt; one is sent again only after several lookups without finding it."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Integer, Text, Uuid, bindparam, case, func, null, select, update
from sqlalchemy.orm import aliased

from core.access.actor import Actor
from core.database.clock import now_plus
from core.pubsub import campaign_topic
from core.telemetry import logger
from core.unit_of_work import UnitOfWork, Work
from integrations.mail import Mailer, Stream
from models.campaigns import Campaign, OnDoubt
from models.deliveries import DeliveryStatus, EmailDelivery
from services.campaigns.work import SendBatches
from services.deliveries.batch_sql import id_in_locked, id_range, in_values, of_campaign, values_by_id
from services.mailing.lookups import MAX_LOOKUPS, RESERVED_SECONDS, Lookup, UnknownMessage, look_up

_NEEDS_ATTENTION = (
    "It may have been sent: the provider's search did not find it. Check the provider's records before you resend it."
)
log = logger(__name__)


async def reconcile(work: Work, mailer: Mailer, actor: Actor, campaign_id: UUID, *, grace_seconds: float) -> int:
    """Look up the messages of a campaign that are due; returns how many."""

    async def reserve(uow: UnitOfWork, looked_up: Sequence[UUID]) -> Lookup | None:
        return await reserve_due(uow, campaign_id, looked_up)

    async def record(uow: UnitOfWork, lookup: Lookup, message_ids: Mapping[str, str]) -> None:
        await record_lookup(uow, campaign_id, lookup, message_ids, grace_seconds=grace_seconds)

    return await look_up(work, mailer, actor, stream=Stream.BROADCAST, reserve=reserve, record=record)


async def reserve_due(uow: UnitOfWork, campaign_id: UUID, looked_up: Sequence[UUID] = ()) -> Lookup | None:
    """Reserve the due messages of one batch that is not among `looked_up`; other workers skip them for a minute."""
    first = select(EmailDelivery.batch_id).where(*_is_due(EmailDelivery, uow.tenant.organization_id, campaign_id))
    if looked_up:
        first = first.where(EmailDelivery.batch_id.not_in(looked_up))
    first_batch = first.order_by(EmailDelivery.id).limit(1).with_for_update(skip_locked=True).cte("first_batch")
    of_batch = aliased(EmailDelivery)
    reserved = (
        select(of_batch.id)
        .where(
            *_is_due(of_batch, uow.tenant.organization_id, campaign_id),
            of_batch.batch_id == select(first_batch.c.batch_id).scalar_subquery(),
        )
        .with_for_update(skip_locked=True)
        .cte("reserved")
    )
    rows = await uow.rows(
        update(EmailDelivery)
        .where(*id_in_locked(uow.tenant.organization_id, campaign_id, reserved))
        .values(next_lookup_at=now_plus(RESERVED_SECONDS))
        .returning(EmailDelivery.id, EmailDelivery.lookups, EmailDelivery.next_lookup_at, EmailDelivery.batch_id)
    )
    if not rows:
        return None
    return Lookup(rows[0].batch_id, [UnknownMessage(row.id, row.lookups, row.next_lookup_at) for row in rows])


def _is_due(rows: type[EmailDelivery], organization_id: UUID, campaign_id: UUID) -> tuple[Any, ...]:
    """The condition on the campaign's messages in doubt that are due for a lookup."""
    return (
        *of_campaign(organization_id, campaign_id, rows),
        rows.is_open,
        rows.status == DeliveryStatus.UNKNOWN,
        rows.batch_id.is_not(None),
        rows.next_lookup_at <= func.clock_timestamp(),
    )


async def record_lookup(
    uow: UnitOfWork, campaign_id: UUID, lookup: Lookup, message_ids: Mapping[str, str], *, grace_seconds: float
) -> None:
    """Record a lookup: found messages are accepted; absent ones wait for the next lookup, or it was their last.

    A lookup that outlasted its reservation, so that another worker has reserved the messages, has no effect on them.
    """
    bound = {"organization": uow.tenant.organization_id, "campaign": campaign_id}
    found_ids = [row.id for row in lookup.rows if str(row.id) in message_ids]
    absent = [row for row in lookup.rows if str(row.id) not in message_ids]
    if found_ids:
        found_message_ids = [message_ids[str(one)] for one in found_ids]
        await uow.execute(
            _found_statement(), {**bound, **id_range(found_ids), "message_id_values": found_message_ids}
        )
    if absent:
        doubt = await uow.rows(select(Campaign.on_doubt).where(Campaign.id == campaign_id))
        await uow.execute(
            _absent_statement(hold=doubt[0].on_doubt == OnDoubt.HOLD),
            {
                **bound,
                **id_range([row.id for row in absent]),
                "batch": lookup.batch_id,
                "lookups_values": [row.lookups for row in absent],
                "next_lookup_at_values": [row.due_at for row in absent],
                "pause": grace_seconds / (MAX_LOOKUPS - 1),
            },
        )
        uow.enqueue(SendBatches(organization_id=uow.tenant.organization_id, campaign_id=campaign_id))
    uow.publish(campaign_topic(uow.tenant.organization_id, campaign_id))
    log.info("batch looked up", batch_id=str(lookup.batch_id), found=len(found_ids), absent=len(absent))


def _found_statement() -> Any:  # noqa: ANN401 - an UPDATE
    """Accept what the provider has, even if the message is in doubt in a later batch by now."""
    values = values_by_id(message_id=Text())
    return (
        update(EmailDelivery)
        .where(*in_values(values), EmailDelivery.status == DeliveryStatus.UNKNOWN)
        .values(
            status=DeliveryStatus.ACCEPTED,
            message_id=values.c.message_id,
            accepted_at=func.clock_timestamp(),
            error_message=None,
            next_lookup_at=None,
        )
    )


def _absent_statement(*, hold: bool) -> Any:  # noqa: ANN401 - an UPDATE
    """Count a lookup without a result; after the last one the message is sent again, or held for a person."""
    values = values_by_id(lookups=Integer(), next_lookup_at=DateTime(timezone=True))
    last = EmailDelivery.lookups + 1 >= MAX_LOOKUPS
    end = DeliveryStatus.FAILED if hold else DeliveryStatus.PENDING
    batch_id = EmailDelivery.batch_id if hold else null()
    return (
        update(EmailDelivery)
        .where(
            *in_values(values),
            EmailDelivery.status == DeliveryStatus.UNKNOWN,
            EmailDelivery.batch_id == bindparam("batch", type_=Uuid),
            EmailDelivery.lookups == values.c.lookups,
            EmailDelivery.next_lookup_at == values.c.next_lookup_at,
        )
        .values(
            status=case((last, str(end)), else_=str(DeliveryStatus.UNKNOWN)),
            lookups=case((last, 0), else_=EmailDelivery.lookups + 1),
            next_lookup_at=case((last, null()), else_=now_plus(bindparam("pause"))),
            batch_id=case((last, batch_id), else_=EmailDelivery.batch_id),
            error_message=case((last, _NEEDS_ATTENTION if hold else null()), else_=EmailDelivery.error_message),
        )
    )
