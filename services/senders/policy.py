"""What an installation demands of senders: in production the mailbox itself must have agreed."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select, true
from sqlalchemy.orm import aliased

from core.database.scopes import Reads
from core.errors import Conflict, ErrorCode, NudgeError
from core.unit_of_work import UnitOfWork
from integrations.mail import Mailer
from models.senders import Sender
from services.features import ALL, Feature, Features
from services.senders.addressing import from_header
from services.senders.reading import SENDERS, SenderRow, get_default

CAMPAIGN_FIELD = ("input", "campaignId")


class SenderNotConfirmed(NudgeError):
    """The mail would go out from an address that has not been confirmed."""

    code = ErrorCode.SENDER_NOT_CONFIRMED


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderPolicy:
    """`confirmed_only` is production's rule. Elsewhere every sender may be used, and `fallback` where there is none.

    `max_from_bytes` is what the provider takes of name and address together. The rest bounds confirmations: between
    two to an address, and an organization's in a day.
    """

    confirmed_only: bool
    fallback: str
    max_from_bytes: int
    pause: timedelta
    per_day: int
    features: Features = ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class From:
    """Of whom a message is sent; `sender_id` is None for the installation's own address."""

    header: str
    sender_id: UUID | None = None


def sender_policy(mailer: Mailer, *, production: bool, features: Features = ALL) -> SenderPolicy:
    """What an installation demands that sends by this provider."""
    return SenderPolicy(
        features=features,
        confirmed_only=production,
        fallback=mailer.sender,
        max_from_bytes=mailer.limits.max_from_bytes,
        pause=timedelta(minutes=1) if production else timedelta(0),
        per_day=20 if production else 10_000,
    )


async def hold(uow: UnitOfWork, chosen: From) -> From:
    """What was chosen, whose sender nobody can delete until this is committed; raises `Conflict` when it is gone."""
    if chosen.sender_id is not None:
        held = select(Sender.id).where(Sender.id == chosen.sender_id).with_for_update(read=True, key_share=True)
        if not await uow.rows(held):
            raise _deleted_meanwhile()
    return chosen


async def require_and_hold(uow: UnitOfWork, sender_id: UUID) -> SenderRow:
    """A sender that nobody can delete until this is committed, in one statement.

    Raises `NotFound`, or `Conflict` when it was deleted a moment ago.
    """
    found = await _read_and_hold(uow, Sender.id == sender_id)
    if found is None:
        raise SENDERS.not_found()
    return found


async def choose_and_hold(uow: UnitOfWork, policy: SenderPolicy, sender_id: UUID | None) -> From:
    """As `choose`, of a sender that nobody can delete until this is committed, in one statement.

    Raises `Conflict` as well, when the sender was deleted a moment ago.
    """
    found = await _read_and_hold(uow, Sender.id == sender_id if sender_id else Sender.is_default.is_(True))
    if found is None and sender_id:
        raise SENDERS.not_found(CAMPAIGN_FIELD)
    return _allowed(policy, found)


async def _read_and_hold(uow: UnitOfWork, condition: ColumnElement[bool]) -> SenderRow | None:
    rows = await uow.rows(_locking_select(condition))
    if not rows:
        return None
    *row, held = rows[0]
    if held is None:
        raise _deleted_meanwhile()
    return SenderRow._make(row)


def _locking_select(condition: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    """The sender as this statement sees it, and its id once more if it is there still when its lock is free."""
    locked = aliased(Sender)
    held = (
        select(locked.id)
        .where(locked.organization_id == Sender.organization_id, locked.id == Sender.id)
        .with_for_update(read=True, key_share=True)
        .correlate(Sender)
        .lateral("held")
    )
    return select(*SENDERS.columns, held.c.id.label("held_id")).outerjoin_from(Sender, held, true()).where(condition)


def _deleted_meanwhile() -> Conflict:
    return Conflict(
        "The sender was deleted at this very moment.",
        field=CAMPAIGN_FIELD,
        suggestion="Choose another sender, or repeat this to use the default one.",
    )


def settled(policy: SenderPolicy, header: str | None, sender_id: UUID | None) -> From | None:
    """Of whom a campaign was scheduled or sent, if it may be sent so still.

    None for a draft and, where senders must be confirmed, for one whose sender was deleted since.
    """
    if header is None or (policy.confirmed_only and sender_id is None):
        return None
    return From(header=header, sender_id=sender_id)


async def choose(reads: Reads, policy: SenderPolicy, sender_id: UUID | None) -> From:
    """Whom to send from: the sender that was chosen, else the organization's default one, else the fallback.

    Raises `FeatureUnavailable` where nothing is sent, `SenderNotConfirmed`, or `NotFound` for a sender that is gone.
    """
    found = await SENDERS.require(reads, sender_id, CAMPAIGN_FIELD) if sender_id else await get_default(reads)
    return _allowed(policy, found)


def _allowed(policy: SenderPolicy, found: SenderRow | None) -> From:
    policy.features.require(Feature.SENDING, field=CAMPAIGN_FIELD)
    if found is None and policy.confirmed_only:
        raise SenderNotConfirmed(
            "The organization has no confirmed sender.",
            field=CAMPAIGN_FIELD,
            suggestion=(
                "Add one with `createSender(input: {email, name})`, and open the link in the e-mail that it gets."
            ),
        )
    if found is None and not policy.fallback.strip():
        raise SenderNotConfirmed(
            "No sender address is set.",
            field=CAMPAIGN_FIELD,
            code=ErrorCode.CAMPAIGN_NOT_SENDABLE,
            suggestion="Add one with `createSender`.",
        )
    if found is None:
        return From(header=policy.fallback)
    if policy.confirmed_only and found.confirmed_at is None:
        raise SenderNotConfirmed(
            f"The sender {found.email} is not confirmed.",
            field=CAMPAIGN_FIELD,
            suggestion=(
                "Open the link in the e-mail that it got; `createSender` with the same address sends another. "
                "Or choose another sender with `updateCampaign(input: {senderId})`."
            ),
        )
    return From(header=from_header(found.name, found.email), sender_id=found.id)
