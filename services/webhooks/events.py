"""Parsing events of the inbox: their time, and what they mean for the address."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from core import email_addresses
from core.errors import InvalidInput
from integrations.mail_events import MailEvent, MailEventKind, MailWebhooks
from models.suppressions import SuppressionReason

_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)  # earlier times mean that there is none, such as year 1 in .NET
_AHEAD: Final = timedelta(minutes=5)  # tolerance for the provider's clock
_REASONS: Final = {
    MailEventKind.COMPLAINED: SuppressionReason.COMPLAINT,
    MailEventKind.UNSUBSCRIBED: SuppressionReason.UNSUBSCRIBED,
    MailEventKind.SUPPRESSED: SuppressionReason.PROVIDER,
}
# The other reasons, `CONTACT_REASONS`, concern the contact.
ADDRESS_REASONS: Final = frozenset({SuppressionReason.HARD_BOUNCE, SuppressionReason.PROVIDER})


class InboxEvent(NamedTuple):
    """An event of the inbox. `at` is its plausible time, see `read_event`.

    `email_norm` is set for an event that concerns an address, `shared` if several organizations have that address.
    """

    inbox_id: UUID
    dedupe_key: str
    at: datetime
    parsed: MailEvent
    email_norm: str | None = None
    shared: bool = False


def names_message(event: MailEvent) -> bool:
    """Whether the event names the message that it is about."""
    return event.message_id is not None or event.delivery_id is not None


def concerns_address(event: MailEvent, stream: str | None) -> bool:
    """Whether the event concerns the address itself, rather than a message or a person.

    Permanent bounces and the provider's suppression list do, for every organization that sends by the same stream.
    So does every suppression without a message, even when a person unsubscribed.
    """
    if stream and event.stream and event.stream != stream:
        return False
    reason = reason_of(event)
    if event.kind is MailEventKind.REACTIVATED or (reason is not None and not names_message(event)):
        return True
    return reason in ADDRESS_REASONS and event.is_inactive is not False


def parse_address(recipient: str | None) -> str | None:
    """The normalized address, which compares with those of contacts; None if it is not valid."""
    if recipient is None:
        return None
    try:
        return email_addresses.parse(recipient).norm
    except InvalidInput:
        return None


def read_event(
    inbox_id: UUID,
    key: str,
    payload: Mapping[str, Any],
    received_at: datetime,
    *,
    webhooks: MailWebhooks,
    email_norm: str | None = None,
    shared: bool = False,
) -> InboxEvent:
    """Parse a stored event; an impossible time is replaced by the time of receipt.

    Raises `ValueError` for an event that is not about outbound mail.
    """
    parsed = webhooks.read(payload)
    return InboxEvent(inbox_id, key, _plausible_time(parsed.at, received_at), parsed, email_norm, shared)


def _plausible_time(at: datetime | None, received_at: datetime) -> datetime:
    """The time of the event, or of its receipt if it is missing, unreadable, in the future, or before `_EARLIEST`."""
    if at is None or not _EARLIEST < at <= received_at + _AHEAD:
        return received_at
    return at


def reason_of(event: MailEvent) -> SuppressionReason | None:
    """The reason for which the event suppresses its address, if it does."""
    if event.kind is MailEventKind.REACTIVATED:
        return None
    if event.kind in _REASONS:
        return _REASONS[event.kind]
    if event.kind is MailEventKind.BOUNCED and event.is_permanent:
        return SuppressionReason.HARD_BOUNCE
    return SuppressionReason.PROVIDER if event.is_inactive else None
