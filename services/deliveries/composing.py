"""Rendering a claimed batch: templates are compiled once per campaign, and no transaction is open meanwhile."""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select

from core.clock import since_boot
from core.database.scopes import Reads, first
from core.security import Signer
from integrations.mail import Message
from models.accounts import Organization
from models.campaigns import Campaign
from models.contacts import ContactStatus
from models.deliveries import DeliveryDecision
from services.deliveries.claiming import Claim
from services.deliveries.preparing import NOT_MAILABLE
from services.messages.content import compiled
from services.rendering.errors import RenderFailed
from services.rendering.messages import MessageTemplate, RenderedMessage
from services.rendering.variables import campaign_variables, contact_variables
from services.suppressions.unsubscribing import Link, link_token

MEMORY_BYTES = 40_000_000
"""What a batch's messages may take, each once as text and once as the request's JSON."""
TAG_LENGTH = 100
TURN_SECONDS = 0.0005
MAX_REASON = 500
"""Characters of what the ledger keeps of a template's failure."""


class SenderNotSettled(Exception):
    """The campaign has no From header, which it gets when it is sent or scheduled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignMail:
    """All that is the same for every recipient of a campaign. Frozen with the audience, so it can be cached.

    `most` is how many recipients the next batch may hold, as the last ones have taught; never more than `limit`.
    `reason` is what the campaign's status told when this was read.
    """

    organization_id: UUID
    campaign_id: UUID
    template: MessageTemplate
    variables: Mapping[str, object]
    sender: str
    tag: str
    custom_fields: bool
    tags: bool
    limit: int
    most: int
    reason: str | None


@dataclass(slots=True, kw_only=True)
class Composed:
    """A batch's messages in the ledger's order, why some recipients get none, and for whom there was no room.

    `reasons` has more words about some of those who get none.
    """

    messages: dict[UUID, Message] = field(default_factory=dict)
    skipped: dict[UUID, DeliveryDecision] = field(default_factory=dict)
    reasons: dict[UUID, str] = field(default_factory=dict)
    rest: list[UUID] = field(default_factory=list)


async def load_mail(reads: Reads, campaign_id: UUID, *, batch_size: int) -> CampaignMail | None:
    """Read and compile a campaign's content; None when it is unknown.

    Raises `InputErrors` when it does not parse, and `SenderNotSettled`.
    """
    row = await first(
        reads,
        select(
            Campaign.name,
            Campaign.subject,
            Campaign.html_content,
            Campaign.text_content,
            Campaign.from_header,
            Campaign.status_reason,
            Organization.name.label("organization_name"),
        )
        .join(Organization, Organization.id == Campaign.organization_id)
        .where(Campaign.organization_id == reads.tenant.organization_id, Campaign.id == campaign_id),
    )
    if row is None:
        return None
    if row.from_header is None:
        raise SenderNotSettled
    template = await compiled(subject=row.subject, html_content=row.html_content, text_content=row.text_content)
    size = len(row.html_content) + len(row.text_content) + 2_000
    limit = max(1, min(batch_size, MEMORY_BYTES // (2 * size)))
    return CampaignMail(
        organization_id=reads.tenant.organization_id,
        campaign_id=campaign_id,
        template=template,
        variables=campaign_variables(
            organization_name=row.organization_name, campaign_name=row.name, unsubscribe_url=""
        ),
        sender=row.from_header,
        tag=" ".join(row.name.split())[:TAG_LENGTH],
        custom_fields=reads_of(template, "contact.customFields"),
        tags=reads_of(template, "contact.tags"),
        limit=limit,
        most=limit,
        reason=row.status_reason,
    )


def reads_of(template: MessageTemplate, path: str) -> bool:
    """Whether the templates read the variable, a part of it, or the whole contact."""
    return any(name == "contact" or name.startswith(path) for name in template.variables)


def unsubscribe_url(base: str, signer: Signer, mail: CampaignMail, delivery_id: UUID, contact_id: UUID) -> str:
    """The recipient's own link: opaque, and good for nothing but to unsubscribe."""
    link = Link(mail.organization_id, mail.campaign_id, delivery_id, contact_id)
    return f"{base}/u/{link_token(signer, link)}"


async def compose(
    claim: Claim, mail: CampaignMail, *, signer: Signer, public_url: str, until: float = math.inf
) -> Composed:
    """The messages of a claimed batch; recipients who may no longer be mailed, or cannot be, are left out.

    Ends with what it has, at least one, when `until` (`since_boot` seconds) has come or the messages grow too large
    together. Lets the loop go on again and again: other batches hold the row of the campaign's counters until they
    commit.
    """
    result = Composed()
    variables = dict(mail.variables)
    size = 0
    turn_ends = 0.0
    for number, row in enumerate(claim.rows):
        now = since_boot()
        if number and (now >= until or size >= MEMORY_BYTES // 2):
            result.rest = [one[0] for one in claim.rows[number:]]
            break
        if now >= turn_ends:
            await asyncio.sleep(0)
            turn_ends = since_boot() + TURN_SECONDS
        delivery_id, contact_id, email, status, first_name, last_name = tuple(row)[:6]
        if status != ContactStatus.SUBSCRIBED:
            gone = status is None
            reason = DeliveryDecision.CONTACT_DELETED if gone else NOT_MAILABLE[ContactStatus(status)]
            result.skipped[delivery_id] = reason
            continue
        variables["unsubscribeUrl"] = url = unsubscribe_url(public_url, signer, mail, delivery_id, contact_id)
        contact = contact_variables(
            first_name=first_name,
            last_name=last_name,
            email=email,
            custom_fields=row.custom_fields if mail.custom_fields else None,
            tags=row.tags if mail.tags else (),
        )
        try:
            rendered = await _rendered(mail.template, contact, variables)
        except RenderFailed as error:
            result.skipped[delivery_id] = DeliveryDecision.RENDER_FAILED
            result.reasons[delivery_id] = error.message[:MAX_REASON]
            continue
        size += len(rendered.subject) + len(rendered.html) + len(rendered.text)
        result.messages[delivery_id] = Message(
            str(delivery_id), email, rendered.subject, rendered.html, rendered.text, url
        )
    return result


async def _rendered(
    template: MessageTemplate, contact: Mapping[str, object], variables: Mapping[str, object]
) -> RenderedMessage:
    """The message; a slow one beside the event loop, where other batches and leases go on."""
    if template.is_slow:
        return await asyncio.to_thread(template.render, contact, variables)
    return template.render(contact, variables)
