"""T3: what the provider said goes into the ledger, where the rows are still the batch's."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Float, Integer, Row, Text, Uuid, and_, bindparam, func, or_, update

from core import texts
from core.database.clock import now_plus
from core.leases import RELEASED, is_held
from core.pubsub import campaign_topic
from core.unit_of_work import UnitOfWork
from integrations.mail import AccountRefused, Answered, InDoubt, Message, NotSent, Receipt, Verdict
from models.contact_events import ContactEventKind
from models.deliveries import DeliveryStatus, EmailDelivery
from models.suppressions import SuppressionReason, SuppressionSource
from services.contact_events import ContactLine, write_lines
from services.deliveries.batch_sql import id_in_batch, id_range, in_values, values_by_id
from services.deliveries.claiming import Claim
from services.mailing.handover import TEXT_LENGTH, Handed
from services.suppressions.facts import HistoryLine, SuppressionFact
from services.suppressions.suppressing import suppress


def is_of_batch() -> Any:  # noqa: ANN401 - a SQL condition
    """Whether the row still waits for this batch's outcome: under our lease, or unknown since the lease expired."""
    return or_(
        and_(
            EmailDelivery.status == DeliveryStatus.SUBMITTING,
            is_held(EmailDelivery, bindparam("token", type_=Uuid)),
        ),
        and_(
            EmailDelivery.status == DeliveryStatus.UNKNOWN,
            EmailDelivery.batch_id == bindparam("batch", type_=Uuid),
        ),
    )


LEASE_OVER: dict[str, Any] = {**RELEASED, "next_lookup_at": None}


@lru_cache
def accepted_statement() -> Any:  # noqa: ANN401 - an UPDATE
    """The messages that the provider took, with its ids."""
    values = values_by_id(message_id=Text())
    return (
        update(EmailDelivery)
        .where(*in_values(values), is_of_batch())
        .values(
            status=DeliveryStatus.ACCEPTED,
            message_id=values.c.message_id,
            accepted_at=func.clock_timestamp(),
            error_code=None,
            error_message=None,
            **LEASE_OVER,
        )
    )


@lru_cache
def rejected_statement() -> Any:  # noqa: ANN401 - an UPDATE
    """The messages that the provider refused, with its codes and words."""
    values = values_by_id(code=Integer(), text=Text())
    return (
        update(EmailDelivery)
        .where(*in_values(values), is_of_batch())
        .values(
            status=DeliveryStatus.REJECTED,
            error_code=values.c.code,
            error_message=values.c.text,
            **LEASE_OVER,
        )
        .returning(EmailDelivery.id, EmailDelivery.contact_id, EmailDelivery.email_norm, func.now().label("at"))
    )


@lru_cache
def not_sent_statement() -> Any:  # noqa: ANN401 - an UPDATE
    """The messages that were certainly not sent: pending again."""
    return (
        update(EmailDelivery)
        .where(*id_in_batch(), is_of_batch())
        .values(
            status=DeliveryStatus.PENDING,
            batch_id=None,
            submitted_at=None,
            error_message=bindparam("reason", type_=Text),
            **LEASE_OVER,
        )
    )


@lru_cache
def unknown_statement() -> Any:  # noqa: ANN401 - an UPDATE
    """The messages that may have been sent: the provider will be asked."""
    return (
        update(EmailDelivery)
        .where(
            *id_in_batch(),
            EmailDelivery.status == DeliveryStatus.SUBMITTING,
            is_held(EmailDelivery, bindparam("token", type_=Uuid)),
        )
        .values(
            status=DeliveryStatus.UNKNOWN,
            error_message=bindparam("reason", type_=Text),
            lookups=0,
            next_lookup_at=now_plus(bindparam("first_look", type_=Float)),
            **RELEASED,
        )
    )


async def record(uow: UnitOfWork, claim: Claim, handed: Sequence[Handed], *, request_seconds: float) -> None:
    """Record the outcome of a batch; rows that somebody else has settled meanwhile stay as they are."""
    bound = {
        "organization": claim.organization_id,
        "campaign": claim.campaign_id,
        "token": claim.token,
        "batch": claim.batch_id,
    }
    for part in handed:
        if isinstance(part.outcome, Answered):
            await record_receipts(uow, bound, part.messages, part.outcome.receipts)
        elif isinstance(part.outcome, InDoubt):
            await mark_unknown(uow, bound, part.messages, part.outcome, request_seconds)
        else:
            await give_back(uow, bound, part.messages, part.outcome.reason)
    uow.publish(campaign_topic(claim.organization_id, claim.campaign_id))


async def record_receipts(
    uow: UnitOfWork, bound: dict[str, UUID], messages: Sequence[Message], receipts: Sequence[Receipt]
) -> None:
    """Write down a receipt for each message."""
    accepted = [receipt.message_id for receipt in receipts if receipt.verdict is Verdict.ACCEPTED]
    if len(accepted) == len(messages):
        await uow.execute(
            accepted_statement(), {**bound, **id_range(ids_of(messages)), "message_id_values": accepted}
        )
        return
    pairs = list(zip(messages, receipts, strict=True))
    taken = [message for message, receipt in pairs if receipt.verdict is Verdict.ACCEPTED]
    if taken:
        await uow.execute(accepted_statement(), {**bound, **id_range(ids_of(taken)), "message_id_values": accepted})
    refused = [pair for pair in pairs if pair[1].verdict in (Verdict.REFUSED, Verdict.INACTIVE)]
    if refused:
        await reject(uow, bound, refused)
    later = [pair for pair in pairs if pair[1].verdict in (Verdict.NOT_NOW, Verdict.ACCOUNT)]
    if later:
        await give_back(uow, bound, [message for message, _ in later], later[0][1].text)


async def reject(uow: UnitOfWork, bound: dict[str, UUID], refused: list[tuple[Message, Receipt]]) -> None:
    """Mark messages as refused, with the provider's words."""
    messages = [message for message, _ in refused]
    rows = await uow.rows(
        rejected_statement(),
        {
            **bound,
            **id_range(ids_of(messages)),
            "code_values": [receipt.code for _, receipt in refused],
            "text_values": [texts.sanitize(receipt.text) for _, receipt in refused],
        },
    )
    receipts = dict(zip(ids_of(messages), (receipt for _, receipt in refused), strict=True))
    await record_refusals(uow, bound["campaign"], [(row, receipts[row.id]) for row in rows])


async def record_refusals(
    uow: UnitOfWork, campaign_id: UUID, refused: Sequence[tuple[Row[*tuple[Any, ...]], Receipt]]
) -> None:
    """Write refusals into the contacts' histories; an address that the provider no longer mails is suppressed."""
    inactive: list[SuppressionFact] = []
    others: list[ContactLine] = []
    for row, receipt in refused:
        data = {"code": receipt.code, "message": texts.sanitize(receipt.text)}
        key = f"rejected:{row.id}"
        about = {"campaign_id": campaign_id, "delivery_id": row.id, "contact_id": row.contact_id, "at": row.at}
        if receipt.verdict is Verdict.INACTIVE:
            line = HistoryLine(kind=ContactEventKind.REJECTED, dedupe_key=key, data=data)
            inactive.append(
                SuppressionFact(
                    email_norm=row.email_norm,
                    reason=SuppressionReason.PROVIDER,
                    source=SuppressionSource.PROVIDER,
                    line=line,
                    **about,
                )
            )
        else:
            others.append(ContactLine(kind=ContactEventKind.REJECTED, dedupe_key=key, data=data, **about))
    await suppress(uow, inactive)
    await write_lines(uow, others)


async def mark_unknown(
    uow: UnitOfWork, bound: dict[str, UUID], messages: Sequence[Message], outcome: InDoubt, request_seconds: float
) -> None:
    """Mark messages that may have been sent. A provider that has not even answered gets as long again first."""
    await uow.execute(
        unknown_statement(),
        {
            **bound,
            **id_range(ids_of(messages)),
            "reason": outcome.reason[:TEXT_LENGTH],
            "first_look": request_seconds if outcome.under_way else 0.0,
        },
    )


async def give_back(uow: UnitOfWork, bound: dict[str, UUID], messages: Sequence[Message], reason: str) -> None:
    """Make messages pending again that were certainly not sent."""
    await uow.execute(not_sent_statement(), {**bound, **id_range(ids_of(messages)), "reason": reason[:TEXT_LENGTH]})


def ids_of(messages: Sequence[Message]) -> list[UUID]:
    """The deliveries' ids."""
    return [UUID(message.delivery_id) for message in messages]


def trouble(handed: Sequence[Handed]) -> NotSent | AccountRefused | InDoubt | None:
    """What of a batch's outcome concerns more than the batch: the account first, then any reason to slow down."""
    troubles: list[NotSent | AccountRefused | InDoubt] = []
    for _, outcome in handed:
        if isinstance(outcome, AccountRefused):
            return outcome
        if isinstance(outcome, Answered):
            for receipt in outcome.receipts:
                if receipt.verdict is Verdict.ACCOUNT:
                    return AccountRefused(code=receipt.code, reason=receipt.text)
                if receipt.verdict is Verdict.NOT_NOW:
                    troubles.append(NotSent(reason=receipt.text))
        elif isinstance(outcome, NotSent | InDoubt):
            troubles.append(outcome)
    return troubles[0] if troubles else None
