"""Submitting a rendered batch (transaction T2 of docs/sending.md): after its commit, a message may have been sent.

Exactly the messages of submitted rows are sent to the provider.
"""

from functools import lru_cache
from typing import Any

from sqlalchemy import Float, Text, Uuid, bindparam, case, func, select, update

from core.database.clock import now_plus
from core.leases import RELEASED, is_held
from core.unit_of_work import UnitOfWork
from integrations.mail import Message
from models.campaigns import Campaign, CampaignStatus
from models.deliveries import DeliveryDecision, DeliveryStatus, EmailDelivery
from services.deliveries.batch_sql import id_in_batch, id_range, in_values, values_by_id
from services.deliveries.claiming import Claim, is_sending
from services.deliveries.rendering import RenderedBatch
from services.mailing.leases import LeaseTimes
from services.suppressions.reading import is_suppressed


@lru_cache
def _submit_statement() -> Any:  # noqa: ANN401 - an UPDATE with RETURNING
    """Move rows to `submitting` if the lease is still held and long enough, and the recipient may be mailed."""
    return (
        update(EmailDelivery)
        .where(
            *id_in_batch(),
            EmailDelivery.status == DeliveryStatus.CLAIMED,
            is_held(EmailDelivery, bindparam("token", type_=Uuid)),
            EmailDelivery.lease_until > now_plus(bindparam("needed", type_=Float)),
            is_sending(),
            ~is_suppressed(bindparam("organization", type_=Uuid), EmailDelivery.email_norm),  # type: ignore[arg-type]
        )
        .values(
            status=DeliveryStatus.SUBMITTING,
            batch_id=bindparam("batch", type_=Uuid),
            submitted_at=func.clock_timestamp(),
            attempts=EmailDelivery.attempts + 1,
        )
        .returning(EmailDelivery.id)
    )


@lru_cache
def _skip_statement() -> Any:  # noqa: ANN401 - an UPDATE
    """Skip claimed rows, each with its decision and its error message, if any."""
    values = values_by_id(decision=Text(), error_message=Text())
    return (
        update(EmailDelivery)
        .where(
            *in_values(values),
            EmailDelivery.status == DeliveryStatus.CLAIMED,
            is_held(EmailDelivery, bindparam("token", type_=Uuid)),
        )
        .values(
            status=DeliveryStatus.SKIPPED,
            decision=values.c.decision,
            error_message=values.c.error_message,
            **RELEASED,
        )
    )


@lru_cache
def _release_statement() -> Any:  # noqa: ANN401 - an UPDATE
    """Release rows that were claimed and not submitted: skipped where suppressed or cancelled, else pending again."""
    suppressed = is_suppressed(bindparam("organization", type_=Uuid), EmailDelivery.email_norm)  # type: ignore[arg-type]
    cancelled = select(Campaign.id).where(
        Campaign.organization_id == bindparam("organization", type_=Uuid),
        Campaign.id == bindparam("campaign", type_=Uuid),
        Campaign.status == CampaignStatus.CANCELLING,
    )
    decision = case(
        (suppressed, str(DeliveryDecision.SUPPRESSED)),
        (cancelled.exists(), str(DeliveryDecision.CANCELLED)),
        else_=None,
    )
    return (
        update(EmailDelivery)
        .where(
            *id_in_batch(),
            EmailDelivery.status == DeliveryStatus.CLAIMED,
            is_held(EmailDelivery, bindparam("token", type_=Uuid)),
        )
        .values(
            status=case(
                (suppressed | cancelled.exists(), str(DeliveryStatus.SKIPPED)), else_=str(DeliveryStatus.PENDING)
            ),
            decision=decision,
            **RELEASED,
        )
    )


async def submit(uow: UnitOfWork, claim: Claim, rendered: RenderedBatch, times: LeaseTimes) -> list[Message]:
    """Submit the rendered messages; returns those to be sent to the provider after COMMIT, and not before."""
    bound = {"organization": claim.organization_id, "campaign": claim.campaign_id, "token": claim.token}
    ids = list(rendered.messages)
    submitted = {**bound, **id_range(ids), "needed": times.needed, "batch": claim.batch_id} if ids else None
    submitted_ids = {row.id for row in await uow.rows(_submit_statement(), submitted)} if submitted else frozenset()
    if rendered.skipped:
        decisions = [str(decision) for decision in rendered.skipped.values()]
        error_messages = [rendered.error_messages.get(delivery_id) for delivery_id in rendered.skipped]
        skipped = {
            **bound,
            **id_range(list(rendered.skipped)),
            "decision_values": decisions,
            "error_message_values": error_messages,
        }
        await uow.execute(_skip_statement(), skipped)
    released = [*(delivery_id for delivery_id in ids if delivery_id not in submitted_ids), *rendered.remaining]
    if not released:
        return list(rendered.messages.values())
    await uow.execute(_release_statement(), {**bound, **id_range(released)})
    return [message for delivery_id, message in rendered.messages.items() if delivery_id in submitted_ids]
