"""Postmark's webhooks as requests: HTTP Basic, unsigned, one event each."""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from typing import Any

from core.security import equal_secrets
from integrations.mail_events import MailEvent, MessageReference, Payload, WebhookUnreadable
from integrations.postmark import events


class PostmarkWebhooks:
    """Webhooks with our user name and password; without a configured password every request is refused."""

    provider = "postmark"
    unauthorized_message = "Wrong user name or password."
    challenge_headers: Mapping[str, str] = {"www-authenticate": 'Basic realm="webhooks"'}

    def __init__(self, *, username: str, password: str | None, stream: str | None) -> None:
        self.username = username
        self.password = password
        self.stream = stream

    def has_credentials(self, headers: Mapping[str, str]) -> bool:
        """Whether the request has our HTTP Basic credentials, compared in constant time."""
        scheme, _, encoded = headers.get("authorization", "").partition(" ")
        try:
            username, _, password = b64decode(encoded, validate=True).decode().partition(":")
        except (Base64Error, ValueError):
            return False
        if scheme.lower() != "basic" or self.password is None:
            return False
        is_user = equal_secrets(username, self.username)
        return equal_secrets(password, self.password) and is_user

    def has_signature(self, headers: Mapping[str, str], body: bytes) -> bool:  # noqa: ARG002 - Postmark does not sign
        """Always True, as Postmark does not sign."""
        return True

    def events_of(self, document: object) -> Sequence[Payload]:
        """The one event of a request; raises `WebhookUnreadable` unless it is a JSON object."""
        if not isinstance(document, dict):
            raise WebhookUnreadable("The body must be one JSON object, one event.")
        return [document]

    def reference_of(self, payload: Payload) -> MessageReference:
        """The message that an event refers to."""
        return events.reference_of(payload)

    def read(self, payload: Payload) -> MailEvent:
        """Parse an event; raises `ValueError` for a record type that is not about outbound mail."""
        return events.read(payload)

    def dedupe_key(self, payload: Payload) -> str:
        """A key that is the same for repeats of an event."""
        return events.dedupe_key(payload)

    def without_message(self, payload: Payload, *, is_repeat: bool) -> dict[str, Any]:
        """The event without its message."""
        return events.without_message(payload, is_repeat=is_repeat)
