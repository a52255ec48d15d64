"""Confirming a sender: a mail to its address has a link with a token, which confirms it once."""

import re
from html import escape
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, column, delete, func, insert, select, update

from core.access.actor import Actor, system_actor
from core.database.scopes import Reader, SystemScope, first
from core.errors import InvalidInput
from core.security import fingerprint, new_secret
from core.unit_of_work import UnitOfWork
from models.accounts import Organization, User
from models.senders import Sender, SenderConfirmation
from services import audit
from services.outbox.submitting import ComposedMail, OutboxItem
from services.senders.changing import TOKEN_LIFETIME, lock, make_it_default
from services.senders.reading import SENDERS, SenderRow

PATH: Final = "/confirm-sender"
_TOKEN_FIELD: Final = ("input", "token")
_MAX_TOKEN: Final = 200
MAX_NAME_LENGTH: Final = 60
# As in a domain: mail programs turn it into a link, even without a scheme.
_DOT_INSIDE: Final = re.compile(r"\.(?=\S)")
_SUBJECT: Final = "Please confirm this address as a sender"


class TokenInvalid(InvalidInput):
    """The token is unknown, used or expired; the message does not reveal which."""

    def __init__(self) -> None:
        super().__init__(
            "This token is invalid or has expired.",
            field=_TOKEN_FIELD,
            suggestion="Use the token of the latest e-mail. `createSender` with the same address sends a new one.",
        )


class ConfirmationRequest(NamedTuple):
    """The address to confirm, and the user who requested the confirmation."""

    email: str
    organization_name: str
    person: str | None


async def compose_confirmation(uow: UnitOfWork, item: OutboxItem, *, public_url: str) -> ComposedMail | None:
    """Compose the mail to a sender's address, with a new token, of which only the fingerprint is stored.

    None when the sender was deleted, or is confirmed.
    """
    request = await read_request(uow, item.target_id)
    if request is None:
        return None
    token = new_secret()
    await uow.execute(
        insert(SenderConfirmation).values(
            fingerprint=fingerprint(token),
            organization_id=uow.tenant.organization_id,
            sender_id=item.target_id,
            expires_at=func.now() + TOKEN_LIFETIME,
        )
    )
    return _confirmation_mail(request, f"{public_url}{PATH}/{token}")


async def read_request(reads: Reader, sender_id: UUID) -> ConfirmationRequest | None:
    """Read the request to confirm a sender; None when the sender was deleted, or is confirmed."""
    row = await first(
        reads,
        select(Sender.email, Organization.name, User.full_name)
        .join(Organization, Organization.id == Sender.organization_id)
        .outerjoin(User, (User.organization_id == Sender.organization_id) & (User.id == Sender.requested_by))
        .where(Sender.id == sender_id, Sender.confirmed_at.is_(None)),
    )
    if row is None:
        return None
    return ConfirmationRequest(row[0], _sanitize_name(row[1]), _sanitize_name(row[2]) if row[2] else None)


def _sanitize_name(name: str) -> str:
    """Another person's name for use in our mail: short, on one line, and with nothing that becomes a link."""
    short = " ".join(name.replace("://", " ").split())[:MAX_NAME_LENGTH]
    return _DOT_INSIDE.sub(".\N{ZERO WIDTH SPACE}", short)


def _confirmation_mail(request: ConfirmationRequest, link: str) -> ComposedMail:
    """The mail, as text and HTML."""
    who = f"{request.person} of {request.organization_name}" if request.person else request.organization_name
    asks = f"{who} asks for permission to send e-mail from {request.email}."
    days = TOKEN_LIFETIME.days
    ignore = (
        "If you did not expect this message, ignore it. No e-mail is sent from this address without your "
        f"confirmation. The link expires after {days} days."
    )
    text = f"{asks}\n\nTo allow it, open this link and confirm:\n\n{link}\n\n{ignore}\n"
    html = (
        f'<!doctype html><html lang="en"><body><p>{escape(asks)}</p>'
        f'<p>To allow it, open this link and confirm:</p><p><a href="{escape(link)}">{escape(link)}</a></p>'
        f"<p>{escape(ignore)}</p></body></html>"
    )
    return ComposedMail(subject=_SUBJECT, text=text, html=html)


async def find_confirmation(system: SystemScope, token: str) -> tuple[Actor, UUID] | None:
    """The actor and the sender of a valid token, or None."""
    if not token or len(token) > _MAX_TOKEN or not token.isascii():
        return None
    confirmations = func.system.sender_for_confirmation(fingerprint(token)).table_valued(
        column("organization_id", Uuid()), column("sender_id", Uuid())
    )
    rows = await system.rows(select(confirmations.c.organization_id, confirmations.c.sender_id))
    return (system_actor(rows[0][0]), rows[0][1]) if rows else None


async def confirm(uow: UnitOfWork, token: str) -> SenderRow:
    """Use a token of the tenant, once: its sender is confirmed, and becomes the default if there is no confirmed one.

    Raises `TokenInvalid`.
    """
    await lock(uow)
    used = await uow.rows(
        delete(SenderConfirmation)
        .where(
            SenderConfirmation.organization_id == uow.tenant.organization_id,
            SenderConfirmation.fingerprint == fingerprint(token),
            SenderConfirmation.expires_at > func.now(),
        )
        .returning(SenderConfirmation.sender_id)
    )
    if not used:
        raise TokenInvalid
    sender_id = used[0].sender_id
    await uow.execute(delete(SenderConfirmation).where(SenderConfirmation.sender_id == sender_id))
    rows = await uow.rows(
        update(Sender)
        .where(Sender.id == sender_id)
        .values(confirmed_at=func.coalesce(Sender.confirmed_at, func.now()))
        .returning(*SENDERS.columns, Sender.becomes_default)
    )
    *values, becomes_default = rows[0]
    row = SenderRow._make(values)
    confirmed_default = select(Sender.id).where(Sender.is_default, Sender.confirmed_at.is_not(None))
    if becomes_default or await first(uow, confirmed_default) is None:
        row = await make_it_default(uow, sender_id)
    await audit.record(uow, "sender.confirmed", row.id, {"email": row.email})
    return row
