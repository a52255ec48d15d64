"""The JSON of Postmark's webhooks, one function per record type."""

from dataclasses import dataclass
from itertools import count
from time import time

from sandbox.ledger import Message
from sandbox.wire import JsonObject, Refused, timestamp

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
class Happening:
    """An event about to be told: a record type or a bounce type, for one recipient of a message."""

    kind: str
    message: Message
    recipient: str
    first: bool = True
    link: str | None = None
    reason: str = "ManualSuppression"


def payload(happening: Happening) -> JsonObject:
    """The webhook's JSON; 400 for a kind that Postmark does not know."""
    kind = happening.kind
    if kind in BOUNCES:
        return _bounce(happening)
    if kind == "Delivery":
        return {
            **_common(happening, "Delivery"),
            "Recipient": happening.recipient,
            "DeliveredAt": timestamp(),
            "Details": "smtp;250 2.0.0 OK",
        }
    if kind == "Open":
        return {
            **_tracked(happening, "Open"),
            "FirstOpen": happening.first,
            "ReadSeconds": 5 + len(happening.recipient) % 20,
        }
    if kind == "Click":
        link = happening.link or happening.message.link or "https://example.com/"
        return {**_tracked(happening, "Click"), "OriginalLink": link, "ClickLocation": "HTML"}
    if kind == "SubscriptionChange":
        return {
            **_common(happening, "SubscriptionChange"),
            "Recipient": happening.recipient,
            "ChangedAt": timestamp(),
            "Origin": "Recipient",
            "SuppressSending": True,
            "SuppressionReason": happening.reason,
        }
    raise Refused(400, {"error": f"unknown record type {kind!r}", "known": [*RECORD_TYPES, *BOUNCES]})


def list_change(stream: str, recipient: str, origin: str, reason: str | None) -> JsonObject:
    """The webhook of a suppression, or of its end without a reason, that no message caused."""
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


def _common(happening: Happening, record_type: str) -> JsonObject:
    message = happening.message
    return {
        "RecordType": record_type,
        "MessageID": message.message_id,
        "ServerID": SERVER_ID,
        "MessageStream": message.stream,
        "Tag": message.tag,
        "Metadata": message.metadata,
    }


def _tracked(happening: Happening, record_type: str) -> JsonObject:
    return {
        **_common(happening, record_type),
        "Recipient": happening.recipient,
        "ReceivedAt": timestamp(),
        "UserAgent": AGENT,
        "Platform": "Desktop",
        "Client": CLIENT,
        "OS": SYSTEM,
        "Geo": GEO,
    }


def _bounce(happening: Happening) -> JsonObject:
    code, name, inactive = BOUNCES[happening.kind]
    record_type = "SpamComplaint" if happening.kind == "SpamComplaint" else "Bounce"
    return {
        **_common(happening, record_type),
        "ID": next(_ids),
        "Type": happening.kind,
        "TypeCode": code,
        "Name": name,
        "Description": f"{name} (simulated).",
        "Details": f"smtp;{'550 5.1.1 no such mailbox' if inactive else '451 4.2.0 try again later'}",
        "Email": happening.recipient,
        "From": happening.message.sender,
        "BouncedAt": timestamp(),
        "DumpAvailable": False,
        "Inactive": inactive,
        "CanActivate": happening.kind != "SpamComplaint",
        "Subject": happening.message.subject,
        "Content": "",
    }
