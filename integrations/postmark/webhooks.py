"""Postmark's webhooks as requests: HTTP Basic, unsigned, one event each."""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from typing import Any

from core.security import equal_secrets
from integrations.mail_events import About, MailEvent, Payload, WebhookUnreadable
from integrations.postmark import events


class PostmarkWebhooks:
    """Webhooks with a user name and a password of ours; without a password none is admitted."""

    provider = "postmark"
    refusal = "Wrong user name or password."
    challenge: Mapping[str, str] = {"www-authenticate": 'Basic realm="webhooks"'}

    def __init__(self, *, username: str, password: str | None, stream: str | None) -> None:
        self.username = username
        self.password = password
        self.stream = stream

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Whether the request carries our HTTP Basic credentials, compared in constant time."""
        scheme, _, encoded = headers.get("authorization", "").partition(" ")
        try:
            username, _, password = b64decode(encoded, validate=True).decode().partition(":")
        except (Base64Error, ValueError):
            return False
        if scheme.lower() != "basic" or self.password is None:
            return False
        known = equal_secrets(username, self.username)
        return equal_secrets(password, self.password) and known

    def signs(self, headers: Mapping[str, str], body: bytes) -> bool:  # noqa: ARG002 - Postmark signs nothing
        """Always True."""
        return True

    def events_in(self, document: object) -> Sequence[Payload]:
        """The one event of a request; raises `WebhookUnreadable` unless it is a JSON object."""
        if not isinstance(document, dict):
            raise WebhookUnreadable("The body must be one JSON object, one event.")
        return [document]

    def about(self, payload: Payload) -> About:
        """Which message an event is about."""
        return events.about(payload)

    def read(self, payload: Payload) -> MailEvent:
        """What an event tells; raises `ValueError` for a record type that is none of outbound mail."""
        return events.read(payload)

    def dedupe_key(self, payload: Payload) -> str:
        """What makes an event the same event."""
        return events.dedupe_key(payload)

    def of_address(self, payload: Payload, *, is_repeat: bool) -> dict[str, Any]:
        """The event without its message."""
        return events.of_address(payload, is_repeat=is_repeat)
