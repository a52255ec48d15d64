"""A mail provider that is nothing like the first: small requests, signed webhooks, many events in one."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from integrations.mail import Envelope, Message, Outcome, ProviderLimits
from integrations.mail_events import MailEvent, MailEventKind, MessageReference, Payload, WebhookUnreadable
from integrations.recording import RecordingMailer

LIMITS = ProviderLimits(max_messages=2, max_bytes=100_000, max_from_bytes=40)
KINDS = {
    "landed": MailEventKind.DELIVERED,
    "lost": MailEventKind.BOUNCED,
    "angry": MailEventKind.COMPLAINED,
}


class PigeonMailer(RecordingMailer):
    """Accepts every message, in requests of two at most; `requests` counts the messages of each."""

    name = "Pigeon"
    account = "pigeon:1"
    sender = "post@pigeon.example"

    def __init__(self) -> None:
        super().__init__(limits=LIMITS)
        self.requests: list[int] = []

    async def send(self, envelope: Envelope, messages: Sequence[Message], *, not_after: float) -> Outcome:
        """Take a request that is within the limits."""
        assert len(messages) <= LIMITS.max_messages
        self.requests.append(len(messages))
        return await super().send(envelope, messages, not_after=not_after)


class PigeonWebhooks:
    """Webhooks that are signed with a secret instead of carrying a password."""

    provider = "pigeon"
    stream = None
    unauthorized_message = "The signature is not the body's."
    challenge_headers: Mapping[str, str] = {}

    def __init__(self, secret: bytes = b"of the pigeons") -> None:
        self.secret = secret

    def sign(self, body: bytes) -> dict[str, str]:
        """The headers of a request with this body."""
        return {"x-pigeon-signature": hmac.new(self.secret, body, hashlib.sha256).hexdigest()}

    def has_credentials(self, headers: Mapping[str, str]) -> bool:
        """Whether there is a signature at all."""
        return "x-pigeon-signature" in headers

    def has_signature(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the signature is the body's."""
        return hmac.compare_digest(headers["x-pigeon-signature"], self.sign(body)["x-pigeon-signature"])

    def events_of(self, document: object) -> Sequence[Payload]:
        """The events of a request."""
        if not isinstance(document, list):
            raise WebhookUnreadable("The body must be a list of letters.")
        return document

    def reference_of(self, payload: Payload) -> MessageReference:
        """What a letter is about."""
        campaign = str(payload.get("ours") or "").partition("/")[0]
        return MessageReference(UUID(campaign) if campaign else None, payload.get("letter"))

    def read(self, payload: Payload) -> MailEvent:
        """What a letter's fate means."""
        if payload.get("what") not in KINDS:
            raise ValueError("no fate that we know")
        campaign, _, delivery = str(payload.get("ours") or "").partition("/")
        return MailEvent(
            kind=KINDS[payload["what"]],
            is_permanent=payload["what"] == "lost",
            is_inactive=True if payload["what"] == "lost" else None,
            at=datetime.fromtimestamp(payload["when"] / 1000, UTC),
            message_id=payload.get("letter"),
            campaign_id=UUID(campaign) if campaign else None,
            delivery_id=UUID(delivery) if delivery else None,
            recipient=payload["whom"],
            stream=None,
            details={"what": payload["what"]},
        )

    def dedupe_key(self, payload: Payload) -> str:
        """Each fate of a letter has a number; an event that is none is told apart by its text."""
        return f"{payload.get('what')}:{payload.get('number')}"[:120]

    def without_message(self, payload: Payload, *, is_repeat: bool) -> dict[str, Any]:
        """The fate without the letter."""
        return {name: payload[name] for name in ("what", "number", "when", "whom")} | {"again": is_repeat}
