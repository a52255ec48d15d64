"""Storing the events of a provider's webhook request in the inbox, before it is answered. They are applied later."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from core.access.actor import system_actor
from core.ids import new_id
from core.unit_of_work import Work
from integrations.mail_events import MailEvent, MailWebhooks, MessageReference, Payload
from models.webhooks import WebhookInbox
from services.webhooks.cleaning import clean
from services.webhooks.events import concerns_address, names_message, parse_address
from services.webhooks.work import AttributeEvents

# The tenant of an event before it is attributed to an organization.
UNATTRIBUTED: Final = UUID(int=0)
_NO_MESSAGE: Final = MessageReference()


async def receive(work: Work, webhooks: MailWebhooks, payloads: Sequence[Payload]) -> None:
    """Store the events of a request, all or none, and enqueue their application.

    An event that is stored already is ignored. Raises `TooDeep`.
    """
    rows = [row for payload in payloads for row in _rows_of(webhooks, clean(payload))]
    if not rows:
        return
    async with work.begin(system_actor(UNATTRIBUTED)) as uow:
        await uow.execute(insert(WebhookInbox).on_conflict_do_nothing(), rows)
        uow.enqueue(AttributeEvents(organization_id=UNATTRIBUTED))


def _rows_of(webhooks: MailWebhooks, payload: Payload) -> list[dict[str, Any]]:
    """The rows of the inbox for an event.

    An event that concerns the address itself gets a second row without the message, which is applied for every
    organization that has the address; but only if it is of the stream that campaigns are sent on.
    """
    row = _row_of(webhooks, webhooks.dedupe_key(payload), payload, reference=webhooks.reference_of(payload))
    event = _read_or_none(webhooks, payload)
    email_norm = parse_address(event.recipient) if event is not None else None
    if event is None or email_norm is None or not concerns_address(event, webhooks.stream):
        return [row]
    stripped = webhooks.without_message(payload, is_repeat=names_message(event))
    address = _row_of(webhooks, f"address:{webhooks.dedupe_key(stripped)}", stripped, email_norm=email_norm)
    return [row, address] if names_message(event) else [address]


def _row_of(
    webhooks: MailWebhooks,
    key: str,
    payload: Payload,
    *,
    reference: MessageReference = _NO_MESSAGE,
    email_norm: str | None = None,
) -> dict[str, Any]:
    return {
        "id": new_id(),
        "provider": webhooks.provider,
        "dedupe_key": key,
        "campaign_id": reference.campaign_id,
        "message_id": reference.message_id,
        "payload": payload,
        "email_norm": email_norm,
    }


def _read_or_none(webhooks: MailWebhooks, payload: Payload) -> MailEvent | None:
    """The parsed event; None for one that is not about outbound mail."""
    try:
        return webhooks.read(payload)
    except ValueError:
        return None
