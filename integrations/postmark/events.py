"""Postmark's webhooks, read: https://postmarkapp.com/developer/webhooks/webhooks-overview.

Any field may be missing, null, or of another type than it should be; no payload is refused for that.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from integrations.mail_events import About, MailEvent, Signal

# https://postmarkapp.com/developer/api/bounce-api#bounce-types
TYPE_CODES: Final = {
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
KNOWN_TYPES: Final = frozenset(TYPE_CODES.values())
PERMANENT: Final = frozenset({"HardBounce", "BadEmailAddress", "ManuallyDeactivated"})
# What a type says when it is no bounce: the message has arrived, or may yet.
NO_BOUNCES: Final = {
    "Unsubscribe": Signal.UNSUBSCRIBED,
    "SpamComplaint": Signal.COMPLAINED,
    "SpamNotification": Signal.COMPLAINED,
    "Transient": Signal.OTHER,
    "Subscribe": Signal.OTHER,
    "AutoResponder": Signal.OTHER,
    "AddressChange": Signal.OTHER,
    "ChallengeVerification": Signal.OTHER,
    "OpenRelayTest": Signal.OTHER,
    "InboundError": Signal.OTHER,
}
TIMES: Final = {
    "Delivery": "DeliveredAt",
    "Bounce": "BouncedAt",
    "SpamComplaint": "BouncedAt",
    "Open": "ReceivedAt",
    "Click": "ReceivedAt",
    "SubscriptionChange": "ChangedAt",
}
# No message. A bounce of it comes from the test button and tells of nobody, whatever address it carries; a change of
# the suppression list by hand has no message either and does tell of its address.
NO_MESSAGE: Final = "00000000-0000-0000-0000-000000000000"
TELLING: Final = (
    *("Type", "TypeCode", "Description", "Details", "OriginalLink", "ClickLocation", "FirstOpen", "Platform"),
    *("Origin", "SuppressionReason", "SuppressSending", "Inactive", "CanActivate"),
)
# What tells two events apart: Postmark repeats them, and its own sample key would drop second opens.
TELLING_APART: Final = (
    *("ID", "MessageID", "Recipient", "Email", "OriginalLink", "MessageStream"),
    *("Type", "SuppressSending", "SuppressionReason", "Origin"),
)
# What is left of an event that is told to others than the sender: nothing of the message.
OF_ADDRESS: Final = (
    *("RecordType", "Type", "TypeCode", "Inactive", "SuppressSending", "SuppressionReason", "Origin"),
    *("BouncedAt", "ChangedAt", "Recipient", "Email", "MessageStream"),
)
REPEATS: Final = "Repeats"
FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}
DETAIL_LENGTH: Final = 500
LONGEST_ID: Final = 200
LONGEST_NUMBER: Final = 40
LARGEST: Final = 2**53


def read(payload: Mapping[str, Any]) -> MailEvent:
    """The event; raises `ValueError` for a record type that is none of outbound mail."""
    kind = payload.get("RecordType")
    if not isinstance(kind, str) or kind not in TIMES:
        raise ValueError(f"no event we know: {str(kind)[:50]!r}")
    metadata = metadata_of(payload)
    message_id = text_of(payload.get("MessageID"))
    is_test = message_id == NO_MESSAGE and kind != "SubscriptionChange"
    message_id = None if message_id == NO_MESSAGE else message_id
    meaning = meaning_of(kind, payload, with_message=message_id is not None)
    return MailEvent(
        signal=meaning.signal,
        is_permanent=meaning.is_permanent,
        is_inactive=is_inactive(kind, payload),
        by_recipient=payload.get("Origin") == "Recipient",
        is_repeat=repeats(kind, payload, meaning.signal),
        at=moment(payload.get(TIMES[kind])),
        message_id=message_id,
        campaign_id=uuid_of(metadata.get("campaign")),
        delivery_id=uuid_of(metadata.get("delivery")),
        recipient=None if is_test else text_of(payload.get("Recipient")) or text_of(payload.get("Email")),
        stream=text_of(payload.get("MessageStream")),
        details={name: shortened(payload[name]) for name in TELLING if is_told(payload.get(name))},
    )


def about(payload: Mapping[str, Any]) -> About:
    """The campaign in the metadata, and the message, of any record type."""
    return About(uuid_of(metadata_of(payload).get("campaign")), text_of(payload.get("MessageID")))


def metadata_of(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message's metadata; empty where there is none."""
    metadata = payload.get("Metadata")
    return metadata if isinstance(metadata, dict) else {}


class Meaning(NamedTuple):
    """What an event says, and of a bounce whether it will come again."""

    signal: Signal
    is_permanent: bool = False


SIGNALS: Final = {
    "Delivery": Meaning(Signal.DELIVERED),
    "Open": Meaning(Signal.OPENED),
    "Click": Meaning(Signal.CLICKED),
    "SpamComplaint": Meaning(Signal.COMPLAINED),
}


def meaning_of(kind: str, payload: Mapping[str, Any], *, with_message: bool) -> Meaning:
    """What an event of a record type says."""
    if kind == "Bounce":
        bounce = bounce_type(payload)
        return Meaning(NO_BOUNCES.get(bounce, Signal.BOUNCED), bounce in PERMANENT)
    if kind == "SubscriptionChange":
        return change_of(payload, with_message=with_message)
    return SIGNALS[kind]


def bounce_type(payload: Mapping[str, Any]) -> str:
    """The type of a bounce, by its name or else by its code; "Unknown" for neither."""
    name, code = text_of(payload.get("Type")), text_of(payload.get("TypeCode"))
    if name in KNOWN_TYPES:
        return name
    return TYPE_CODES.get(code or "", "Unknown")


def change_of(payload: Mapping[str, Any], *, with_message: bool) -> Meaning:
    """What a change of Postmark's suppression list says.

    ManualSuppression is a recipient who unsubscribed, or somebody at the customer or at Postmark who put the address
    there: `Origin` tells, else the message, as only a recipient's has one.
    """
    suppressed, reason, origin = (payload.get(name) for name in ("SuppressSending", "SuppressionReason", "Origin"))
    if flag(suppressed) is False:
        return Meaning(Signal.REACTIVATED)
    if flag(suppressed) is None and text_of(reason) is None:
        return Meaning(Signal.OTHER)
    if reason == "HardBounce":
        return Meaning(Signal.BOUNCED, is_permanent=True)
    if reason == "SpamComplaint":
        return Meaning(Signal.COMPLAINED)
    by_recipient = origin == "Recipient" or (origin not in ("Customer", "Admin") and with_message)
    return Meaning(Signal.UNSUBSCRIBED if by_recipient else Signal.SUPPRESSED)


def repeats(kind: str, payload: Mapping[str, Any], signal: Signal) -> bool:
    """Whether the event tells what another tells too: Postmark's list changes after a bounce or a complaint."""
    if REPEATS in payload:
        return payload[REPEATS] is True
    return kind == "SubscriptionChange" and signal is not Signal.REACTIVATED


def flag(value: object) -> bool | None:
    """A truth value, also one that is written as a text or a number; None for anything else."""
    return FLAGS.get(str(value).lower()) if isinstance(value, bool | int | str) else None


def is_inactive(kind: str, payload: Mapping[str, Any]) -> bool | None:
    """Whether Postmark mails the address no more; None where it does not say."""
    return flag(payload.get("SuppressSending" if kind == "SubscriptionChange" else "Inactive"))


def of_address(payload: Mapping[str, Any], *, is_repeat: bool) -> dict[str, Any]:
    """The event without its message, for whoever has the address; `is_repeat` when it is told whole as well."""
    return {name: payload[name] for name in OF_ADDRESS if name in payload} | {REPEATS: is_repeat}


def dedupe_key(payload: Mapping[str, Any]) -> str:
    """What makes an event the same event, at most 120 characters, whatever the payload holds."""
    kind = payload.get("RecordType")
    if not isinstance(kind, str) or kind not in TIMES:
        return f"other:{digest(payload)}"
    number = text_of(payload.get("ID"))
    if kind in {"Bounce", "SpamComplaint"} and number is not None and len(number) <= LONGEST_NUMBER:
        return f"{kind}:{number}"
    names = TELLING_APART if kind != "Delivery" else ("MessageID", "Recipient")
    told = {name: payload.get(name) for name in names}
    if not any(told[name] for name in ("MessageID", "Recipient")):
        return f"{kind}:{digest(payload)}"
    return f"{kind}:{digest(told if kind == 'Delivery' else {**told, 'at': payload.get(TIMES[kind])})}"


def digest(value: object) -> str:
    """A hash of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def moment(value: object) -> datetime | None:
    """The time that a text tells, in UTC where it names no offset; None when it tells none."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def text_of(value: object) -> str | None:
    """A short text, or a whole number as one; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    return value.strip()[:LONGEST_ID] or None


def uuid_of(value: object) -> UUID | None:
    """The UUID that a text spells, or None."""
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def is_told(value: object) -> bool:
    """Whether a value says something that a history can show."""
    return value is not None and not isinstance(value, dict | list)


def shortened(value: object) -> object:
    """The value, a long text cut, and a whole number that JSON's readers do not take as a text."""
    if isinstance(value, int) and abs(value) > LARGEST:
        return str(value)[:DETAIL_LENGTH]
    return value[:DETAIL_LENGTH] if isinstance(value, str) else value
