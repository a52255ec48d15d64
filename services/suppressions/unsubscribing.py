"""The recipient's own way out: an opaque link in every message, good for one click and nothing else."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select

from core.access.actor import Actor, system_actor
from core.database.scopes import Reads, first
from core.security import Signer
from core.unit_of_work import Work
from models.accounts import Organization
from models.contact_events import ContactEventKind
from models.contacts import Contact
from models.deliveries import EmailDelivery
from models.suppressions import SuppressionReason, SuppressionSource
from services.suppressions.facts import PERSONAL, HistoryLine, SuppressionFact
from services.suppressions.reading import strongest_of
from services.suppressions.suppressing import suppress

ID_BYTES = 16
MAX_TOKEN_LENGTH = 200


class Link(NamedTuple):
    """What an unsubscribe link names."""

    organization_id: UUID
    campaign_id: UUID
    delivery_id: UUID
    contact_id: UUID

    @property
    def actor(self) -> Actor:
        """The system, at work for the organization whose mail it was."""
        return system_actor(self.organization_id)


class Subscription(NamedTuple):
    """Where the holder of a link stands."""

    organization_name: str
    is_unsubscribed: bool


def link_token(signer: Signer, link: Link) -> str:
    """The token of a link: its ids as bytes, signed."""
    return signer.sign(b"".join(one.bytes for one in link))


def read_link(signer: Signer, token: str) -> Link | None:
    """The link of a token that we signed, or None."""
    ids = signer.verify(token) if len(token) <= MAX_TOKEN_LENGTH else None
    if ids is None or len(ids) != ID_BYTES * len(Link._fields):
        return None
    return Link(*(UUID(bytes=ids[start : start + ID_BYTES]) for start in range(0, len(ids), ID_BYTES)))


async def read_subscription(reads: Reads, link: Link) -> Subscription | None:
    """Where the link's holder stands; None when neither the message nor the contact exists any more."""
    address = await address_of(reads, link)
    if address is None:
        return None
    row = await first(reads, select(Organization.name).where(Organization.id == link.organization_id))
    if row is None:
        return None
    standing = await strongest_of(reads, address)
    # Who bounced may be mailed again one day, and can still say that they want nothing.
    return Subscription(row.name, standing is not None and standing.reason in PERSONAL)


async def address_of(reads: Reads, link: Link) -> str | None:
    """The address that the message went to, or, for a test message, the contact's own."""
    sent = await first(
        reads,
        select(EmailDelivery.email_norm).where(
            EmailDelivery.organization_id == link.organization_id,
            EmailDelivery.campaign_id == link.campaign_id,
            EmailDelivery.id == link.delivery_id,
        ),
    )
    if sent is not None:
        return sent[0]
    contact = await first(
        reads,
        select(Contact.email_norm).where(
            Contact.organization_id == link.organization_id, Contact.id == link.contact_id
        ),
    )
    return contact[0] if contact else None


async def unsubscribe(work: Work, link: Link) -> bool:
    """Never mail the link's address again; False when it is nobody's. Doing it twice is as good as once."""
    async with work.begin(link.actor) as uow:
        address = await address_of(uow, link)
        if address is None:
            return False
        now = (await uow.rows(select(func.now())))[0][0]
        line = HistoryLine(
            kind=ContactEventKind.UNSUBSCRIBED, dedupe_key=f"unsubscribe:{link.delivery_id}", only_if_new=True
        )
        await suppress(
            uow,
            [
                SuppressionFact(
                    email_norm=address,
                    reason=SuppressionReason.UNSUBSCRIBED,
                    source=SuppressionSource.OWN,
                    at=now,
                    line=line,
                    contact_id=link.contact_id,
                    campaign_id=link.campaign_id,
                    delivery_id=link.delivery_id,
                )
            ],
        )
    return True
