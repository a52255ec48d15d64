"""The protocol of mail providers' webhooks, without any vendor's terms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol
from uuid import UUID

Payload = Mapping[str, Any]
"""One event as the provider writes it."""


class MailEventKind(StrEnum):
    """The kind of an event. SUPPRESSED and REACTIVATED are changes of the provider's own suppression list."""

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
    """One event. `at` is the provider's time, if it has one; `recipient` is the address as the provider writes it.

    `is_permanent`: a hard bounce. `is_inactive`: whether the provider has deactivated the address, None if it does
    not report that. `by_recipient`: the recipient did it. `is_repeat`: an event of another kind reports the same.
    `stream`: the provider's message stream that the address's state belongs to.
    """

    kind: MailEventKind
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


class MessageReference(NamedTuple):
    """The ids by which an event refers to a message: of our campaign, and of the provider's message."""

    campaign_id: UUID | None = None
    message_id: str | None = None


class WebhookUnreadable(ValueError):
    """The JSON of a request is not in the provider's format; the message states what is expected."""


class MailWebhooks(Protocol):
    """The webhooks of one provider: authentication of requests, and parsing of events.

    Parsing needs no settings, so that stored events can be applied when the provider is no longer configured.
    """

    @property
    def provider(self) -> str:
        """The provider's name in the webhooks' path, and in the inbox."""

    @property
    def stream(self) -> str | None:
        """The provider's stream that campaigns are sent on; None if addresses' states do not depend on streams."""

    @property
    def unauthorized_message(self) -> str:
        """The answer to a request without valid credentials."""

    @property
    def challenge_headers(self) -> Mapping[str, str]:
        """The headers of that answer."""

    def has_credentials(self, headers: Mapping[str, str]) -> bool:
        """Whether the headers have the credentials, compared in constant time; checked before the body is read.

        False for every request if no credentials are configured.
        """

    def has_signature(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the headers have a valid signature of the body; True for a provider that does not sign."""

    def events_of(self, document: object) -> Sequence[Payload]:
        """The events in a request's JSON; raises `WebhookUnreadable`."""

    def reference_of(self, payload: Payload) -> MessageReference:
        """The message that an event refers to, by which it is attributed; also for events that `read` refuses."""

    def read(self, payload: Payload) -> MailEvent:
        """Parse an event; raises `ValueError` for one that is not about outbound mail."""

    def dedupe_key(self, payload: Payload) -> str:
        """A key that is the same for repeats of an event; at most 120 characters, for any payload."""

    def without_message(self, payload: Payload, *, is_repeat: bool) -> dict[str, Any]:
        """The event without the message, for other organizations that have the address; `read` parses it as well.

        `is_repeat` if the event is also stored with its message.
        """
