"""What a mail provider tells us, as it came: into the inbox first, answered then, applied later."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from core.access.actor import system_actor
from core.ids import new_id
from core.unit_of_work import Work
from integrations.mail_events import About, MailEvent, MailWebhooks, Payload
from models.webhooks import WebhookInbox
from services.webhooks.cleaning import cleaned
from services.webhooks.events import names_message, normalised, tells_of_address
from services.webhooks.work import AttributeEvents

# An event belongs to no tenant until its campaign is known.
NOBODY: Final = UUID(int=0)
NO_MESSAGE: Final = About()


async def receive(work: Work, webhooks: MailWebhooks, payloads: Sequence[Payload]) -> None:
    """Store the events of a request, all or none, and enqueue their application.

    A repeat of one that is stored already changes nothing. Raises `TooDeep`.
    """
    rows = [row for payload in payloads for row in _rows_of(webhooks, cleaned(payload))]
    if not rows:
        return
    async with work.begin(system_actor(NOBODY)) as uow:
        await uow.execute(insert(WebhookInbox).on_conflict_do_nothing(), rows)
        uow.enqueue(AttributeEvents(organization_id=NOBODY))


def _rows_of(webhooks: MailWebhooks, payload: Payload) -> list[dict[str, Any]]:
    """The inbox's rows for an event.

    What it tells of the address itself is stored once more, without the message, for everybody who has the address;
    only where it is reported of the stream that campaigns are sent on.
    """
    row = _row_of(webhooks, webhooks.dedupe_key(payload), payload, about=webhooks.about(payload))
    event = _read_known(webhooks, payload)
    email_norm = normalised(event.recipient) if event is not None else None
    if event is None or email_norm is None or not tells_of_address(event, webhooks.stream):
        return [row]
    stripped = webhooks.of_address(payload, is_repeat=names_message(event))
    address = _row_of(webhooks, f"address:{webhooks.dedupe_key(stripped)}", stripped, email_norm=email_norm)
    return [row, address] if names_message(event) else [address]


def _row_of(
    webhooks: MailWebhooks, key: str, payload: Payload, *, about: About = NO_MESSAGE, email_norm: str | None = None
) -> dict[str, Any]:
    return {
        "id": new_id(),
        "provider": webhooks.provider,
        "dedupe_key": key,
        "campaign_id": about.campaign_id,
        "message_id": about.message_id,
        "payload": payload,
        "email_norm": email_norm,
    }


def _read_known(webhooks: MailWebhooks, payload: Payload) -> MailEvent | None:
    """The event, or None for one that tells of no outbound mail."""
    try:
        return webhooks.read(payload)
    except ValueError:
        return None
