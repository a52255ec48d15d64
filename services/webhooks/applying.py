"""Applying the events of the inbox: in batches, each once, in any order. A failed event does not delay the others."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, Row, Select, Text, Uuid, any_, bindparam, case, column, func, select, update

from core.access.actor import Actor
from core.database import backoff
from core.database.clock import now_plus
from core.telemetry import logger
from core.unit_of_work import UnitOfWork, Work
from integrations.mail_events import MailWebhooks
from models.deliveries import EmailDelivery
from models.webhooks import WebhookInbox
from services.contact_events import write_contact_events
from services.deliveries.updating import apply_updates
from services.suppressions.facts import CONTACT_REASONS
from services.suppressions.lifting import lift
from services.suppressions.suppressing import suppress
from services.webhooks.attributing import BACKOFF
from services.webhooks.effects import EventDelivery, ResolvedEvent, contact_events_of, facts_of, lifts_of, updates_of
from services.webhooks.events import InboxEvent, parse_address, read_event, reason_of
from services.webhooks.work import ApplyEvents

PAGE = 500
MAX_ATTEMPTS = 150
"""Attempts before an event is abandoned: three to six days, with the pauses between them."""
_COLUMNS: Final = (
    *(WebhookInbox.id, WebhookInbox.provider, WebhookInbox.dedupe_key, WebhookInbox.payload),
    WebhookInbox.received_at,
    *(WebhookInbox.email_norm, WebhookInbox.shared),
)
_InboxRow = Row[*tuple[Any, ...]]
_Providers = Mapping[str, MailWebhooks]
"""The webhooks of each provider, by its name in the inbox."""
log = logger(__name__)


async def apply_pages(work: Work, actor: Actor, providers: _Providers, *, within_seconds: float = 20.0) -> int:
    """Apply the due events of an organization, page by page; returns how many.

    When the time is up, a job is enqueued for the rest.
    """
    applied = 0
    until = monotonic() + within_seconds
    while monotonic() < until:
        count = await apply_page(work, actor, providers)
        applied += count
        if count < PAGE:
            return applied
    async with work.begin(actor) as uow:
        uow.enqueue(ApplyEvents(organization_id=actor.organization_id))
    return applied


async def apply_page(work: Work, actor: Actor, providers: _Providers) -> int:
    """Apply the next page of events in one transaction, and return how many.

    If that fails, they are applied one by one and 0 is returned, so that `apply_pages` stops and enqueues no job.
    """
    try:
        async with work.begin(actor) as uow:
            rows = await _lock_due_events(uow, PAGE)
            await apply(uow, rows, providers)
            return len(rows)
    except Exception as error:  # noqa: BLE001 - vendors may send anything; applied one by one then
        log.warning("events not applied together, applying one by one", error=type(error).__name__)
    return await _apply_each(work, actor, providers)


async def _apply_each(work: Work, actor: Actor, providers: _Providers) -> int:
    """Apply a page of events, each in its own transaction; failures are recorded, and retried after a pause.

    Returns 0. Raises the database's error when a failure cannot be recorded.
    """
    async with work.begin(actor) as uow:
        ids = [row.id for row in await _lock_due_events(uow, PAGE)]
    for inbox_id in ids:
        try:
            async with work.begin(actor) as uow:
                await apply(uow, await _lock_due_events(uow, 1, inbox_id), providers)
        except Exception as error:
            # Also after a statement timeout: one event must not delay the others.
            log.exception("event not applied", inbox_id=str(inbox_id))
            async with work.begin(actor) as uow:
                await _record_failure(uow, inbox_id, error)
    return 0


async def _lock_due_events(uow: UnitOfWork, limit: int, inbox_id: UUID | None = None) -> Sequence[_InboxRow]:
    """Lock events of the organization that are due and not locked by another worker, oldest due time first."""
    statement = (
        select(*_COLUMNS)
        .where(
            WebhookInbox.organization_id == uow.tenant.organization_id,
            WebhookInbox.applied_at.is_(None),
            WebhookInbox.due_at <= func.clock_timestamp(),
        )
        .order_by(WebhookInbox.due_at, WebhookInbox.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return await uow.rows(statement if inbox_id is None else statement.where(WebhookInbox.id == inbox_id))


async def _record_failure(uow: UnitOfWork, inbox_id: UUID, error: Exception) -> None:
    """Count a failed attempt. The next one follows after a pause; after `MAX_ATTEMPTS` the event is abandoned."""
    attempts = WebhookInbox.attempts + 1
    rows = await uow.rows(
        update(WebhookInbox)
        .where(
            WebhookInbox.id == inbox_id,
            WebhookInbox.organization_id == uow.tenant.organization_id,
            WebhookInbox.applied_at.is_(None),
        )
        .values(
            attempts=attempts,
            due_at=now_plus(backoff.delay(BACKOFF, attempts)),
            outcome=f"failed: {type(error).__name__}",
            applied_at=case((attempts >= MAX_ATTEMPTS, func.now()), else_=None),
        )
        .returning(WebhookInbox.applied_at)
    )
    if rows and rows[0].applied_at is not None:
        ids = {"inbox_id": str(inbox_id), "organization_id": str(uow.tenant.organization_id)}
        log.error("event abandoned", attempts=MAX_ATTEMPTS, error=type(error).__name__, **ids)


async def apply(uow: UnitOfWork, rows: Sequence[_InboxRow], providers: _Providers) -> None:
    """Apply events that are locked by this transaction, and record the outcome of each.

    Raises `KeyError` for a provider without an adapter.
    """
    events, outcomes = _read_events(rows, providers)
    deliveries = await _deliveries_of(uow, events)
    resolved_events: list[ResolvedEvent] = []
    for event in events:
        delivery = deliveries.get(event.inbox_id)
        resolved = event if delivery is not None else _as_address_event(event)
        outcomes[event.inbox_id] = "no such delivery" if resolved is None else "applied"
        if resolved is not None:
            resolved_events.append(ResolvedEvent(resolved, delivery))
    # Events with a delivery come first: of two events with one dedupe key, the history gets the first.
    resolved_events.sort(key=lambda resolved: resolved.delivery is None)
    for campaign_id, updates in sorted(updates_of(resolved_events).items()):
        await apply_updates(uow, campaign_id, updates)
    await suppress(uow, facts_of(resolved_events))
    await lift(uow, lifts_of(resolved_events))
    await write_contact_events(uow, contact_events_of(resolved_events))
    await _record_outcomes(uow, outcomes)


def _as_address_event(event: InboxEvent) -> InboxEvent | None:
    """An event without a delivery, with the address that it applies to; None if it applies to none.

    Test messages have no delivery: complaints about them and unsubscriptions from them apply to the recipient's
    address.
    """
    if event.email_norm is None and reason_of(event.parsed) in CONTACT_REASONS:
        event = event._replace(email_norm=parse_address(event.parsed.recipient))
    return event if event.email_norm is not None else None


def _read_events(rows: Iterable[_InboxRow], providers: _Providers) -> tuple[list[InboxEvent], dict[UUID, str]]:
    """The events that can be parsed, and the outcome of those that cannot."""
    events: list[InboxEvent] = []
    outcomes: dict[UUID, str] = {}
    for row in rows:
        try:
            events.append(
                read_event(
                    row.id,
                    row.dedupe_key,
                    row.payload,
                    row.received_at,
                    webhooks=providers[row.provider],
                    email_norm=row.email_norm,
                    shared=row.shared,
                )
            )
        except ValueError as error:
            outcomes[row.id] = f"ignored: {error}"
    return events, outcomes


async def _deliveries_of(uow: UnitOfWork, events: Sequence[InboxEvent]) -> dict[UUID, EventDelivery]:
    """The delivery of each event, by inbox id: found by our ids in the metadata, else by its message id."""
    ids_by_campaign: dict[UUID, set[UUID]] = defaultdict(set)
    for event in events:
        if event.parsed.campaign_id is not None and event.parsed.delivery_id is not None:
            ids_by_campaign[event.parsed.campaign_id].add(event.parsed.delivery_id)
    by_id: dict[tuple[UUID | None, UUID | None], EventDelivery] = {}
    for campaign_id, ids in ids_by_campaign.items():
        statement = _select_deliveries().where(
            EmailDelivery.organization_id == uow.tenant.organization_id,
            EmailDelivery.campaign_id == campaign_id,
            EmailDelivery.id == any_(bindparam("ids", list(ids), type_=ARRAY(Uuid))),
        )
        by_id |= {(row.campaign_id, row.id): EventDelivery(*row) for row in await uow.rows(statement)}
    by_event = {
        event.inbox_id: delivery
        for event in events
        if (delivery := by_id.get((event.parsed.campaign_id, event.parsed.delivery_id))) is not None
    }
    return by_event | await _deliveries_by_message(uow, [event for event in events if event.inbox_id not in by_event])


async def _deliveries_by_message(uow: UnitOfWork, events: Sequence[InboxEvent]) -> dict[UUID, EventDelivery]:
    """The deliveries of events without our metadata, by inbox id."""
    message_ids = {event.parsed.message_id for event in events if event.parsed.message_id is not None}
    if not message_ids:
        return {}
    statement = _select_deliveries().where(
        EmailDelivery.organization_id == uow.tenant.organization_id,
        EmailDelivery.message_id == any_(bindparam("messages", list(message_ids), type_=ARRAY(Text))),
    )
    by_id = {row.message_id: EventDelivery(*row) for row in await uow.rows(statement)}
    return {event.inbox_id: by_id[event.parsed.message_id] for event in events if event.parsed.message_id in by_id}


def _select_deliveries() -> Select[UUID, UUID, UUID, str, str | None]:
    """Select the columns of `EventDelivery`."""
    return select(
        EmailDelivery.id,
        EmailDelivery.campaign_id,
        EmailDelivery.contact_id,
        EmailDelivery.email_norm,
        EmailDelivery.message_id,
    )


async def _record_outcomes(uow: UnitOfWork, outcomes: dict[UUID, str]) -> None:
    """Mark events as processed (`applied_at`), each with its outcome, also those that were ignored."""
    if not outcomes:
        return
    new_values = (
        func.unnest(bindparam("ids", type_=ARRAY(Uuid)), bindparam("outcomes", type_=ARRAY(Text)))
        .table_valued(column("id", Uuid), column("outcome", Text))
        .render_derived(name="new_values")
    )
    await uow.execute(
        update(WebhookInbox)
        .where(WebhookInbox.organization_id == uow.tenant.organization_id, WebhookInbox.id == new_values.c.id)
        .values(applied_at=func.now(), outcome=new_values.c.outcome),
        {"ids": list(outcomes), "outcomes": list(outcomes.values())},
    )
