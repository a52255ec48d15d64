"""What events mean: for deliveries, for addresses and their contacts, for the contacts' histories."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from integrations.mail_events import Signal
from models.contact_events import ContactEventKind
from models.deliveries import DeliveryStatus
from models.suppressions import SuppressionReason, SuppressionSource
from services.contact_events import ContactLine
from services.deliveries.updating import DeliveryUpdate
from services.suppressions.facts import HistoryLine, Reactivation, SuppressionFact
from services.webhooks.events import OF_ADDRESS, Event, reason_of

KINDS: Final = {
    Signal.DELIVERED: ContactEventKind.DELIVERED,
    Signal.OPENED: ContactEventKind.OPENED,
    Signal.CLICKED: ContactEventKind.CLICKED,
    Signal.BOUNCED: ContactEventKind.BOUNCED,
    Signal.COMPLAINED: ContactEventKind.COMPLAINED,
    Signal.UNSUBSCRIBED: ContactEventKind.UNSUBSCRIBED,
    Signal.SUPPRESSED: ContactEventKind.SUPPRESSED,
    Signal.REACTIVATED: ContactEventKind.REACTIVATED,
    Signal.OTHER: ContactEventKind.NOTICE,
}
STATUSES: Final = {
    Signal.DELIVERED: DeliveryStatus.DELIVERED,
    Signal.BOUNCED: DeliveryStatus.BOUNCED,
    Signal.COMPLAINED: DeliveryStatus.COMPLAINED,
}
TIMES: Final = {
    Signal.DELIVERED: "delivered_at",
    Signal.BOUNCED: "bounced_at",
    Signal.COMPLAINED: "complained_at",
    Signal.OPENED: "opened_at",
    Signal.CLICKED: "clicked_at",
}


class Delivery(NamedTuple):
    """The delivery that an event is about."""

    id: UUID
    campaign_id: UUID
    contact_id: UUID
    email_norm: str
    message_id: str | None


class Known(NamedTuple):
    """An event with its delivery, or one that tells of an address."""

    event: Event
    delivery: Delivery | None


def updates_of(found: Iterable[Known]) -> dict[UUID, dict[UUID, DeliveryUpdate]]:
    """What the events report of each delivery, together, by campaign."""
    updates: dict[UUID, dict[UUID, DeliveryUpdate]] = defaultdict(lambda: defaultdict(DeliveryUpdate))
    for event, delivery in found:
        if delivery is None:
            continue
        update = updates[delivery.campaign_id][delivery.id]
        update.message_id = update.message_id or event.report.message_id
        if (status := STATUSES.get(event.report.signal)) is not None:
            update.advance_to(status)
        if (time := TIMES.get(event.report.signal)) is not None:
            update.set_earliest(time, event.at)
    return updates


def facts_of(found: Iterable[Known]) -> list[SuppressionFact]:
    """The addresses that must not be mailed again, and why."""
    facts: list[SuppressionFact] = []
    for event, delivery in found:
        reason = reason_of(event.report)
        email_norm = delivery.email_norm if delivery is not None else event.email_norm
        if reason is None or email_norm is None:
            continue
        kind = ContactEventKind.SUPPRESSED if event.report.signal is Signal.OTHER else KINDS[event.report.signal]
        if event.shared and reason not in OF_ADDRESS:
            # Whose message it was cannot be report, but that the provider mails the address no more.
            reason, kind = SuppressionReason.PROVIDER, ContactEventKind.SUPPRESSED
        facts.append(
            SuppressionFact(
                email_norm=email_norm,
                reason=reason,
                source=source_of(event, reason),
                at=event.at,
                line=line_of(event, kind),
                contact_id=delivery.contact_id if delivery is not None else None,
                campaign_id=delivery.campaign_id if delivery is not None else None,
                delivery_id=delivery.id if delivery is not None else None,
            )
        )
    return facts


def source_of(event: Event, reason: SuppressionReason) -> SuppressionSource:
    """Who can lift it: the provider what it has set itself, and who unsubscribed with the provider, there again."""
    by_provider = reason in OF_ADDRESS or event.report.by_recipient
    return SuppressionSource.PROVIDER if by_provider else SuppressionSource.OWN


def lifts_of(found: Iterable[Known]) -> list[Reactivation]:
    """The addresses that the provider mails again. Who asked for it is known of the only sender alone."""
    return [
        Reactivation(
            email_norm=email_norm,
            at=event.at,
            line=line_of(event, ContactEventKind.REACTIVATED),
            by_recipient=event.report.by_recipient and not event.shared,
            campaign_id=delivery.campaign_id if delivery is not None else None,
            delivery_id=delivery.id if delivery is not None else None,
        )
        for event, delivery in found
        if event.report.signal is Signal.REACTIVATED
        and (email_norm := delivery.email_norm if delivery is not None else event.email_norm) is not None
    ]


def lines_of(found: Sequence[Known]) -> list[ContactLine]:
    """The history of what neither suppresses nor lifts: deliveries, opens, soft bounces, notices."""
    return [
        ContactLine(
            contact_id=delivery.contact_id,
            kind=KINDS[event.report.signal],
            at=event.at,
            dedupe_key=event.dedupe_key,
            campaign_id=delivery.campaign_id,
            delivery_id=delivery.id,
            data=event.report.details,
        )
        for event, delivery in found
        if delivery is not None and event.report.signal is not Signal.REACTIVATED and reason_of(event.report) is None
    ]


def line_of(event: Event, kind: ContactEventKind) -> HistoryLine:
    """The event's line in a contact's history."""
    return HistoryLine(
        kind=kind, dedupe_key=event.dedupe_key, data=event.report.details, only_if_new=event.report.is_repeat
    )
