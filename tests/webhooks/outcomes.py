"""The expected effects of Postmark's events on a delivery, a contact and its history.

Written from Postmark's documentation (the bounce types of its bounce API, its webhooks for each record type) and
from the design's rules, not from the code: the reference of `test_outcomes.py`.
"""

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
AT = "2022-06-05T17:17:32.1234567Z"
LEFT_OUT = object()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The statuses of the delivery and the contact, the reasons of suppressions, and the events of the history."""

    delivery: str = "accepted"
    contact: str = "subscribed"
    suppressed: frozenset[str] = frozenset()
    history: tuple[str, ...] = ()
    unsubscribed: bool = False


NOTHING = Outcome()
NOTICE = Outcome(history=("notice",))
HARD = Outcome(delivery="bounced", contact="bounced", suppressed=frozenset({"hard_bounce"}), history=("bounced",))
SOFT = Outcome(delivery="bounced", history=("bounced",))
DEACTIVATED = Outcome(delivery="bounced", contact="bounced", suppressed=frozenset({"provider"}), history=("bounced",))
COMPLAINT = Outcome(
    delivery="complained", contact="complained", suppressed=frozenset({"complaint"}), history=("complained",)
)
LEFT = Outcome(
    contact="unsubscribed", suppressed=frozenset({"unsubscribed"}), history=("unsubscribed",), unsubscribed=True
)
LISTED = Outcome(contact="bounced", suppressed=frozenset({"provider"}), history=("suppressed",))
BACK = Outcome(history=("reactivated",))
DELIVERED = Outcome(delivery="delivered", history=("delivered",))
OPENED = Outcome(history=("opened",))
CLICKED = Outcome(history=("clicked",))


@dataclass(frozen=True, kw_only=True)
class Case:
    """An event about a message, without what `about` adds, and its expected outcome."""

    event: Json
    outcome: Outcome
    about: Json = field(default_factory=dict)


def bounce(kind: str, code: int, *, inactive: bool = False, **changes: object) -> Json:
    """A bounce, as Postmark documents it."""
    return with_changes(
        {
            "RecordType": "Bounce",
            "Type": kind,
            "TypeCode": code,
            "Name": kind,
            "Description": "The description of this type.",
            "Details": "smtp;550 5.1.1 what the other server said",
            "From": "sender@example.com",
            "BouncedAt": AT,
            "DumpAvailable": True,
            "Inactive": inactive,
            "CanActivate": kind != "SpamComplaint",
            "Subject": "Hello",
            "Content": "",
        },
        changes,
    )


def complaint(**changes: object) -> Json:
    """A spam complaint, as Postmark documents it."""
    return bounce("SpamComplaint", 100_001, inactive=True, **{"RecordType": "SpamComplaint", **changes})


def change(*, suppress: object, reason: object, origin: object, **changes: object) -> Json:
    """A change of the suppression list, as Postmark documents it."""
    return with_changes(
        {
            "RecordType": "SubscriptionChange",
            "ChangedAt": AT,
            "Origin": origin,
            "SuppressSending": suppress,
            "SuppressionReason": reason,
        },
        changes,
    )


def delivery(**changes: object) -> Json:
    """A delivery, as Postmark documents it."""
    return with_changes(
        {"RecordType": "Delivery", "DeliveredAt": AT, "Details": "Test delivery webhook details"}, changes
    )


def open_event(**changes: object) -> Json:
    """An open, as Postmark documents it."""
    return with_changes(
        {
            "RecordType": "Open",
            "FirstOpen": True,
            "ReceivedAt": AT,
            "Platform": "Desktop",
            "UserAgent": "Mozilla/5.0",
            "ReadSeconds": 4,
            "Client": {"Name": "Gmail", "Company": "Google", "Family": "Gmail"},
            "Geo": {},
        },
        changes,
    )


def click(**changes: object) -> Json:
    """A click, as Postmark documents it."""
    return with_changes(
        {
            "RecordType": "Click",
            "ReceivedAt": AT,
            "OriginalLink": "https://example.com/",
            "ClickLocation": "HTML",
            "Geo": {"CountryISOCode": "RS", "IP": "192.0.2.7"},
        },
        changes,
    )


def with_changes(event: Json, changes: Json) -> Json:
    """The event with other values, and without some."""
    return {name: value for name, value in {**event, **changes}.items() if value is not LEFT_OUT}


# https://postmarkapp.com/developer/api/bounce-api#bounce-types
BOUNCE_TYPES: dict[str, tuple[int, bool, Outcome]] = {
    "HardBounce": (1, True, HARD),
    "Transient": (2, False, NOTICE),
    "Unsubscribe": (16, False, LEFT),
    "Subscribe": (32, False, NOTICE),
    "AutoResponder": (64, False, NOTICE),
    "AddressChange": (128, False, NOTICE),
    "DnsError": (256, False, SOFT),
    "SpamNotification": (512, False, COMPLAINT),
    "OpenRelayTest": (1024, False, NOTICE),
    "Unknown": (2048, False, SOFT),
    "SoftBounce": (4096, False, SOFT),
    "VirusNotification": (8192, False, SOFT),
    "ChallengeVerification": (16384, False, NOTICE),
    "BadEmailAddress": (100_000, True, HARD),
    "SpamComplaint": (100_001, True, COMPLAINT),
    "ManuallyDeactivated": (100_002, True, HARD),
    "Unconfirmed": (100_003, False, SOFT),
    "Blocked": (100_006, False, SOFT),
    "SMTPApiError": (100_007, False, SOFT),
    "InboundError": (100_008, False, NOTICE),
    "DMARCPolicy": (100_009, False, SOFT),
    "TemplateRenderingFailed": (100_010, False, SOFT),
}
MANUAL = {"suppress": True, "reason": "ManualSuppression"}
CASES: dict[str, Case] = {
    **{
        f"{kind}": Case(event=bounce(kind, code, inactive=inactive), outcome=outcome)
        for kind, (code, inactive, outcome) in BOUNCE_TYPES.items()
    },
    **{
        f"{kind} by its code alone": Case(event=bounce(kind, code, inactive=inactive, Type=LEFT_OUT), outcome=outcome)
        for kind, (code, inactive, outcome) in BOUNCE_TYPES.items()
    },
    "HardBounce, address not deactivated": Case(event=bounce("HardBounce", 1, inactive=False), outcome=HARD),
    "HardBounce without Inactive": Case(
        event=bounce("HardBounce", 1, Inactive=LEFT_OUT, CanActivate=LEFT_OUT), outcome=HARD
    ),
    "HardBounce, with the code as text": Case(event=bounce("", 1, TypeCode="1", Type=None), outcome=HARD),
    "SoftBounce that deactivates": Case(event=bounce("SoftBounce", 4096, inactive=True), outcome=DEACTIVATED),
    "Transient that deactivates": Case(event=bounce("Transient", 2, inactive=True), outcome=LISTED),
    "a type that does not exist yet": Case(event=bounce("QuotaOfNextYear", 77), outcome=SOFT),
    "a type that does not exist yet, deactivating": Case(
        event=bounce("QuotaOfNextYear", 77, inactive=True), outcome=DEACTIVATED
    ),
    "a bounce without type and code": Case(event=bounce("", 0, Type=LEFT_OUT, TypeCode=LEFT_OUT), outcome=SOFT),
    "an unsubscribing bounce without time, address and metadata": Case(
        event=bounce("Unsubscribe", 16, BouncedAt=LEFT_OUT, Email=LEFT_OUT, Metadata=LEFT_OUT, Inactive=LEFT_OUT),
        outcome=LEFT,
    ),
    "complaint": Case(event=complaint(), outcome=COMPLAINT),
    "complaint with the code of a notification": Case(event=complaint(TypeCode=512), outcome=COMPLAINT),
    "complaint without type": Case(event=complaint(Type=LEFT_OUT, TypeCode=LEFT_OUT), outcome=COMPLAINT),
    "complaint, address not deactivated": Case(event=complaint(Inactive=False), outcome=COMPLAINT),
    "listed after a bounce": Case(event=change(suppress=True, reason="HardBounce", origin="Recipient"), outcome=HARD),
    "listed after a complaint": Case(
        event=change(suppress=True, reason="SpamComplaint", origin="Recipient"), outcome=COMPLAINT
    ),
    "unsubscribed with Postmark": Case(event=change(**MANUAL, origin="Recipient"), outcome=LEFT),
    "unsubscribed with Postmark, origin missing": Case(event=change(**MANUAL, origin=LEFT_OUT), outcome=LEFT),
    "unsubscribed with Postmark, reason null": Case(
        event=change(suppress=True, reason=None, origin="Recipient"), outcome=LEFT
    ),
    "unsubscribed with Postmark, reason new": Case(
        event=change(suppress=True, reason="NewReason", origin="Recipient"), outcome=LEFT
    ),
    "unsubscribed with Postmark, truth as text": Case(
        event=change(suppress="true", reason="ManualSuppression", origin="Recipient"), outcome=LEFT
    ),
    "unsubscribed with Postmark, truth missing": Case(
        event=change(suppress=LEFT_OUT, reason="ManualSuppression", origin="Recipient"), outcome=LEFT
    ),
    "listed by the customer": Case(event=change(**MANUAL, origin="Customer"), outcome=LISTED),
    "listed by Postmark": Case(event=change(**MANUAL, origin="Admin"), outcome=LISTED),
    "reactivated by the customer": Case(event=change(suppress=False, reason=None, origin="Customer"), outcome=BACK),
    "reactivated by the recipient": Case(event=change(suppress=False, reason=None, origin="Recipient"), outcome=BACK),
    "a change without values": Case(event=change(suppress=None, reason=None, origin="Recipient"), outcome=NOTICE),
    "delivery": Case(event=delivery(), outcome=DELIVERED),
    "open": Case(event=open_event(), outcome=OPENED),
    "click": Case(event=click(), outcome=CLICKED),
    "inbound": Case(event={"RecordType": "Inbound", "FromFull": {"Email": "a@example.com"}}, outcome=NOTHING),
    "a record type that does not exist yet": Case(
        event=bounce("HardBounce", 1, RecordType="Gossip"), outcome=NOTHING
    ),
    "no record type": Case(event=bounce("HardBounce", 1, RecordType=LEFT_OUT), outcome=NOTHING),
}
# One event of each record type, whose other fields may have any value.
BASES: dict[str, Case] = {
    name: CASES[name]
    for name in ("HardBounce", "SoftBounce", "Unsubscribe", "complaint", "delivery", "open", "click")
} | {"unsubscribed with Postmark": CASES["unsubscribed with Postmark"]}
DECISIVE = frozenset({"RecordType", "Type", "TypeCode", "Inactive", "SuppressSending", "SuppressionReason", "Origin"})
ODDITIES: dict[str, Any] = {
    "missing": LEFT_OUT,
    "null": None,
    "a list": [[], "x"],
    "an object": {"a": {"b": None}},
    "a number": 12,
    "a truth value": True,
    "a huge number": 10**300,
    "half a pair": "a\ud800b",
    "NUL": "\x00",
    "empty": "",
    "long": "x" * 20_000,
}
EXTRA = {"MessageID", "Metadata", "Recipient", "Email", "ID", "ServerID", "MessageStream", "Tag"}
ODD_FIELDS = {
    f"{base}: {name} is {oddity}": Case(event=case.event, about={name: value}, outcome=case.outcome)
    for base, case in BASES.items()
    for name in sorted((set(case.event) | EXTRA) - DECISIVE)
    for oddity, value in ODDITIES.items()
    if name != "ID" or oddity not in {"a number", "half a pair"}  # an id, and the same id is the same event
}
