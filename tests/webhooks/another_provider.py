"""A second mail provider, unlike the first: small requests, signed webhooks, many events in one request."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from integrations.mail import BatchHeader, Message, Outcome, ProviderLimits
from integrations.mail_events import MailEvent, MailEventKind, MessageReference, Payload, WebhookUnreadable
from integrations.recording import RecordingMailer

LIMITS = ProviderLimits(max_messages=2, max_bytes=100_000, max_from_bytes=40)
KINDS = {
    "delivered": MailEventKind.DELIVERED,
    "hard_bounce": MailEventKind.BOUNCED,
    "complaint": MailEventKind.COMPLAINED,
}


class OtherMailer(RecordingMailer):
    """Accepts every message, in requests of at most two; `requests` has the number of messages of each."""

    name = "Other Mail"
    account = "other:1"
    sender = "news@other.example"

    def __init__(self) -> None:
        super().__init__(limits=LIMITS)
        self.requests: list[int] = []

    async def send(self, header: BatchHeader, messages: Sequence[Message], *, not_after: float) -> Outcome:
        """Accept a request within the limits."""
        assert len(messages) <= LIMITS.max_messages
        self.requests.append(len(messages))
        return await super().send(header, messages, not_after=not_after)


class OtherWebhooks:
    """Webhooks that are signed with a secret, without a password."""

    provider = "other"
    stream = None
    unauthorized_message = "The signature is not the body's."
    challenge_headers: Mapping[str, str] = {}

    def __init__(self, secret: bytes = b"a signing secret") -> None:
        self.secret = secret

    def sign(self, body: bytes) -> dict[str, str]:
        """The headers of a request with this body."""
        return {"x-other-signature": hmac.new(self.secret, body, hashlib.sha256).hexdigest()}

    def has_credentials(self, headers: Mapping[str, str]) -> bool:
        """Whether there is a signature."""
        return "x-other-signature" in headers

    def has_signature(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the signature is that of the body."""
        return hmac.compare_digest(headers["x-other-signature"], self.sign(body)["x-other-signature"])

    def events_of(self, document: object) -> Sequence[Payload]:
        """The events of a request."""
        if not isinstance(document, list):
            raise WebhookUnreadable("The body must be a list of events.")
        return document

    def reference_of(self, payload: Payload) -> MessageReference:
        """The message that an event refers to."""
        campaign = str(payload.get("reference") or "").partition("/")[0]
        return MessageReference(UUID(campaign) if campaign else None, payload.get("message"))

    def read(self, payload: Payload) -> MailEvent:
        """Parse an event."""
        if payload.get("event") not in KINDS:
            raise ValueError("unknown event")
        campaign, _, delivery = str(payload.get("reference") or "").partition("/")
        return MailEvent(
            kind=KINDS[payload["event"]],
            is_permanent=payload["event"] == "hard_bounce",
            is_inactive=True if payload["event"] == "hard_bounce" else None,
            at=datetime.fromtimestamp(payload["time"] / 1000, UTC),
            message_id=payload.get("message"),
            campaign_id=UUID(campaign) if campaign else None,
            delivery_id=UUID(delivery) if delivery else None,
            recipient=payload["recipient"],
            stream=None,
            details={"event": payload["event"]},
        )

    def dedupe_key(self, payload: Payload) -> str:
        """Each event of a message has a number; one without is identified by its text."""
        return f"{payload.get('event')}:{payload.get('number')}"[:120]

    def without_message(self, payload: Payload, *, is_repeat: bool) -> dict[str, Any]:
        """The event without the message."""
        return {name: payload[name] for name in ("event", "number", "time", "recipient")} | {"again": is_repeat}
