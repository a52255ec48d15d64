"""T2, the point of no return, and the handing over of exactly the rows that passed it."""

from collections.abc import Sequence
from functools import lru_cache
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import Float, Text, Uuid, bindparam, case, func, select, update

from core.unit_of_work import UnitOfWork
from integrations.mail import (
    AccountRefused,
    Answered,
    BatchRefused,
    Envelope,
    InDoubt,
    Mailer,
    Message,
    NotSent,
    Outcome,
    ProviderLimits,
    Receipt,
    Verdict,
)
from models.campaigns import Campaign, CampaignStatus
from models.deliveries import DeliveryStatus, EmailDelivery
from services.deliveries.claiming import Claim, is_sending, now_plus
from services.deliveries.composing import Composed
from services.deliveries.leases import LeaseTimes, time_for
from services.deliveries.planning import given, is_listed, span, within_span
from services.deliveries.preparing import Decision
from services.suppressions import is_suppressed

BODY_SHARE = 0.8
"""How much of the provider's limit a request may take, as its size is estimated."""
SEVERAL = 2
TEXT_LENGTH = 500


class Handed(NamedTuple):
    """A part of the batch and what became of it."""

    messages: Sequence[Message]
    outcome: Outcome


@lru_cache
def submit_statement() -> Any:  # noqa: ANN401 - an UPDATE with RETURNING
    """Move to `submitting` what is still ours, long enough, wanted, and allowed."""
    return (
        update(EmailDelivery)
        .where(
            *is_listed(),
            EmailDelivery.status == DeliveryStatus.CLAIMED,
            EmailDelivery.lease_token == bindparam("token", type_=Uuid),
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
def skip_statement() -> Any:  # noqa: ANN401 - an UPDATE
    """Skip claimed rows, each with its reason."""
    given_rows = given(decision=Text(), reason=Text())
    return (
        update(EmailDelivery)
        .where(
            *within_span(),
            EmailDelivery.id == given_rows.c.id,
            EmailDelivery.status == DeliveryStatus.CLAIMED,
            EmailDelivery.lease_token == bindparam("token", type_=Uuid),
        )
        .values(
            status=DeliveryStatus.SKIPPED,
            decision=given_rows.c.decision,
            error_message=given_rows.c.reason,
            lease_token=None,
            lease_until=None,
        )
    )


@lru_cache
def release_statement() -> Any:  # noqa: ANN401 - an UPDATE
    """What was claimed and not submitted: skipped where suppressed, else given back."""
    suppressed = is_suppressed(bindparam("organization", type_=Uuid), EmailDelivery.email_norm)  # type: ignore[arg-type]
    cancelled = select(Campaign.id).where(
        Campaign.organization_id == bindparam("organization", type_=Uuid),
        Campaign.id == bindparam("campaign", type_=Uuid),
        Campaign.status == CampaignStatus.CANCELLING,
    )
    decision = case((suppressed, str(Decision.SUPPRESSED)), (cancelled.exists(), str(Decision.CANCELLED)), else_=None)
    return (
        update(EmailDelivery)
        .where(
            *is_listed(),
            EmailDelivery.status == DeliveryStatus.CLAIMED,
            EmailDelivery.lease_token == bindparam("token", type_=Uuid),
        )
        .values(
            status=case(
                (suppressed | cancelled.exists(), str(DeliveryStatus.SKIPPED)), else_=str(DeliveryStatus.PENDING)
            ),
            decision=decision,
            lease_token=None,
            lease_until=None,
        )
    )


async def submit(uow: UnitOfWork, claim: Claim, composed: Composed, times: LeaseTimes) -> list[Message]:
    """Pass the point of no return; the messages that may be handed over once this has been committed."""
    bound = {"organization": claim.organization_id, "campaign": claim.campaign_id, "token": claim.token}
    ids = list(composed.messages)
    submitted = {**bound, **span(ids), "needed": times.needed, "batch": claim.batch_id} if ids else None
    passed = {row.id for row in await uow.rows(submit_statement(), submitted)} if submitted else frozenset()
    if composed.skipped:
        decisions = [str(decision) for decision in composed.skipped.values()]
        reasons = [composed.reasons.get(one) for one in composed.skipped]
        skipped = {**bound, **span(list(composed.skipped)), "given_decision": decisions, "given_reason": reasons}
        await uow.execute(skip_statement(), skipped)
    left = [*(one for one in ids if one not in passed), *composed.rest]
    if not left:
        return list(composed.messages.values())
    await uow.execute(release_statement(), {**bound, **span(left)})
    return [message for one, message in composed.messages.items() if one in passed]


async def hand_over(
    mailer: Mailer, envelope: Envelope, messages: Sequence[Message], *, deadline: float, times: LeaseTimes
) -> list[Handed]:
    """Send every message once, within the lease. A batch refused whole is halved until the culprit is alone."""
    waiting = parts(messages, mailer.limits)
    handed: list[Handed] = []
    while waiting:
        batch = waiting.pop()
        if not time_for(deadline, times.request):
            handed.append(Handed(batch, NotSent(reason="The lease was nearly over.", local=True)))
            continue
        not_after = min(monotonic() + times.request, deadline)
        outcome = await mailer.send(envelope, batch, not_after=not_after)
        if isinstance(outcome, BatchRefused) and len(batch) > 1:
            middle = len(batch) // 2
            waiting += [batch[middle:], batch[:middle]]
            continue
        if isinstance(outcome, BatchRefused):
            outcome = Answered(receipts=[refusal(outcome)])
        handed.append(Handed(batch, outcome))
        if isinstance(outcome, NotSent | AccountRefused | InDoubt):
            handed += [Handed(rest, NotSent(reason="Not tried.", local=True)) for rest in waiting]
            break
    nobody = refusal_of_all(mailer.name, handed)
    if nobody is None:
        return handed
    return [part._replace(outcome=nobody) if isinstance(part.outcome, Answered) else part for part in handed]


def refusal_of_all(provider: str, handed: Sequence[Handed]) -> AccountRefused | None:
    """What is wrong with the campaign or the account, when several messages are all refused in the same words.

    It is then hardly the recipients' doing (a bad From address reads like that), and would cost the whole audience.
    Only addresses that the provider no longer mails are theirs, however many they are.
    """
    receipts = [receipt for part in handed if isinstance(part.outcome, Answered) for receipt in part.outcome.receipts]
    words = {(receipt.verdict, receipt.code, receipt.text) for receipt in receipts}
    if len(receipts) < SEVERAL or len(words) > 1:
        return None
    verdict, code, text = words.pop()
    if verdict is not Verdict.REFUSED:
        return None
    reason = (
        f"{provider} refused every message of a batch. Check the sender and the content, then resume "
        f"(code {code}): {text}"
    )
    return AccountRefused(code=code, reason=reason[:TEXT_LENGTH])


def refusal(outcome: BatchRefused) -> Receipt:
    """The receipt of the one message that made the provider refuse the batch."""
    return Receipt(outcome.verdict, None, outcome.code, outcome.reason)


def parts(messages: Sequence[Message], limits: ProviderLimits) -> list[Sequence[Message]]:
    """The messages in requests that the provider's limits allow; a whole batch almost always."""
    result: list[Sequence[Message]] = []
    most_bytes = limits.max_bytes * BODY_SHARE
    start = size = 0
    for index, message in enumerate(messages):
        # JSON writes most characters in one byte, at worst in six; three is more than mail in practice needs.
        own = 3 * (len(message.html) + len(message.text) + len(message.subject)) + 1_000
        if index > start and (size + own > most_bytes or index - start == limits.max_messages):
            result.append(messages[start:index])
            start, size = index, 0
        size += own
    if start < len(messages):
        result.append(messages[start:])
    return result
