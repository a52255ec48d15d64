"""What a mail provider tells afterwards, in the product's words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol
from uuid import UUID

Payload = Mapping[str, Any]
"""One event as the provider writes it."""


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


class About(NamedTuple):
    """Our campaign and the provider's message that an event names."""

    campaign_id: UUID | None = None
    message_id: str | None = None


class WebhookUnreadable(ValueError):
    """The JSON of a request is not what the provider sends; the message says what is expected."""


class MailWebhooks(Protocol):
    """The webhooks of one provider: how a request proves where it comes from, and what it tells.

    Reading needs no settings, so that stored events can be read also when the provider is no longer configured.
    """

    @property
    def provider(self) -> str:
        """The last part of the webhooks' path, and the name under which events are stored."""

    @property
    def stream(self) -> str | None:
        """The provider's name of the stream that campaigns are sent on; None where addresses' state has no stream."""

    @property
    def refusal(self) -> str:
        """What a request is told that does not prove where it comes from."""

    @property
    def challenge(self) -> Mapping[str, str]:
        """Headers of that refusal."""

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Whether a request's headers show the credentials, compared in constant time. Asked before its body is read.

        False for every request where no credentials are configured.
        """

    def signs(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the signature in the headers is the body's; True for a provider that signs nothing."""

    def events_in(self, document: object) -> Sequence[Payload]:
        """The events of a request's JSON; raises `WebhookUnreadable`."""

    def about(self, payload: Payload) -> About:
        """Which message an event is about, also one that `read` refuses: it shows whose event it is."""

    def read(self, payload: Payload) -> MailEvent:
        """What an event tells; raises `ValueError` for one that tells of no outbound mail."""

    def dedupe_key(self, payload: Payload) -> str:
        """What makes an event the same event, at most 120 characters, whatever the payload holds."""

    def of_address(self, payload: Payload, *, is_repeat: bool) -> dict[str, Any]:
        """The event without its message, for others who have the address, to be read by `read`.

        `is_repeat` when the event is stored whole as well.
        """
