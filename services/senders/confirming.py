"""The confirmation of a sender: a mail to its address with a token, and what the token is good for."""

import re
from html import escape
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, column, delete, func, insert, select, update

from core.access.actor import Actor, system_actor
from core.database.scopes import Reads, SystemScope, first
from core.errors import InvalidInput
from core.security import fingerprint, new_secret
from core.unit_of_work import UnitOfWork
from models.accounts import Organization, User
from models.senders import Sender, SenderConfirmation
from services import audit
from services.outbox.submitting import Item, Mail
from services.senders.changing import TOKEN_LIFETIME, lock, make_it_default
from services.senders.reading import SENDERS, SenderRow

PATH: Final = "/confirm-sender"
TOKEN_FIELD: Final = ("input", "token")
MAX_TOKEN: Final = 200
MAX_SHOWN: Final = 60
# As in a domain, which mail programs make a link of even without a scheme.
DOT_INSIDE: Final = re.compile(r"\.(?=\S)")
SUBJECT: Final = "Please confirm this address as a sender"


class TokenInvalid(InvalidInput):
    """The token is unknown, used or too old; which of these stays unsaid."""

    def __init__(self) -> None:
        super().__init__(
            "This token is not valid, or not any more.",
            field=TOKEN_FIELD,
            suggestion="Take it from the newest e-mail; `createSender` with the same address sends another.",
        )


class Request(NamedTuple):
    """Who asks to send from which address."""

    email: str
    organization_name: str
    person: str | None


async def compose_confirmation(uow: UnitOfWork, item: Item, *, public_url: str) -> Mail | None:
    """The mail to a sender's address, with a fresh token whose fingerprint alone is stored.

    None when the sender is gone or confirmed already.
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
    return mail_of(request, f"{public_url}{PATH}/{token}")


async def read_request(reads: Reads, sender_id: UUID) -> Request | None:
    """Who asks to send from a sender's address; None when it is gone or confirmed."""
    row = await first(
        reads,
        select(Sender.email, Organization.name, User.full_name)
        .join(Organization, Organization.id == Sender.organization_id)
        .outerjoin(User, (User.organization_id == Sender.organization_id) & (User.id == Sender.requested_by))
        .where(Sender.id == sender_id, Sender.confirmed_at.is_(None)),
    )
    return Request(row[0], shown(row[1]), shown(row[2]) if row[2] else None) if row else None


def shown(name: str) -> str:
    """A name that a stranger chose, fit for a mail of ours: short, on one line, with nothing to make a link of."""
    short = " ".join(name.replace("://", " ").split())[:MAX_SHOWN]
    return DOT_INSIDE.sub(".\N{ZERO WIDTH SPACE}", short)


def mail_of(request: Request, link: str) -> Mail:
    """What the mail says, in both forms."""
    who = f"{request.person} of {request.organization_name}" if request.person else request.organization_name
    asks = f"{who} asked to send e-mail from {request.email}."
    days = TOKEN_LIFETIME.days
    ignore = (
        "If you did not expect this, ignore it: without your confirmation nothing is sent from this address. "
        f"The link ends after {days} days."
    )
    text = f"{asks}\n\nTo allow it, open this link and confirm:\n\n{link}\n\n{ignore}\n"
    html = (
        f'<!doctype html><html lang="en"><body><p>{escape(asks)}</p>'
        f'<p>To allow it, open this link and confirm:</p><p><a href="{escape(link)}">{escape(link)}</a></p>'
        f"<p>{escape(ignore)}</p></body></html>"
    )
    return Mail(subject=SUBJECT, text=text, html=html)


async def find_confirmation(system: SystemScope, token: str) -> tuple[Actor, UUID] | None:
    """The actor and the sender of a token that is good now, or None."""
    if not token or len(token) > MAX_TOKEN or not token.isascii():
        return None
    found = func.system.sender_for_confirmation(fingerprint(token)).table_valued(
        column("organization_id", Uuid()), column("sender_id", Uuid())
    )
    rows = await system.rows(select(found.c.organization_id, found.c.sender_id))
    return (system_actor(rows[0][0]), rows[0][1]) if rows else None


async def confirm(uow: UnitOfWork, token: str) -> SenderRow:
    """Use a token of the tenant, once: its sender is confirmed, and becomes the default if no confirmed one is.

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
    *values, wanted = rows[0]
    row = SenderRow._make(values)
    confirmed_default = select(Sender.id).where(Sender.is_default, Sender.confirmed_at.is_not(None))
    if wanted or await first(uow, confirmed_default) is None:
        row = await make_it_default(uow, sender_id)
    await audit.record(uow, "sender.confirmed", row.id, {"email": row.email})
    return row
