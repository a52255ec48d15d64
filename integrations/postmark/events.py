"""Parsing Postmark's events: https://postmarkapp.com/developer/webhooks/webhooks-overview.

Any field may be missing, null, or of another type than documented; no payload is refused for that.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from integrations.mail_events import MailEvent, MailEventKind, MessageReference

# https://postmarkapp.com/developer/api/bounce-api#bounce-types
_TYPE_CODES: Final = {
    "1": "HardBounce",
    "2": "Transient",
    "16": "Unsubscribe",
    "32": "Subscribe",
    "64": "AutoResponder",
    "128": "AddressChange",
    "256": "DnsError",
    "512": "SpamNotification",
    "1024": "OpenRelayTest",
    "2048": "Unknown",
    "4096": "SoftBounce",
    "8192": "VirusNotification",
    "16384": "ChallengeVerification",
    "100000": "BadEmailAddress",
    "100001": "SpamComplaint",
    "100002": "ManuallyDeactivated",
    "100003": "Unconfirmed",
    "100006": "Blocked",
    "100007": "SMTPApiError",
    "100008": "InboundError",
    "100009": "DMARCPolicy",
    "100010": "TemplateRenderingFailed",
}
_KNOWN_TYPES: Final = frozenset(_TYPE_CODES.values())
_PERMANENT: Final = frozenset({"HardBounce", "BadEmailAddress", "ManuallyDeactivated"})
# The types that are not bounces: the message was delivered, or may be later.
_OTHER_TYPES: Final = {
    "Unsubscribe": MailEventKind.UNSUBSCRIBED,
    "SpamComplaint": MailEventKind.COMPLAINED,
    "SpamNotification": MailEventKind.COMPLAINED,
    "Transient": MailEventKind.OTHER,
    "Subscribe": MailEventKind.OTHER,
    "AutoResponder": MailEventKind.OTHER,
    "AddressChange": MailEventKind.OTHER,
    "ChallengeVerification": MailEventKind.OTHER,
    "OpenRelayTest": MailEventKind.OTHER,
    "InboundError": MailEventKind.OTHER,
}
_TIMES: Final = {
    "Delivery": "DeliveredAt",
    "Bounce": "BouncedAt",
    "SpamComplaint": "BouncedAt",
    "Open": "ReceivedAt",
    "Click": "ReceivedAt",
    "SubscriptionChange": "ChangedAt",
}
# The id in events without a message. A bounce with it comes from the test button, and does not concern its address; a
# manual change of the suppression list has it as well, and does concern its address.
_NO_MESSAGE: Final = "00000000-0000-0000-0000-000000000000"
_DETAILS: Final = (
    *("Type", "TypeCode", "Description", "Details", "OriginalLink", "ClickLocation", "FirstOpen", "Platform"),
    *("Origin", "SuppressionReason", "SuppressSending", "Inactive", "CanActivate"),
)
# The fields that identify an event. Postmark repeats events, and the key of its example would drop second opens.
_IDENTITY: Final = (
    *("ID", "MessageID", "Recipient", "Email", "OriginalLink", "MessageStream"),
    *("Type", "SuppressSending", "SuppressionReason", "Origin"),
)
# The fields of an event that is applied for other organizations than the sender's: none of the message.
_ADDRESS_FIELDS: Final = (
    *("RecordType", "Type", "TypeCode", "Inactive", "SuppressSending", "SuppressionReason", "Origin"),
    *("BouncedAt", "ChangedAt", "Recipient", "Email", "MessageStream"),
)
_REPEATS: Final = "Repeats"
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}
_MAX_DETAIL_LENGTH: Final = 500
_MAX_ID_LENGTH: Final = 200
_MAX_NUMBER_LENGTH: Final = 40
_MAX_SAFE_INTEGER: Final = 2**53


def read(payload: Mapping[str, Any]) -> MailEvent:
    """Parse an event; raises `ValueError` for a record type that is not about outbound mail."""
    record_type = payload.get("RecordType")
    if not isinstance(record_type, str) or record_type not in _TIMES:
        raise ValueError(f"unknown record type: {str(record_type)[:50]!r}")
    metadata = _metadata_of(payload)
    message_id = _text_of(payload.get("MessageID"))
    is_test = message_id == _NO_MESSAGE and record_type != "SubscriptionChange"
    message_id = None if message_id == _NO_MESSAGE else message_id
    classified = classify(record_type, payload, with_message=message_id is not None)
    return MailEvent(
        kind=classified.kind,
        is_permanent=classified.is_permanent,
        is_inactive=_is_inactive(record_type, payload),
        by_recipient=payload.get("Origin") == "Recipient",
        is_repeat=_is_repeat_of_another(record_type, payload, classified.kind),
        at=_parse_time(payload.get(_TIMES[record_type])),
        message_id=message_id,
        campaign_id=uuid_of(metadata.get("campaign")),
        delivery_id=uuid_of(metadata.get("delivery")),
        recipient=None if is_test else _text_of(payload.get("Recipient")) or _text_of(payload.get("Email")),
        stream=_text_of(payload.get("MessageStream")),
        details={name: _shorten(payload[name]) for name in _DETAILS if _is_scalar(payload.get(name))},
    )


def reference_of(payload: Mapping[str, Any]) -> MessageReference:
    """The campaign in the metadata, and the message id, of an event of any record type."""
    return MessageReference(uuid_of(_metadata_of(payload).get("campaign")), _text_of(payload.get("MessageID")))


def _metadata_of(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message's metadata; empty where there is none."""
    metadata = payload.get("Metadata")
    return metadata if isinstance(metadata, dict) else {}


class Classified(NamedTuple):
    """The kind of an event, and whether a bounce is permanent."""

    kind: MailEventKind
    is_permanent: bool = False


KINDS: Final = {
    "Delivery": Classified(MailEventKind.DELIVERED),
    "Open": Classified(MailEventKind.OPENED),
    "Click": Classified(MailEventKind.CLICKED),
    "SpamComplaint": Classified(MailEventKind.COMPLAINED),
}


def classify(record_type: str, payload: Mapping[str, Any], *, with_message: bool) -> Classified:
    """The kind of an event, by its record type and fields."""
    if record_type == "Bounce":
        bounce = _bounce_type(payload)
        return Classified(_OTHER_TYPES.get(bounce, MailEventKind.BOUNCED), bounce in _PERMANENT)
    if record_type == "SubscriptionChange":
        return _classify_change(payload, with_message=with_message)
    return KINDS[record_type]


def _bounce_type(payload: Mapping[str, Any]) -> str:
    """The type of a bounce, by its name or else by its code; "Unknown" without a known one."""
    name, code = _text_of(payload.get("Type")), _text_of(payload.get("TypeCode"))
    if name in _KNOWN_TYPES:
        return name
    return _TYPE_CODES.get(code or "", "Unknown")


def _classify_change(payload: Mapping[str, Any], *, with_message: bool) -> Classified:
    """The kind of a change of Postmark's suppression list.

    For ManualSuppression the recipient has unsubscribed, or the customer or Postmark has added the address. `Origin`
    distinguishes them; without it, only a recipient's change has a message.
    """
    suppressed, reason, origin = (payload.get(name) for name in ("SuppressSending", "SuppressionReason", "Origin"))
    if flag(suppressed) is False:
        return Classified(MailEventKind.REACTIVATED)
    if flag(suppressed) is None and _text_of(reason) is None:
        return Classified(MailEventKind.OTHER)
    if reason == "HardBounce":
        return Classified(MailEventKind.BOUNCED, is_permanent=True)
    if reason == "SpamComplaint":
        return Classified(MailEventKind.COMPLAINED)
    by_recipient = origin == "Recipient" or (origin not in ("Customer", "Admin") and with_message)
    return Classified(MailEventKind.UNSUBSCRIBED if by_recipient else MailEventKind.SUPPRESSED)


def _is_repeat_of_another(record_type: str, payload: Mapping[str, Any], kind: MailEventKind) -> bool:
    """Whether another event reports the same: Postmark changes its list after a bounce or a complaint."""
    if _REPEATS in payload:
        return payload[_REPEATS] is True
    return record_type == "SubscriptionChange" and kind is not MailEventKind.REACTIVATED


def flag(value: object) -> bool | None:
    """A boolean, also from a text or a number; None for anything else."""
    return _FLAGS.get(str(value).lower()) if isinstance(value, bool | int | str) else None


def _is_inactive(record_type: str, payload: Mapping[str, Any]) -> bool | None:
    """Whether Postmark has deactivated the address; None if the event does not report it."""
    return flag(payload.get("SuppressSending" if record_type == "SubscriptionChange" else "Inactive"))


def without_message(payload: Mapping[str, Any], *, is_repeat: bool) -> dict[str, Any]:
    """The event without its message; `is_repeat` if it is also stored with it."""
    return {name: payload[name] for name in _ADDRESS_FIELDS if name in payload} | {_REPEATS: is_repeat}


def dedupe_key(payload: Mapping[str, Any]) -> str:
    """A key that is the same for repeats of an event; at most 120 characters, for any payload."""
    record_type = payload.get("RecordType")
    if not isinstance(record_type, str) or record_type not in _TIMES:
        return f"other:{digest(payload)}"
    number = _text_of(payload.get("ID"))
    if record_type in {"Bounce", "SpamComplaint"} and number is not None and len(number) <= _MAX_NUMBER_LENGTH:
        return f"{record_type}:{number}"
    names = _IDENTITY if record_type != "Delivery" else ("MessageID", "Recipient")
    identity = {name: payload.get(name) for name in names}
    if not any(identity[name] for name in ("MessageID", "Recipient")):
        return f"{record_type}:{digest(payload)}"
    if record_type != "Delivery":
        identity["at"] = payload.get(_TIMES[record_type])
    return f"{record_type}:{digest(identity)}"


def digest(value: object) -> str:
    """A SHA-256 hash of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _parse_time(value: object) -> datetime | None:
    """Parse an ISO 8601 time, which is in UTC without an offset; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _text_of(value: object) -> str | None:
    """A short text, also from an integer; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    return value.strip()[:_MAX_ID_LENGTH] or None


def uuid_of(value: object) -> UUID | None:
    """The UUID of a text; None for anything else."""
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _is_scalar(value: object) -> bool:
    """Whether a value is not null, and neither an object nor a list."""
    return value is not None and not isinstance(value, dict | list)


def _shorten(value: object) -> object:
    """The value, with a long text cut, and an integer beyond the range of JSON numbers as text."""
    if isinstance(value, int) and abs(value) > _MAX_SAFE_INTEGER:
        return str(value)[:_MAX_DETAIL_LENGTH]
    return value[:_MAX_DETAIL_LENGTH] if isinstance(value, str) else value
