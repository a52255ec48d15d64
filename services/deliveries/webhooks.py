"""What Postmark tells us, as it came: into the inbox first, answered then, applied later."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from core import clock
from core.ids import new_id
from core.permissions import Tenant
from core.unit_of_work import Work
from models.campaigns import WebhookInbox
from models.contacts import SuppressionReason
from services.deliveries.work import ApplyEvents

POSTMARK: Final = "postmark"
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)  # what is before stands for no time at all, as year 1 does in .NET
# An event belongs to no tenant until its campaign is known.
NOBODY: Final = UUID(int=0)
HARD_BOUNCES: Final = frozenset({"HardBounce", "BadEmailAddress", "ManuallyDeactivated"})
# Bounces in name only: the message has arrived, or may yet.
NO_BOUNCES: Final = frozenset(
    {
        "Transient",
        "Subscribe",
        "Unsubscribe",
        "AutoResponder",
        "AddressChange",
        "ChallengeVerification",
        "OpenRelayTest",
    }
)
SUPPRESSED_FOR: Final = {
    "HardBounce": SuppressionReason.HARD_BOUNCE,
    "SpamComplaint": SuppressionReason.COMPLAINT,
    "ManualSuppression": SuppressionReason.UNSUBSCRIBED,
}
TIMES: Final = {
    "Delivery": "DeliveredAt",
    "Bounce": "BouncedAt",
    "SpamComplaint": "BouncedAt",
    "Open": "ReceivedAt",
    "Click": "ReceivedAt",
    "SubscriptionChange": "ChangedAt",
}
TELLING: Final = ("Type", "TypeCode", "Details", "OriginalLink", "ClickLocation", "FirstOpen", "Platform", "Origin")
DETAIL_LENGTH: Final = 500


class Event(NamedTuple):
    """An event of the inbox, read. `suppression` says why its address must not be mailed again, if so."""

    inbox_id: UUID
    dedupe_key: str
    kind: str
    at: datetime
    message_id: str | None
    campaign_id: UUID | None
    delivery_id: UUID | None
    is_bounce: bool
    suppression: SuppressionReason | None
    details: dict[str, object]


async def receive(work: Work, payload: Mapping[str, Any]) -> None:
    """Store an event and ring for it. A repeat of one that is stored already changes nothing."""
    async with work.begin(Tenant(organization_id=NOBODY)) as uow:
        await uow.execute(
            insert(WebhookInbox)
            .values(id=new_id(), provider=POSTMARK, dedupe_key=dedupe_key(payload), payload=storable(payload))
            .on_conflict_do_nothing()
        )
        uow.enqueue(ApplyEvents(organization_id=NOBODY))


def dedupe_key(payload: Mapping[str, Any]) -> str:
    """What makes an event the same event: Postmark repeats them, and its own sample key would drop second opens."""
    kind = str(payload.get("RecordType"))
    message, recipient = payload.get("MessageID"), payload.get("Recipient")
    if kind in ("Bounce", "SpamComplaint") and payload.get("ID") is not None:
        return f"{kind}:{payload['ID']}"[:200]
    if kind == "Delivery":
        return f"{kind}:{message}:{recipient}"[:400]
    if kind in TIMES:
        told = [kind, message, recipient, payload.get(TIMES[kind]), payload.get("OriginalLink")]
        return f"{kind}:{digest([*told, payload.get('SuppressSending')])}"
    return f"other:{digest(sorted(payload.items(), key=lambda item: item[0]))}"


def digest(value: object) -> str:
    """A hash of a value's text."""
    return hashlib.sha256(repr(value).encode(errors="replace")).hexdigest()


def storable(value: Any) -> Any:  # noqa: ANN401 - JSON
    """The JSON without NUL characters, which PostgreSQL's jsonb cannot hold."""
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {key.replace("\x00", ""): storable(item) for key, item in value.items()}
    return value


def read_event(inbox_id: UUID, key: str, payload: Mapping[str, Any], received_at: datetime) -> Event:
    """Read a stored event. Postmark spells some fields in two ways and leaves others out; raises `ValueError`."""
    kind = payload.get("RecordType")
    if not isinstance(kind, str) or kind not in TIMES:
        raise ValueError(f"no event we know: {str(kind)[:50]!r}")
    metadata = payload.get("Metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    message_id = payload.get("MessageID")
    return Event(
        inbox_id=inbox_id,
        dedupe_key=key,
        kind=kind,
        at=moment(payload.get(TIMES[kind]), received_at),
        message_id=message_id if isinstance(message_id, str) and message_id else None,
        campaign_id=uuid_or_none(metadata.get("campaign")),
        delivery_id=uuid_or_none(metadata.get("delivery")),
        is_bounce=kind == "Bounce" and str(payload.get("Type")) not in NO_BOUNCES,
        suppression=suppression_of(kind, payload),
        details={name: shortened(payload[name]) for name in TELLING if payload.get(name) is not None},
    )


def suppression_of(kind: str, payload: Mapping[str, Any]) -> SuppressionReason | None:
    """Why the event's address must not be mailed again, if it says so."""
    if kind == "SpamComplaint":
        return SuppressionReason.COMPLAINT
    if kind == "Bounce" and (bounce := str(payload.get("Type"))) not in NO_BOUNCES:
        hard = bounce in HARD_BOUNCES or payload.get("Inactive") is True
        return SuppressionReason.HARD_BOUNCE if hard else None
    if kind == "SubscriptionChange" and payload.get("SuppressSending") is True:
        return SUPPRESSED_FOR.get(str(payload.get("SuppressionReason")), SuppressionReason.UNSUBSCRIBED)
    return None


def moment(text: object, received_at: datetime) -> datetime:
    """When it happened; when we heard of it, where that is missing, unreadable, in the future, or before all mail."""
    if not isinstance(text, str):
        return received_at
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return received_at
    if found.tzinfo is None or not EARLIEST < found < clock.now() + timedelta(hours=1):
        return received_at
    return found


def uuid_or_none(text: object) -> UUID | None:
    """The UUID that a text spells, or None."""
    try:
        return UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None


def shortened(value: object) -> object:
    """The value, a long text cut."""
    return value[:DETAIL_LENGTH] if isinstance(value, str) else value
