"""Which senders an installation allows: in production only confirmed ones."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select, true
from sqlalchemy.orm import aliased

from core.database.scopes import Reader
from core.errors import Conflict, ErrorCode, NudgeError
from core.unit_of_work import UnitOfWork
from integrations.mail import Mailer
from models.senders import Sender
from services.features import ALL, Feature, Features
from services.senders.addressing import from_header
from services.senders.reading import SENDERS, SenderRow, get_default

_CAMPAIGN_FIELD = ("input", "campaignId")


class SenderNotConfirmed(NudgeError):
    """The mail would be sent from an address that is not confirmed."""

    code = ErrorCode.SENDER_NOT_CONFIRMED


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderPolicy:
    """`confirmed_only` is set in production. Elsewhere every sender is allowed, and `fallback` where there is none.

    `max_from_bytes` is the provider's limit for name and address together, `pause` the minimum between two
    confirmations to an address, and `per_day` an organization's daily limit of confirmations.
    """

    confirmed_only: bool
    fallback: str
    max_from_bytes: int
    pause: timedelta
    per_day: int
    features: Features = ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenSender:
    """The From header of a message; `sender_id` is None for the installation's own address."""

    header: str
    sender_id: UUID | None = None


def sender_policy(mailer: Mailer, *, production: bool, features: Features = ALL) -> SenderPolicy:
    """The policy of an installation that sends by this provider."""
    return SenderPolicy(
        features=features,
        confirmed_only=production,
        fallback=mailer.sender,
        max_from_bytes=mailer.limits.max_from_bytes,
        pause=timedelta(minutes=1) if production else timedelta(0),
        per_day=20 if production else 10_000,
    )


async def lock_chosen(uow: UnitOfWork, chosen: ChosenSender) -> ChosenSender:
    """Lock the sender against deletion until the end of the transaction; raises `Conflict` when it was deleted."""
    if chosen.sender_id is not None:
        locked = select(Sender.id).where(Sender.id == chosen.sender_id).with_for_update(read=True, key_share=True)
        if not await uow.rows(locked):
            raise _deleted_meanwhile()
    return chosen


async def require_and_lock(uow: UnitOfWork, sender_id: UUID) -> SenderRow:
    """Read a sender and lock it against deletion, in one statement.

    Raises `NotFound`, or `Conflict` when it was deleted concurrently.
    """
    sender = await _read_and_lock(uow, Sender.id == sender_id)
    if sender is None:
        raise SENDERS.not_found()
    return sender


async def choose_and_lock(uow: UnitOfWork, policy: SenderPolicy, sender_id: UUID | None) -> ChosenSender:
    """Like `choose`, and lock the sender against deletion, in one statement.

    Also raises `Conflict` when the sender was deleted concurrently.
    """
    sender = await _read_and_lock(uow, Sender.id == sender_id if sender_id else Sender.is_default.is_(True))
    if sender is None and sender_id:
        raise SENDERS.not_found(_CAMPAIGN_FIELD)
    return _allowed(policy, sender)


async def _read_and_lock(uow: UnitOfWork, condition: ColumnElement[bool]) -> SenderRow | None:
    rows = await uow.rows(_locking_select(condition))
    if not rows:
        return None
    *row, locked_id = rows[0]
    if locked_id is None:
        raise _deleted_meanwhile()
    return SenderRow._make(row)


def _locking_select(condition: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    """Select the sender in the statement's snapshot, and `locked_id`, which is NULL if it was deleted meanwhile."""
    sender = aliased(Sender)
    locked = (
        select(sender.id)
        .where(sender.organization_id == Sender.organization_id, sender.id == Sender.id)
        .with_for_update(read=True, key_share=True)
        .correlate(Sender)
        .lateral("locked")
    )
    return (
        select(*SENDERS.columns, locked.c.id.label("locked_id"))
        .outerjoin_from(Sender, locked, true())
        .where(condition)
    )


def _deleted_meanwhile() -> Conflict:
    return Conflict(
        "The sender was deleted at the same time.",
        field=_CAMPAIGN_FIELD,
        suggestion="Choose another sender, or repeat the call to use the default sender.",
    )


def stored_sender(policy: SenderPolicy, header: str | None, sender_id: UUID | None) -> ChosenSender | None:
    """The sender that was stored when the campaign was scheduled or sent, if it may still be used.

    None for a draft and, where senders must be confirmed, when the sender was deleted since.
    """
    if header is None or (policy.confirmed_only and sender_id is None):
        return None
    return ChosenSender(header=header, sender_id=sender_id)


async def choose(reads: Reader, policy: SenderPolicy, sender_id: UUID | None) -> ChosenSender:
    """The sender with the id, else the organization's default one, else the fallback.

    Raises `FeatureUnavailable` where sending is off, `SenderNotConfirmed`, or `NotFound` for a deleted sender.
    """
    sender = await SENDERS.require(reads, sender_id, _CAMPAIGN_FIELD) if sender_id else await get_default(reads)
    return _allowed(policy, sender)


def _allowed(policy: SenderPolicy, sender: SenderRow | None) -> ChosenSender:
    policy.features.require(Feature.SENDING, field=_CAMPAIGN_FIELD)
    if sender is None and policy.confirmed_only:
        raise SenderNotConfirmed(
            "The organization has no confirmed sender.",
            field=_CAMPAIGN_FIELD,
            suggestion=(
                "Add one with `createSender(input: {email, name})`, and open the link in its confirmation e-mail."
            ),
        )
    if sender is None and not policy.fallback.strip():
        raise SenderNotConfirmed(
            "No sender is configured.",
            field=_CAMPAIGN_FIELD,
            code=ErrorCode.CAMPAIGN_NOT_SENDABLE,
            suggestion="Add one with `createSender`.",
        )
    if sender is None:
        return ChosenSender(header=policy.fallback)
    if policy.confirmed_only and sender.confirmed_at is None:
        raise SenderNotConfirmed(
            f"The sender {sender.email} is not confirmed.",
            field=_CAMPAIGN_FIELD,
            suggestion=(
                "Open the link in its confirmation e-mail; `createSender` with the same address sends it again. "
                "Or choose another sender with `updateCampaign(input: {senderId})`."
            ),
        )
    return ChosenSender(header=from_header(sender.name, sender.email), sender_id=sender.id)
