"""Rendering a message for one contact, without sending it."""

import asyncio
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from sqlalchemy import select

from core.access.actor import Actor
from core.access.permissions import Permission
from core.database.scopes import Reader
from models.accounts import Organization
from services.contacts import listing
from services.contacts.listing import CONTACTS
from services.messages.content import Texts, check_content
from services.rendering.messages import RenderedMessage
from services.rendering.variables import campaign_variables, contact_variables

_CONTACT_FIELD: Final = ("input", "contactId")
PREVIEW_URL: Final = "https://unsubscribe.invalid/preview"
# The contact of a preview without a contact id.
SAMPLE: Final = contact_variables(first_name="Ada", last_name="Lovelace", email="ada@example.com")


async def render(
    reads: Reader, texts: Texts, contact: Mapping[str, object], *, name: str, unsubscribe_url: str = PREVIEW_URL
) -> RenderedMessage:
    """Render the texts with one contact's values and the name of a campaign; raises `InputErrors` or `RenderFailed`.

    By default the unsubscribe link does not work, as the reader of a preview is no recipient.
    """
    template = await check_content(**texts)
    values = campaign_variables(
        organization_name=await _organization_name(reads), campaign_name=name, unsubscribe_url=unsubscribe_url
    )
    if template.is_slow:
        return await asyncio.to_thread(template.render, contact, values)
    return template.render(contact, values)


async def values_for(reads: Reader, actor: Actor, contact_id: UUID | None) -> Mapping[str, object]:
    """The values of a contact, which the actor must be allowed to read, or of a sample contact without an id.

    Raises `Forbidden`, or `NotFound`.
    """
    if contact_id is None:
        return SAMPLE
    actor.require(Permission.CONTACT_READ)
    return await contact_values(reads, contact_id)


async def contact_values(reads: Reader, contact_id: UUID | None) -> dict[str, object]:
    """The template variables of a contact; raises `NotFound`."""
    contact = await CONTACTS.require(reads, contact_id, _CONTACT_FIELD)
    tags = (await listing.tags_of(reads, [contact.id]))[contact.id]
    return contact_variables(
        first_name=contact.first_name,
        last_name=contact.last_name,
        email=contact.email,
        custom_fields=contact.custom_fields,
        tags=tags,
    )


async def _organization_name(reads: Reader) -> str:
    """The name of the tenant's organization."""
    rows = await reads.rows(select(Organization.name).where(Organization.id == reads.tenant.organization_id))
    return rows[0][0]
