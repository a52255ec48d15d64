"""An event of the inbox, read: when it happened, and what it tells of its address."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from core import email_addresses
from core.errors import InvalidInput
from integrations.mail_events import MailEvent, MailWebhooks, Signal
from models.suppressions import SuppressionReason

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)  # what is before stands for no time at all, as year 1 does in .NET
AHEAD: Final = timedelta(minutes=5)  # how far the provider's clock may be ahead of ours
REASONS: Final = {
    Signal.COMPLAINED: SuppressionReason.COMPLAINT,
    Signal.UNSUBSCRIBED: SuppressionReason.UNSUBSCRIBED,
    Signal.SUPPRESSED: SuppressionReason.PROVIDER,
}
OF_ADDRESS: Final = frozenset({SuppressionReason.HARD_BOUNCE, SuppressionReason.PROVIDER})


class Event(NamedTuple):
    """An event of the inbox. `email_norm` is set when it tells of an address that several organizations may have."""

    inbox_id: UUID
    dedupe_key: str
    at: datetime
    report: MailEvent
    email_norm: str | None = None
    shared: bool = False


def names_message(event: MailEvent) -> bool:
    """Whether the event says which message it is about."""
    return event.message_id is not None or event.delivery_id is not None


def tells_of_address(event: MailEvent, stream: str | None) -> bool:
    """Whether the event tells of its address rather than of a message or a person.

    A bounce that will come again and the provider's own list do, for everybody who sends by the same stream. What
    comes without a message tells of nothing else, even when somebody unsubscribed.
    """
    if stream and event.stream and event.stream != stream:
        return False
    reason = reason_of(event)
    if event.signal is Signal.REACTIVATED or (reason is not None and not names_message(event)):
        return True
    return reason in OF_ADDRESS and event.is_inactive is not False


def normalised(recipient: str | None) -> str | None:
    """The address as contacts' addresses compare, or None for what is none."""
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
) -> Event:
    """Read a stored event; raises `ValueError` for one that tells of no outbound mail."""
    report = webhooks.read(payload)
    return Event(inbox_id, key, sane(report.at, received_at), report, email_norm, shared)


def sane(at: datetime | None, received_at: datetime) -> datetime:
    """When it happened; when we heard of it, where that is missing, unreadable, in the future, or before all mail."""
    if at is None or not EARLIEST < at <= received_at + AHEAD:
        return received_at
    return at


def reason_of(event: MailEvent) -> SuppressionReason | None:
    """Why the event's address must not be mailed again, if it says so."""
    if event.signal is Signal.REACTIVATED:
        return None
    if event.signal in REASONS:
        return REASONS[event.signal]
    if event.signal is Signal.BOUNCED and event.is_permanent:
        return SuppressionReason.HARD_BOUNCE
    return SuppressionReason.PROVIDER if event.is_inactive else None
