"""Unsubscribing by the signed link that each message has."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select

from core.access.actor import Actor, system_actor
from core.database.scopes import Reader, first
from core.security import Signer
from core.unit_of_work import Work
from models.accounts import Organization
from models.contact_events import ContactEventKind
from models.contacts import Contact
from models.deliveries import EmailDelivery
from models.suppressions import SuppressionReason, SuppressionSource
from services.suppressions.facts import CONTACT_REASONS, HistoryEntry, SuppressionFact
from services.suppressions.reading import read_main_suppression
from services.suppressions.suppressing import suppress

_ID_BYTES = 16
_MAX_TOKEN_LENGTH = 200


class UnsubscribeLink(NamedTuple):
    """The ids in the token of an unsubscribe link."""

    organization_id: UUID
    campaign_id: UUID
    delivery_id: UUID
    contact_id: UUID

    @property
    def actor(self) -> Actor:
        """The system actor of the organization that sent the message."""
        return system_actor(self.organization_id)


class SubscriptionState(NamedTuple):
    """What the page of an unsubscribe link shows."""

    organization_name: str
    is_unsubscribed: bool


def link_token(signer: Signer, link: UnsubscribeLink) -> str:
    """The signed token of a link."""
    return signer.sign(b"".join(one.bytes for one in link))


def read_link(signer: Signer, token: str) -> UnsubscribeLink | None:
    """The link of a token; None if the signature is not ours."""
    ids = signer.verify(token) if len(token) <= _MAX_TOKEN_LENGTH else None
    if ids is None or len(ids) != _ID_BYTES * len(UnsubscribeLink._fields):
        return None
    return UnsubscribeLink(*(UUID(bytes=ids[start : start + _ID_BYTES]) for start in range(0, len(ids), _ID_BYTES)))


async def read_subscription(reads: Reader, link: UnsubscribeLink) -> SubscriptionState | None:
    """The subscription of the link's recipient; None when neither the delivery nor the contact exists any more."""
    address = await _address_of(reads, link)
    if address is None:
        return None
    row = await first(reads, select(Organization.name).where(Organization.id == link.organization_id))
    if row is None:
        return None
    suppression = await read_main_suppression(reads, address)
    # A bounced address may be reactivated, so its recipient can still unsubscribe.
    return SubscriptionState(row.name, suppression is not None and suppression.reason in CONTACT_REASONS)


async def _address_of(reads: Reader, link: UnsubscribeLink) -> str | None:
    """The address that the message was sent to or, for a test message, the address of the contact."""
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


async def unsubscribe(work: Work, link: UnsubscribeLink) -> bool:
    """Unsubscribe the address of a link; idempotent. False when neither the delivery nor the contact exists."""
    async with work.begin(link.actor) as uow:
        address = await _address_of(uow, link)
        if address is None:
            return False
        now = (await uow.rows(select(func.now())))[0][0]
        entry = HistoryEntry(
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
                    entry=entry,
                    contact_id=link.contact_id,
                    campaign_id=link.campaign_id,
                    delivery_id=link.delivery_id,
                )
            ],
        )
    return True
