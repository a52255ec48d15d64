"""T2, submit: from its commit on a message may have been sent. Exactly the submitted rows go to the provider."""

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
from services.deliveries.composing import Composed
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
    """Skip claimed rows, each with its decision and reason."""
    values = values_by_id(decision=Text(), reason=Text())
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
            error_message=values.c.reason,
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


async def submit(uow: UnitOfWork, claim: Claim, composed: Composed, times: LeaseTimes) -> list[Message]:
    """Submit the rendered messages; returns those to hand to the provider after COMMIT, and only then."""
    bound = {"organization": claim.organization_id, "campaign": claim.campaign_id, "token": claim.token}
    ids = list(composed.messages)
    submitted = {**bound, **id_range(ids), "needed": times.needed, "batch": claim.batch_id} if ids else None
    submitted_ids = {row.id for row in await uow.rows(_submit_statement(), submitted)} if submitted else frozenset()
    if composed.skipped:
        decisions = [str(decision) for decision in composed.skipped.values()]
        reasons = [composed.reasons.get(one) for one in composed.skipped]
        skipped = {
            **bound,
            **id_range(list(composed.skipped)),
            "decision_values": decisions,
            "reason_values": reasons,
        }
        await uow.execute(_skip_statement(), skipped)
    released = [*(one for one in ids if one not in submitted_ids), *composed.remaining]
    if not released:
        return list(composed.messages.values())
    await uow.execute(_release_statement(), {**bound, **id_range(released)})
    return [message for one, message in composed.messages.items() if one in submitted_ids]
