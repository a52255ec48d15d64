"""The JSON of Postmark's webhooks."""

from dataclasses import dataclass
from itertools import count
from time import time

from sandbox.ledger import AcceptedMessage
from sandbox.wire import HttpError, JsonObject, timestamp

SERVER_ID = 23
BOUNCES: dict[str, tuple[int, str, bool]] = {
    "HardBounce": (1, "Hard bounce", True),
    "Transient": (2, "Message delayed", False),
    "Unsubscribe": (16, "Unsubscribe request", False),
    "Subscribe": (32, "Subscribe request", False),
    "AutoResponder": (64, "Auto responder", False),
    "AddressChange": (128, "Address change", False),
    "DnsError": (256, "DNS error", False),
    "SpamNotification": (512, "Spam notification", False),
    "OpenRelayTest": (1024, "Open relay test", False),
    "Unknown": (2048, "Unknown", False),
    "SoftBounce": (4096, "Soft bounce", False),
    "VirusNotification": (8192, "Virus notification", False),
    "ChallengeVerification": (16384, "Spam challenge verification", False),
    "BadEmailAddress": (100000, "Invalid email address", True),
    "SpamComplaint": (100001, "Spam complaint", True),
    "ManuallyDeactivated": (100002, "Manually deactivated", True),
    "Unconfirmed": (100003, "Registration not confirmed", False),
    "Blocked": (100006, "ISP block", False),
    "SMTPApiError": (100007, "SMTP API error", False),
    "InboundError": (100008, "Processing failed", False),
    "DMARCPolicy": (100009, "DMARC policy", False),
    "TemplateRenderingFailed": (100010, "Template rendering failed", False),
}
RECORD_TYPES = ("Delivery", "Bounce", "SpamComplaint", "Open", "Click", "SubscriptionChange")
CLIENT = {"Name": "Apple Mail", "Company": "Apple Inc.", "Family": "Apple Mail"}
SYSTEM = {"Name": "macOS 15", "Company": "Apple Inc.", "Family": "macOS"}
GEO = {"City": "Leeds", "Region": "England", "Country": "United Kingdom", "CountryISOCode": "GB", "IP": "192.0.2.7"}
AGENT = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"

_ids = count(int(time() * 1000))


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent:
    """An event for one recipient of a message; `kind` is a record type or a bounce type."""

    kind: str
    message: AcceptedMessage
    recipient: str
    first: bool = True
    link: str | None = None
    reason: str = "ManualSuppression"


def payload(event: WebhookEvent) -> JsonObject:
    """The JSON of an event; raises a 400 for a kind that Postmark does not have."""
    kind = event.kind
    if kind in BOUNCES:
        return _bounce(event)
    if kind == "Delivery":
        return {
            **_common(event, "Delivery"),
            "Recipient": event.recipient,
            "DeliveredAt": timestamp(),
            "Details": "smtp;250 2.0.0 OK",
        }
    if kind == "Open":
        return {
            **_tracked(event, "Open"),
            "FirstOpen": event.first,
            "ReadSeconds": 5 + len(event.recipient) % 20,
        }
    if kind == "Click":
        link = event.link or event.message.link or "https://example.com/"
        return {**_tracked(event, "Click"), "OriginalLink": link, "ClickLocation": "HTML"}
    if kind == "SubscriptionChange":
        return {
            **_common(event, "SubscriptionChange"),
            "Recipient": event.recipient,
            "ChangedAt": timestamp(),
            "Origin": "Recipient",
            "SuppressSending": True,
            "SuppressionReason": event.reason,
        }
    raise HttpError(400, {"error": f"unknown record type {kind!r}", "known": [*RECORD_TYPES, *BOUNCES]})


def list_change(stream: str, recipient: str, origin: str, reason: str | None) -> JsonObject:
    """The webhook of a change of the suppression list by hand; without a reason it is a reactivation."""
    return {
        "RecordType": "SubscriptionChange",
        "MessageID": None,
        "ServerID": SERVER_ID,
        "MessageStream": stream,
        "ChangedAt": timestamp(),
        "Recipient": recipient,
        "Origin": origin,
        "SuppressSending": reason is not None,
        "SuppressionReason": reason,
        "Tag": None,
        "Metadata": {},
    }


def _common(event: WebhookEvent, record_type: str) -> JsonObject:
    message = event.message
    return {
        "RecordType": record_type,
        "MessageID": message.message_id,
        "ServerID": SERVER_ID,
        "MessageStream": message.stream,
        "Tag": message.tag,
        "Metadata": message.metadata,
    }


def _tracked(event: WebhookEvent, record_type: str) -> JsonObject:
    return {
        **_common(event, record_type),
        "Recipient": event.recipient,
        "ReceivedAt": timestamp(),
        "UserAgent": AGENT,
        "Platform": "Desktop",
        "Client": CLIENT,
        "OS": SYSTEM,
        "Geo": GEO,
    }


def _bounce(event: WebhookEvent) -> JsonObject:
    code, name, inactive = BOUNCES[event.kind]
    record_type = "SpamComplaint" if event.kind == "SpamComplaint" else "Bounce"
    return {
        **_common(event, record_type),
        "ID": next(_ids),
        "Type": event.kind,
        "TypeCode": code,
        "Name": name,
        "Description": f"{name} (simulated).",
        "Details": f"smtp;{'550 5.1.1 no such mailbox' if inactive else '451 4.2.0 try again later'}",
        "Email": event.recipient,
        "From": event.message.sender,
        "BouncedAt": timestamp(),
        "DumpAvailable": False,
        "Inactive": inactive,
        "CanActivate": event.kind != "SpamComplaint",
        "Subject": event.message.subject,
        "Content": "",
    }
