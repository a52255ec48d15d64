"""Applying the inbox: many events at a time, each once, in any order, and none in another's way."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Row, Select, Text, Uuid, any_, bindparam, case, column, func, select, update
from sqlalchemy.dialects.postgresql import insert

from core.db import SystemScope, is_away
from core.ids import new_id
from core.permissions import Tenant
from core.telemetry import logger
from core.unit_of_work import UnitOfWork, Work
from models.campaigns import DeliveryStatus, EmailDelivery, WebhookInbox
from models.contacts import ContactEvent, ContactEventKind, SuppressionReason
from services.deliveries.raising import Raise, raise_deliveries
from services.deliveries.suppressing import ToSuppress, suppress
from services.deliveries.webhooks import Event, read_event

PAGE = 500
ATTRIBUTED_AT_ONCE = 2_000
MOST_FAILURES = 30
log = logger(__name__)

KINDS = {
    "Delivery": ContactEventKind.DELIVERED,
    "Bounce": ContactEventKind.BOUNCED,
    "SpamComplaint": ContactEventKind.COMPLAINED,
    "Open": ContactEventKind.OPENED,
    "Click": ContactEventKind.CLICKED,
    "SubscriptionChange": ContactEventKind.UNSUBSCRIBED,
}


async def apply_everything(work: Work, system: SystemScope) -> int:
    """Find out whose the waiting events are, and apply them; how many were applied."""
    applied = 0
    for organization_id in await with_events(system):
        try:
            applied += await apply_pages(work, Tenant(organization_id=organization_id))
        except Exception as error:
            if is_away(error):
                raise
            # The sweeper comes again; what is wrong with one organisation's events keeps no other's waiting.
            log.exception("events not applied", organization_id=str(organization_id))
    return applied


async def apply_pages(work: Work, tenant: Tenant) -> int:
    """Apply what waits of an organisation, page by page; how many were applied."""
    applied = 0
    while count := await apply_page(work, tenant):
        applied += count
        if count < PAGE:
            break
    return applied


async def with_events(system: SystemScope) -> list[UUID]:
    """Attribute new events to their organisations; every organisation that has events to apply."""
    while True:
        attributed = func.system.attribute_events(ATTRIBUTED_AT_ONCE).table_valued("organization_id")
        if not await system.rows(select(attributed.c.organization_id)):
            break
    waiting = func.system.organizations_with_events().table_valued("organization_id")
    return [row[0] for row in await system.rows(select(waiting.c.organization_id))]


async def apply_page(work: Work, tenant: Tenant) -> int:
    """Apply the next events of an organisation together; one by one if that fails, so that only the bad one waits."""
    try:
        async with work.begin(tenant) as uow:
            rows = await waiting_events(uow, PAGE)
            await apply(uow, rows)
            return len(rows)
    except Exception as error:  # noqa: BLE001 - what vendors send has no bounds; told apart one by one
        log.warning("events not applied together, trying each", error=type(error).__name__)
    return await apply_each(work, tenant)


async def apply_each(work: Work, tenant: Tenant) -> int:
    """Apply a page of events in a transaction each; what fails is noted, and given up after many attempts."""
    async with work.begin(tenant) as uow:
        ids = [row.id for row in await waiting_events(uow, PAGE)]
    for inbox_id in ids:
        try:
            async with work.begin(tenant) as uow:
                await apply(uow, await waiting_events(uow, 1, inbox_id))
        except Exception as error:
            if is_away(error):
                raise
            log.exception("event not applied", inbox_id=str(inbox_id))
            async with work.begin(tenant) as uow:
                await note_failure(uow, inbox_id, error)
    return 0


async def waiting_events(
    uow: UnitOfWork, most: int, inbox_id: UUID | None = None
) -> Sequence[Row[UUID, str, dict[str, Any], datetime]]:
    """Events of the organisation that nobody is applying, oldest first."""
    statement = (
        select(WebhookInbox.id, WebhookInbox.dedupe_key, WebhookInbox.payload, WebhookInbox.received_at)
        .where(WebhookInbox.organization_id == uow.tenant.organization_id, WebhookInbox.applied_at.is_(None))
        .order_by(WebhookInbox.attempts, WebhookInbox.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    return await uow.rows(statement if inbox_id is None else statement.where(WebhookInbox.id == inbox_id))


async def note_failure(uow: UnitOfWork, inbox_id: UUID, error: Exception) -> None:
    """Count a failed attempt; after many the event is put aside with what went wrong."""
    given_up = WebhookInbox.attempts + 1 >= MOST_FAILURES
    await uow.execute(
        update(WebhookInbox)
        .where(WebhookInbox.id == inbox_id, WebhookInbox.organization_id == uow.tenant.organization_id)
        .values(
            attempts=WebhookInbox.attempts + 1,
            outcome=f"failed: {type(error).__name__}",
            applied_at=case((given_up, func.now()), else_=None),
        )
    )


async def apply(uow: UnitOfWork, rows: Sequence[Row[UUID, str, dict[str, Any], datetime]]) -> None:
    """Apply events that are locked by this transaction, and note the outcome of each."""
    events, outcomes = read_all(rows)
    known = await deliveries_of(uow, events)
    campaigns: dict[UUID, list[Known]] = defaultdict(list)
    for event in events:
        delivery = known.get(event.inbox_id)
        if delivery is None:
            outcomes[event.inbox_id] = "no such delivery"
        else:
            outcomes[event.inbox_id] = "applied"
            campaigns[delivery.campaign_id].append(Known(event, delivery))
    for campaign_id, found in sorted(campaigns.items()):
        await raise_deliveries(uow, campaign_id, raises_of(found))
        await suppress(uow, suppressions_of(found), campaign_id=campaign_id)
    await add_contact_events(uow, [one for found in campaigns.values() for one in found])
    await note_outcomes(uow, outcomes)


class Delivery(NamedTuple):
    """The delivery that an event is about."""

    id: UUID
    campaign_id: UUID
    contact_id: UUID
    email_norm: str
    message_id: str | None


class Known(NamedTuple):
    """An event with its delivery."""

    event: Event
    delivery: Delivery


def read_all(rows: Iterable[Row[UUID, str, dict[str, Any], datetime]]) -> tuple[list[Event], dict[UUID, str]]:
    """The events that can be read, and the outcome of those that cannot."""
    events: list[Event] = []
    outcomes: dict[UUID, str] = {}
    for row in rows:
        try:
            events.append(read_event(row.id, row.dedupe_key, row.payload, row.received_at))
        except ValueError as error:
            outcomes[row.id] = f"ignored: {error}"
    return events, outcomes


async def deliveries_of(uow: UnitOfWork, events: Sequence[Event]) -> dict[UUID, Delivery]:
    """The delivery of each event (by inbox id): by our ids in the metadata, else by the provider's message id."""
    named: dict[UUID, set[UUID]] = defaultdict(set)
    for event in events:
        if event.campaign_id is not None and event.delivery_id is not None:
            named[event.campaign_id].add(event.delivery_id)
    by_id: dict[tuple[UUID | None, UUID | None], Delivery] = {}
    for campaign_id, ids in named.items():
        statement = ledger_rows().where(
            EmailDelivery.organization_id == uow.tenant.organization_id,
            EmailDelivery.campaign_id == campaign_id,
            EmailDelivery.id == any_(bindparam("ids", list(ids), type_=ARRAY(Uuid))),
        )
        by_id |= {(row.campaign_id, row.id): Delivery(*row) for row in await uow.rows(statement)}
    found = {
        event.inbox_id: delivery
        for event in events
        if (delivery := by_id.get((event.campaign_id, event.delivery_id))) is not None
    }
    return found | await by_message(uow, [event for event in events if event.inbox_id not in found])


async def by_message(uow: UnitOfWork, events: Sequence[Event]) -> dict[UUID, Delivery]:
    """The deliveries of events without our metadata."""
    message_ids = {event.message_id for event in events if event.message_id is not None}
    if not message_ids:
        return {}
    statement = ledger_rows().where(
        EmailDelivery.organization_id == uow.tenant.organization_id,
        EmailDelivery.message_id == any_(bindparam("messages", list(message_ids), type_=ARRAY(Text))),
    )
    by_id = {row.message_id: Delivery(*row) for row in await uow.rows(statement)}
    return {event.inbox_id: by_id[event.message_id] for event in events if event.message_id in by_id}


def ledger_rows() -> Select[UUID, UUID, UUID, str, str | None]:
    """What is needed of a delivery."""
    return select(
        EmailDelivery.id,
        EmailDelivery.campaign_id,
        EmailDelivery.contact_id,
        EmailDelivery.email_norm,
        EmailDelivery.message_id,
    )


def raises_of(found: Iterable[Known]) -> dict[UUID, Raise]:
    """What the events tell of each delivery, together."""
    raises: dict[UUID, Raise] = defaultdict(Raise)
    for event, delivery in found:
        told = raises[delivery.id]
        told.message_id = told.message_id or event.message_id
        match event.kind:
            case "Delivery":
                told.reach(DeliveryStatus.DELIVERED)
                told.note("delivered_at", event.at)
            case "Bounce" if event.is_bounce:
                told.reach(DeliveryStatus.BOUNCED)
                told.note("bounced_at", event.at)
            case "SpamComplaint":
                told.reach(DeliveryStatus.COMPLAINED)
            case "Open":
                told.note("opened_at", event.at)
            case "Click":
                told.note("clicked_at", event.at)
            case "SubscriptionChange" if event.suppression is SuppressionReason.UNSUBSCRIBED:
                told.note("unsubscribed_at", event.at)
            case _:
                pass
    return raises


def suppressions_of(found: Iterable[Known]) -> list[ToSuppress]:
    """The addresses that must not be mailed again, once each, the gravest reason first."""
    gravest = sorted(
        (one for one in found if one.event.suppression is not None),
        key=lambda one: one.event.suppression != SuppressionReason.COMPLAINT,
    )
    result: dict[UUID, ToSuppress] = {}
    for event, delivery in gravest:
        if event.suppression is not None and delivery.contact_id not in result:
            result[delivery.contact_id] = ToSuppress(delivery.email_norm, delivery.contact_id, event.suppression)
    return list(result.values())


async def add_contact_events(uow: UnitOfWork, found: Sequence[Known]) -> None:
    """Put the events into the contacts' histories."""
    rows = [
        {
            "organization_id": uow.tenant.organization_id,
            "occurred_at": event.at,
            "id": new_id(),
            "contact_id": delivery.contact_id,
            "campaign_id": delivery.campaign_id,
            "delivery_id": delivery.id,
            "kind": KINDS[event.kind],
            "dedupe_key": event.dedupe_key,
            "data": event.details,
        }
        for event, delivery in found
        if is_told(event)
    ]
    if rows:
        await uow.execute(insert(ContactEvent).on_conflict_do_nothing(), rows)


def is_told(event: Event) -> bool:
    """Whether an event belongs into a contact's history: a bounce or a farewell in name only does not."""
    if event.kind == "Bounce":
        return event.is_bounce
    return event.kind != "SubscriptionChange" or event.suppression is SuppressionReason.UNSUBSCRIBED


async def note_outcomes(uow: UnitOfWork, outcomes: dict[UUID, str]) -> None:
    """Mark events as applied."""
    if not outcomes:
        return
    given = (
        func.unnest(bindparam("ids", type_=ARRAY(Uuid)), bindparam("outcomes", type_=ARRAY(Text)))
        .table_valued(column("id", Uuid), column("outcome", Text))
        .render_derived(name="given")
    )
    await uow.execute(
        update(WebhookInbox)
        .where(WebhookInbox.organization_id == uow.tenant.organization_id, WebhookInbox.id == given.c.id)
        .values(applied_at=func.now(), outcome=given.c.outcome),
        {"ids": list(outcomes), "outcomes": list(outcomes.values())},
    )
