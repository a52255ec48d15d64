"""The effects of events on deliveries, suppressions and contacts' histories."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from integrations.mail_events import MailEventKind
from models.contact_events import ContactEventKind
from models.deliveries import DeliveryStatus
from models.suppressions import SuppressionReason, SuppressionSource
from services.contact_events import NewContactEvent
from services.deliveries.updating import DeliveryUpdate
from services.suppressions.facts import HistoryEntry, Reactivation, SuppressionFact
from services.webhooks.events import ADDRESS_REASONS, InboxEvent, reason_of

KINDS: Final = {
    MailEventKind.DELIVERED: ContactEventKind.DELIVERED,
    MailEventKind.OPENED: ContactEventKind.OPENED,
    MailEventKind.CLICKED: ContactEventKind.CLICKED,
    MailEventKind.BOUNCED: ContactEventKind.BOUNCED,
    MailEventKind.COMPLAINED: ContactEventKind.COMPLAINED,
    MailEventKind.UNSUBSCRIBED: ContactEventKind.UNSUBSCRIBED,
    MailEventKind.SUPPRESSED: ContactEventKind.SUPPRESSED,
    MailEventKind.REACTIVATED: ContactEventKind.REACTIVATED,
    MailEventKind.OTHER: ContactEventKind.NOTICE,
}
_STATUSES: Final = {
    MailEventKind.DELIVERED: DeliveryStatus.DELIVERED,
    MailEventKind.BOUNCED: DeliveryStatus.BOUNCED,
    MailEventKind.COMPLAINED: DeliveryStatus.COMPLAINED,
}
_TIMES: Final = {
    MailEventKind.DELIVERED: "delivered_at",
    MailEventKind.BOUNCED: "bounced_at",
    MailEventKind.COMPLAINED: "complained_at",
    MailEventKind.OPENED: "opened_at",
    MailEventKind.CLICKED: "clicked_at",
}


class EventDelivery(NamedTuple):
    """The delivery that an event is about."""

    id: UUID
    campaign_id: UUID
    contact_id: UUID
    email_norm: str
    message_id: str | None


class ResolvedEvent(NamedTuple):
    """An event with its delivery, or without one if it concerns an address."""

    event: InboxEvent
    delivery: EventDelivery | None


def updates_of(resolved_events: Iterable[ResolvedEvent]) -> dict[UUID, dict[UUID, DeliveryUpdate]]:
    """The update of each delivery by all of its events, by campaign and delivery id."""
    updates: dict[UUID, dict[UUID, DeliveryUpdate]] = defaultdict(lambda: defaultdict(DeliveryUpdate))
    for event, delivery in resolved_events:
        if delivery is None:
            continue
        update = updates[delivery.campaign_id][delivery.id]
        update.message_id = update.message_id or event.parsed.message_id
        if (status := _STATUSES.get(event.parsed.kind)) is not None:
            update.advance_to(status)
        if (time := _TIMES.get(event.parsed.kind)) is not None:
            update.set_earliest(time, event.at)
    return updates


def facts_of(resolved_events: Iterable[ResolvedEvent]) -> list[SuppressionFact]:
    """The suppressions that the events cause; none for an event whose address is unknown."""
    facts: list[SuppressionFact] = []
    for event, delivery in resolved_events:
        reason = reason_of(event.parsed)
        email_norm = delivery.email_norm if delivery is not None else event.email_norm
        if reason is None or email_norm is None:
            continue
        kind = ContactEventKind.SUPPRESSED if event.parsed.kind is MailEventKind.OTHER else KINDS[event.parsed.kind]
        if event.shared and reason not in ADDRESS_REASONS:
            # It is not known whose message it was, so it counts as a suppression by the provider, not by a person.
            reason, kind = SuppressionReason.PROVIDER, ContactEventKind.SUPPRESSED
        facts.append(
            SuppressionFact(
                email_norm=email_norm,
                reason=reason,
                source=_source_of(event, reason),
                at=event.at,
                entry=_entry_of(event, kind),
                contact_id=delivery.contact_id if delivery is not None else None,
                campaign_id=delivery.campaign_id if delivery is not None else None,
                delivery_id=delivery.id if delivery is not None else None,
            )
        )
    return facts


def _source_of(event: InboxEvent, reason: SuppressionReason) -> SuppressionSource:
    """Who can lift the suppression: the provider, if the provider or the recipient has set it there."""
    by_provider = reason in ADDRESS_REASONS or event.parsed.by_recipient
    return SuppressionSource.PROVIDER if by_provider else SuppressionSource.OWN


def lifts_of(resolved_events: Iterable[ResolvedEvent]) -> list[Reactivation]:
    """The reactivations by the events.

    Whether the recipient asked for it is only known where one organization has the address.
    """
    return [
        Reactivation(
            email_norm=email_norm,
            at=event.at,
            entry=_entry_of(event, ContactEventKind.REACTIVATED),
            by_recipient=event.parsed.by_recipient and not event.shared,
            campaign_id=delivery.campaign_id if delivery is not None else None,
            delivery_id=delivery.id if delivery is not None else None,
        )
        for event, delivery in resolved_events
        if event.parsed.kind is MailEventKind.REACTIVATED
        and (email_norm := delivery.email_norm if delivery is not None else event.email_norm) is not None
    ]


def contact_events_of(resolved_events: Sequence[ResolvedEvent]) -> list[NewContactEvent]:
    """The contact events for opens, clicks, soft bounces, and others that neither suppress nor reactivate."""
    return [
        NewContactEvent(
            contact_id=delivery.contact_id,
            kind=KINDS[event.parsed.kind],
            at=event.at,
            dedupe_key=event.dedupe_key,
            campaign_id=delivery.campaign_id,
            delivery_id=delivery.id,
            data=event.parsed.details,
        )
        for event, delivery in resolved_events
        if delivery is not None
        and event.parsed.kind is not MailEventKind.REACTIVATED
        and reason_of(event.parsed) is None
    ]


def _entry_of(event: InboxEvent, kind: ContactEventKind) -> HistoryEntry:
    """What the event adds to a contact's history."""
    return HistoryEntry(
        kind=kind, dedupe_key=event.dedupe_key, data=event.parsed.details, only_if_new=event.parsed.is_repeat
    )
