"""What a mail provider tells afterwards, in the product's words."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class Signal(StrEnum):
    """What an event says. SUPPRESSED and REACTIVATED are of the provider's own list of addresses it does not mail."""

    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    SUPPRESSED = "suppressed"
    REACTIVATED = "reactivated"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailEvent:
    """One event. `at` is the provider's time, None where it gives none; `recipient` is the address as it writes it.

    `is_permanent`: a bounce that will come again. `is_inactive`: the provider does not mail the address from now on,
    None where it does not say. `by_recipient`: the recipient's own doing. `is_repeat`: it tells what another kind of
    event tells too. `stream` is the provider's list of senders that shares the address's state.
    """

    signal: Signal
    at: datetime | None
    message_id: str | None
    campaign_id: UUID | None
    delivery_id: UUID | None
    recipient: str | None
    stream: str | None
    is_permanent: bool = False
    is_inactive: bool | None = None
    by_recipient: bool = False
    is_repeat: bool = False
    details: dict[str, Any]
