"""Recording the outcome of a batch (transaction T3 of docs/sending.md) in the rows that still belong to the batch."""

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
from integrations.mail import (
    AccountRefused,
    BatchProcessed,
    InDoubt,
    Message,
    NotSent,
    SubmissionResult,
    SubmissionStatus,
)
from models.contact_events import ContactEventKind
from models.deliveries import DeliveryStatus, EmailDelivery
from models.suppressions import SuppressionReason, SuppressionSource
from services.contact_events import NewContactEvent, write_contact_events
from services.deliveries.batch_sql import id_in_batch, id_range, in_values, values_by_id
from services.deliveries.claiming import Claim
from services.mailing.handover import MAX_REASON_LENGTH, RequestOutcome
from services.suppressions.facts import HistoryEntry, SuppressionFact
from services.suppressions.suppressing import suppress


def _is_of_batch() -> Any:  # noqa: ANN401 - a SQL condition
    """Whether the row still waits for this batch's outcome: under our lease, or in doubt since the lease expired."""
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


# Columns of a row without a lease and without a next lookup.
_NO_LEASE_OR_LOOKUP: dict[str, Any] = {**RELEASED, "next_lookup_at": None}


@lru_cache
def _accepted_statement() -> Any:  # noqa: ANN401 - an UPDATE
    """Mark messages as accepted, with the provider's message ids."""
    values = values_by_id(message_id=Text())
    return (
        update(EmailDelivery)
        .where(*in_values(values), _is_of_batch())
        .values(
            status=DeliveryStatus.ACCEPTED,
            message_id=values.c.message_id,
            accepted_at=func.clock_timestamp(),
            error_code=None,
            error_message=None,
            **_NO_LEASE_OR_LOOKUP,
        )
    )


@lru_cache
def _rejected_statement() -> Any:  # noqa: ANN401 - an UPDATE
    """Mark messages as refused, with the provider's error codes and texts."""
    values = values_by_id(code=Integer(), text=Text())
    return (
        update(EmailDelivery)
        .where(*in_values(values), _is_of_batch())
        .values(
            status=DeliveryStatus.REJECTED,
            error_code=values.c.code,
            error_message=values.c.text,
            **_NO_LEASE_OR_LOOKUP,
        )
        .returning(EmailDelivery.id, EmailDelivery.contact_id, EmailDelivery.email_norm, func.now().label("at"))
    )


@lru_cache
def _not_sent_statement() -> Any:  # noqa: ANN401 - an UPDATE
    """Make messages that were certainly not sent pending again."""
    return (
        update(EmailDelivery)
        .where(*id_in_batch(), _is_of_batch())
        .values(
            status=DeliveryStatus.PENDING,
            batch_id=None,
            submitted_at=None,
            error_message=bindparam("reason", type_=Text),
            **_NO_LEASE_OR_LOOKUP,
        )
    )


@lru_cache
def _unknown_statement() -> Any:  # noqa: ANN401 - an UPDATE
    """Mark messages that may have been sent as unknown, and schedule the first lookup."""
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
            next_lookup_at=now_plus(bindparam("first_lookup", type_=Float)),
            **RELEASED,
        )
    )


async def record(
    uow: UnitOfWork, claim: Claim, outcomes: Sequence[RequestOutcome], *, request_seconds: float
) -> None:
    """Record the outcome of a batch; rows that no longer belong to it are not changed."""
    bound = {
        "organization": claim.organization_id,
        "campaign": claim.campaign_id,
        "token": claim.token,
        "batch": claim.batch_id,
    }
    for messages, outcome in outcomes:
        if isinstance(outcome, BatchProcessed):
            await _record_results(uow, bound, messages, outcome.results)
        elif isinstance(outcome, InDoubt):
            await _mark_unknown(uow, bound, messages, outcome, request_seconds)
        else:
            await _make_pending(uow, bound, messages, outcome.reason)
    uow.publish(campaign_topic(claim.organization_id, claim.campaign_id))


async def _record_results(
    uow: UnitOfWork, bound: dict[str, UUID], messages: Sequence[Message], results: Sequence[SubmissionResult]
) -> None:
    """Record the result of each message."""
    accepted = [result.message_id for result in results if result.status is SubmissionStatus.ACCEPTED]
    if len(accepted) == len(messages):
        await uow.execute(
            _accepted_statement(), {**bound, **id_range(_ids_of(messages)), "message_id_values": accepted}
        )
        return
    pairs = list(zip(messages, results, strict=True))
    sent = [message for message, result in pairs if result.status is SubmissionStatus.ACCEPTED]
    if sent:
        await uow.execute(_accepted_statement(), {**bound, **id_range(_ids_of(sent)), "message_id_values": accepted})
    rejected = [pair for pair in pairs if pair[1].status in (SubmissionStatus.REFUSED, SubmissionStatus.INACTIVE)]
    if rejected:
        await _reject(uow, bound, rejected)
    later = [
        pair for pair in pairs if pair[1].status in (SubmissionStatus.RETRY_LATER, SubmissionStatus.ACCOUNT_REFUSED)
    ]
    if later:
        await _make_pending(uow, bound, [message for message, _ in later], later[0][1].text)


async def _reject(uow: UnitOfWork, bound: dict[str, UUID], rejected: list[tuple[Message, SubmissionResult]]) -> None:
    """Mark messages as refused, and record that in the contacts' histories."""
    messages = [message for message, _ in rejected]
    rows = await uow.rows(
        _rejected_statement(),
        {
            **bound,
            **id_range(_ids_of(messages)),
            "code_values": [result.code for _, result in rejected],
            "text_values": [texts.sanitize(result.text) for _, result in rejected],
        },
    )
    results = dict(zip(_ids_of(messages), (result for _, result in rejected), strict=True))
    await _record_refusals(uow, bound["campaign"], [(row, results[row.id]) for row in rows])


async def _record_refusals(
    uow: UnitOfWork, campaign_id: UUID, rejected: Sequence[tuple[Row[*tuple[Any, ...]], SubmissionResult]]
) -> None:
    """Add refusals to the contacts' histories; an address that the provider has deactivated is suppressed."""
    inactive: list[SuppressionFact] = []
    events: list[NewContactEvent] = []
    for row, result in rejected:
        data = {"code": result.code, "message": texts.sanitize(result.text)}
        key = f"rejected:{row.id}"
        about = {"campaign_id": campaign_id, "delivery_id": row.id, "contact_id": row.contact_id, "at": row.at}
        if result.status is SubmissionStatus.INACTIVE:
            entry = HistoryEntry(kind=ContactEventKind.REJECTED, dedupe_key=key, data=data)
            inactive.append(
                SuppressionFact(
                    email_norm=row.email_norm,
                    reason=SuppressionReason.PROVIDER,
                    source=SuppressionSource.PROVIDER,
                    entry=entry,
                    **about,
                )
            )
        else:
            events.append(NewContactEvent(kind=ContactEventKind.REJECTED, dedupe_key=key, data=data, **about))
    await suppress(uow, inactive)
    await write_contact_events(uow, events)


async def _mark_unknown(
    uow: UnitOfWork, bound: dict[str, UUID], messages: Sequence[Message], outcome: InDoubt, request_seconds: float
) -> None:
    """Mark messages that may have been sent.

    Where the request may still be processed, the first lookup waits for as long as a request may take.
    """
    await uow.execute(
        _unknown_statement(),
        {
            **bound,
            **id_range(_ids_of(messages)),
            "reason": outcome.reason[:MAX_REASON_LENGTH],
            "first_lookup": request_seconds if outcome.in_progress else 0.0,
        },
    )


async def _make_pending(uow: UnitOfWork, bound: dict[str, UUID], messages: Sequence[Message], reason: str) -> None:
    """Make messages that were certainly not sent pending again."""
    await uow.execute(
        _not_sent_statement(), {**bound, **id_range(_ids_of(messages)), "reason": reason[:MAX_REASON_LENGTH]}
    )


def _ids_of(messages: Sequence[Message]) -> list[UUID]:
    """The ids of the messages' deliveries."""
    return [UUID(message.delivery_id) for message in messages]


def backpressure_cause(outcomes: Sequence[RequestOutcome]) -> NotSent | AccountRefused | InDoubt | None:
    """The outcome that concerns more than this batch: a refusal of the account, else the first reason to back off."""
    causes: list[NotSent | AccountRefused | InDoubt] = []
    for _, outcome in outcomes:
        if isinstance(outcome, AccountRefused):
            return outcome
        if isinstance(outcome, BatchProcessed):
            for result in outcome.results:
                if result.status is SubmissionStatus.ACCOUNT_REFUSED:
                    return AccountRefused(code=result.code, reason=result.text)
                if result.status is SubmissionStatus.RETRY_LATER:
                    causes.append(NotSent(reason=result.text))
        elif isinstance(outcome, NotSent | InDoubt):
            causes.append(outcome)
    return causes[0] if causes else None
