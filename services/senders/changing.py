"""Adding a sender, whose address gets a confirmation mail, and deleting one."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete as delete_from
from sqlalchemy import func, insert, or_, select, update

from core import email_addresses
from core.database.scopes import Reader
from core.email_addresses import Address
from core.errors import InputErrors, InvalidInput, InvalidState, NudgeError, QuotaExceeded
from core.ids import new_id
from core.unit_of_work import UnitOfWork
from models.campaigns import Campaign, CampaignStatus
from models.outbox import OutboxKind
from models.senders import Sender
from services import audit
from services.features import Feature
from services.outbox import writing
from services.senders.addressing import check_name
from services.senders.policy import SenderPolicy
from services.senders.reading import SENDERS, SenderRow, get_default

MAX_SENDERS: Final = 100
TOKEN_LIFETIME: Final = timedelta(days=3)
_DAY: Final = timedelta(days=1)
_IN_USE: Final = (
    CampaignStatus.SCHEDULED,
    CampaignStatus.PREPARING,
    CampaignStatus.SENDING,
    CampaignStatus.PAUSED,
    CampaignStatus.CANCELLING,
)
_MAX_SHOWN_CAMPAIGNS: Final = 3


class SenderInUse(InvalidState):
    """Campaigns that are scheduled or being sent use this sender."""


def check_sender(policy: SenderPolicy, email: str, name: str) -> tuple[Address, str]:
    """The address and the display name; raises `InputErrors` with all that is invalid."""
    errors: list[NudgeError] = []
    address, checked = None, ""
    try:
        address = email_addresses.parse(email)
    except InvalidInput as error:
        errors.append(error)
    try:
        checked = check_name(name, address.email if address else "", max_from_bytes=policy.max_from_bytes)
    except InvalidInput as error:
        errors.append(error)
    if errors or address is None:
        raise InputErrors(errors)
    return address, checked


async def needs_confirmation(reads: Reader, policy: SenderPolicy, address: Address) -> bool:
    """Whether `create` would send the address a confirmation.

    Raises what `create` would raise because of the confirmation.
    """
    senders = await reads.rows(select(Sender.id, Sender.confirmed_at).where(Sender.email_norm == address.norm))
    if senders and senders[0].confirmed_at is not None:
        return False
    await _require_confirmation_allowed(reads, policy, senders[0].id if senders else None)
    return True


async def create(
    uow: UnitOfWork, policy: SenderPolicy, address: Address, name: str, *, make_default: bool = False
) -> SenderRow:
    """Add a sender, or rename the one of this address; one that is not confirmed is sent a confirmation.

    The first sender that may be used becomes the default, and so does one with `make_default`, once it is confirmed
    where that is required. The limit of an address over all organizations is counted by `registration.register`.
    Raises `NudgeError` with LIMIT_EXCEEDED for too many senders, or too many confirmations, and
    `FeatureUnavailable` where no confirmation can be sent.
    """
    await lock(uow)
    rows = await uow.rows(select(*SENDERS.columns).where(Sender.email_norm == address.norm).with_for_update())
    existing = SenderRow._make(rows[0]) if rows else None
    row = await _rename(uow, existing, name, make_default=make_default) if existing else None
    row = row or await _insert(uow, address, name, make_default=make_default)
    if row.confirmed_at is None:
        await _require_confirmation_allowed(uow, policy, row.id)
        await writing.enqueue(uow, OutboxKind.SENDER_CONFIRMATION, row.id, row.email, expires_in=_DAY)
    may_send = row.confirmed_at is not None or not policy.confirmed_only
    if may_send and (make_default or await get_default(uow) is None):
        row = await make_it_default(uow, row.id)
    await audit.record(
        uow, "sender.created", row.id, {"email": row.email, "name": name, "again": existing is not None}
    )
    return row


async def delete(uow: UnitOfWork, policy: SenderPolicy, sender_id: UUID | None) -> SenderRow:
    """Delete a sender, and return it; drafts that chose it will use the default sender.

    If it was the default, the sender that was confirmed first becomes the default; without any confirmed one, and
    where confirmation is not required, the one that was added first. Raises `NotFound` or `SenderInUse`.
    """
    await lock(uow)
    row = await SENDERS.require(uow, sender_id)
    # Waits for transactions that send or schedule with this sender: they hold a lock on the row.
    await uow.rows(select(Sender.id).where(Sender.id == row.id).with_for_update())
    if names := await _campaigns_from(uow, row.id):
        listed = ", ".join(f"“{name}”" for name in names[:_MAX_SHOWN_CAMPAIGNS])
        raise SenderInUse(
            f"Campaigns that are scheduled or being sent use this sender: {listed}"
            f"{' and others' if len(names) > _MAX_SHOWN_CAMPAIGNS else ''}.",
            field=SENDERS.id_field,
            suggestion="Unschedule or cancel them, or wait until they are sent.",
        )
    await uow.execute(delete_from(Sender).where(Sender.id == row.id))
    if row.is_default:
        await _choose_default(uow, policy)
    await audit.record(uow, "sender.deleted", row.id, {"email": row.email})
    return row


async def lock(uow: UnitOfWork) -> None:
    """Lock the organization's senders against changes: the limit and the single default span several rows."""
    name = f"senders:{uow.tenant.organization_id}"
    await uow.rows(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


async def make_it_default(uow: UnitOfWork, sender_id: UUID) -> SenderRow:
    """Make a sender the default, in place of the current one."""
    await uow.execute(update(Sender).where(Sender.is_default, Sender.id != sender_id).values(is_default=False))
    rows = await uow.rows(
        update(Sender)
        .where(Sender.id == sender_id)
        .values(is_default=True, becomes_default=False)
        .returning(*SENDERS.columns)
    )
    return SenderRow._make(rows[0])


async def _choose_default(uow: UnitOfWork, policy: SenderPolicy) -> None:
    """Make the sender that was confirmed first the default, if there is any that may be used."""
    candidates = select(Sender.id).order_by(Sender.confirmed_at, Sender.id).limit(1)
    if policy.confirmed_only:
        candidates = candidates.where(Sender.confirmed_at.is_not(None))
    first = await uow.rows(candidates)
    if first:
        await make_it_default(uow, first[0].id)


async def _insert(uow: UnitOfWork, address: Address, name: str, *, make_default: bool) -> SenderRow:
    many = (await uow.rows(select(func.count()).select_from(Sender)))[0][0]
    if many >= MAX_SENDERS:
        raise QuotaExceeded(
            f"An organization has at most {MAX_SENDERS} senders.",
            limit=MAX_SENDERS,
            used=many,
            suggestion="Delete one that is not used with `deleteSender`.",
        )
    rows = await uow.rows(
        insert(Sender)
        .values(
            id=new_id(),
            organization_id=uow.tenant.organization_id,
            email=address.email,
            email_norm=address.norm,
            name=name,
            becomes_default=make_default,
            requested_by=uow.tenant.user_id,
        )
        .returning(*SENDERS.columns)
    )
    return SenderRow._make(rows[0])


async def _rename(uow: UnitOfWork, sender: SenderRow, name: str, *, make_default: bool) -> SenderRow:
    rows = await uow.rows(
        update(Sender)
        .where(Sender.id == sender.id)
        .values(name=name, becomes_default=Sender.becomes_default | make_default, requested_by=uow.tenant.user_id)
        .returning(*SENDERS.columns)
    )
    return SenderRow._make(rows[0])


async def _require_confirmation_allowed(reads: Reader, policy: SenderPolicy, sender_id: UUID | None) -> None:
    """Raise where sending is off, or when the sender or the organization has reached a limit of confirmations."""
    policy.features.require(Feature.SENDING, field=("input", "email"))
    kind = OutboxKind.SENDER_CONFIRMATION
    has_pause = sender_id is not None and policy.pause
    if has_pause:
        sent = await writing.recent(reads, kind, policy.pause, target_id=sender_id)
        if sent.first_at is not None:
            raise QuotaExceeded(
                "A confirmation e-mail was sent to this address a moment ago.",
                field=("input", "email"),
                suggestion="Check the mailbox and its spam folder. The next one can be sent at the `resetsAt` time.",
                limit=1,
                used=sent.total,
                resets_at=sent.first_at + policy.pause,
            )
    sent = await writing.recent(reads, kind, _DAY)
    if sent.total >= policy.per_day:
        raise QuotaExceeded(
            f"An organization can send {policy.per_day} confirmation e-mails a day.",
            field=("input", "email"),
            suggestion="Try again tomorrow.",
            limit=policy.per_day,
            used=sent.total,
            resets_at=sent.first_at + _DAY if sent.first_at else None,
        )


async def _campaigns_from(uow: UnitOfWork, sender_id: UUID) -> list[str]:
    """The names of some campaigns that are scheduled or being sent with the sender."""
    rows = await uow.rows(
        select(Campaign.name)
        .where(
            or_(Campaign.from_sender_id == sender_id, Campaign.sender_id == sender_id),
            Campaign.status.in_([str(status) for status in _IN_USE]),
        )
        .order_by(Campaign.id)
        .limit(_MAX_SHOWN_CAMPAIGNS + 1)
    )
    return [row.name for row in rows]
