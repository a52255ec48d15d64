"""Rendering the messages of a claimed batch, between the transactions claim (T1) and submit (T2) of docs/sending.md.

Templates are compiled once per campaign.
"""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select

from core.clock import since_boot
from core.database.scopes import Reader, first
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
from services.suppressions.unsubscribing import UnsubscribeLink, link_token

MEMORY_BYTES = 40_000_000
"""Limit of the memory for a batch: each message takes its size twice, as text and in the request's JSON."""
_TAG_LENGTH = 100
_YIELD_SECONDS = 0.0005
"""How long rendering may run before it yields to the event loop."""
_MAX_ERROR_LENGTH = 500
"""Characters of a rendering error that are stored."""


class NoFromHeader(Exception):
    """The campaign has no From header, although it gets one when it is sent or scheduled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignContent:
    """What is the same for every recipient of a campaign. It cannot change during sending, so it is cached.

    `sender` is the From header. `batch_size` is the size of the next batch, adapted after each one, and at most
    `max_batch_size`. `status_reason` is the campaign's when this was read.
    """

    organization_id: UUID
    campaign_id: UUID
    template: MessageTemplate
    variables: Mapping[str, object]
    sender: str
    tag: str
    uses_custom_fields: bool
    uses_tags: bool
    max_batch_size: int
    batch_size: int
    status_reason: str | None


@dataclass(slots=True, kw_only=True)
class RenderedBatch:
    """The messages of a batch, in the order of its rows, and the rows without a message, by delivery id.

    `skipped` recipients get no message; `error_messages` has the texts of rendering errors. `remaining` rows were not
    rendered for lack of time or memory, and are released.
    """

    messages: dict[UUID, Message] = field(default_factory=dict)
    skipped: dict[UUID, DeliveryDecision] = field(default_factory=dict)
    error_messages: dict[UUID, str] = field(default_factory=dict)
    remaining: list[UUID] = field(default_factory=list)


async def load_content(reads: Reader, campaign_id: UUID, *, batch_size: int) -> CampaignContent | None:
    """Read a campaign and compile its templates; None for an unknown id.

    Raises `InputErrors` when they do not parse, and `NoFromHeader`.
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
        raise NoFromHeader
    template = await compiled(subject=row.subject, html_content=row.html_content, text_content=row.text_content)
    size = len(row.html_content) + len(row.text_content) + 2_000
    max_batch_size = max(1, min(batch_size, MEMORY_BYTES // (2 * size)))
    return CampaignContent(
        organization_id=reads.tenant.organization_id,
        campaign_id=campaign_id,
        template=template,
        variables=campaign_variables(
            organization_name=row.organization_name, campaign_name=row.name, unsubscribe_url=""
        ),
        sender=row.from_header,
        tag=" ".join(row.name.split())[:_TAG_LENGTH],
        uses_custom_fields=_uses(template, "contact.customFields"),
        uses_tags=_uses(template, "contact.tags"),
        max_batch_size=max_batch_size,
        batch_size=max_batch_size,
        status_reason=row.status_reason,
    )


def _uses(template: MessageTemplate, path: str) -> bool:
    """Whether the templates use a variable, a part of it, or the whole contact."""
    return any(name == "contact" or name.startswith(path) for name in template.variables)


def unsubscribe_url(base: str, signer: Signer, content: CampaignContent, delivery_id: UUID, contact_id: UUID) -> str:
    """The recipient's unsubscribe link, with a signed token that is valid for this link only."""
    link = UnsubscribeLink(content.organization_id, content.campaign_id, delivery_id, contact_id)
    return f"{base}/u/{link_token(signer, link)}"


async def render_batch(
    claim: Claim, content: CampaignContent, *, signer: Signer, public_url: str, until: float = math.inf
) -> RenderedBatch:
    """Render a claimed batch, but skip recipients who must not be mailed, or whose message fails to render.

    Stops at `until` (`since_boot` seconds), or when the messages exceed the memory limit, but handles at least one
    row. It yields to the event loop at short intervals, because other batches hold the lock on the campaign's
    counters until their commit.
    """
    result = RenderedBatch()
    variables = dict(content.variables)
    size = 0
    yield_at = 0.0
    for index, row in enumerate(claim.rows):
        now = since_boot()
        if index and (now >= until or size >= MEMORY_BYTES // 2):
            result.remaining = [row.id for row in claim.rows[index:]]
            break
        if now >= yield_at:
            await asyncio.sleep(0)
            yield_at = since_boot() + _YIELD_SECONDS
        delivery_id, contact_id, email, status, first_name, last_name = tuple(row)[:6]
        if status != ContactStatus.SUBSCRIBED:
            is_deleted = status is None
            decision = DeliveryDecision.CONTACT_DELETED if is_deleted else NOT_MAILABLE[ContactStatus(status)]
            result.skipped[delivery_id] = decision
            continue
        variables["unsubscribeUrl"] = url = unsubscribe_url(public_url, signer, content, delivery_id, contact_id)
        contact = contact_variables(
            first_name=first_name,
            last_name=last_name,
            email=email,
            custom_fields=row.custom_fields if content.uses_custom_fields else None,
            tags=row.tags if content.uses_tags else (),
        )
        try:
            rendered = await _render(content.template, contact, variables)
        except RenderFailed as error:
            result.skipped[delivery_id] = DeliveryDecision.RENDER_FAILED
            result.error_messages[delivery_id] = error.message[:_MAX_ERROR_LENGTH]
            continue
        size += len(rendered.subject) + len(rendered.html) + len(rendered.text)
        result.messages[delivery_id] = Message(
            str(delivery_id), email, rendered.subject, rendered.html, rendered.text, url
        )
    return result


async def _render(
    template: MessageTemplate, contact: Mapping[str, object], variables: Mapping[str, object]
) -> RenderedMessage:
    """Render a message; a slow one in a thread, so that it does not block the event loop."""
    if template.is_slow:
        return await asyncio.to_thread(template.render, contact, variables)
    return template.render(contact, variables)
