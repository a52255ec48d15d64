"""Applying the inbox: many events at a time, each once, in any order, and none in another's way."""

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
from services.contact_events import write_lines
from services.deliveries.updating import apply_updates
from services.suppressions.facts import PERSONAL
from services.suppressions.lifting import lift
from services.suppressions.suppressing import suppress
from services.webhooks.attributing import BACKOFF
from services.webhooks.events import Event, normalised, read_event, reason_of
from services.webhooks.meaning import Delivery, Known, facts_of, lifts_of, lines_of, updates_of
from services.webhooks.work import ApplyEvents

PAGE = 500
MAX_ATTEMPTS = 150
"""Tries before an event is given up: three to six days of them, as the pauses are."""
COLUMNS: Final = (
    *(WebhookInbox.id, WebhookInbox.provider, WebhookInbox.dedupe_key, WebhookInbox.payload),
    WebhookInbox.received_at,
    *(WebhookInbox.email_norm, WebhookInbox.shared),
)
Waiting = Row[*tuple[Any, ...]]
Providers = Mapping[str, MailWebhooks]
"""Who can read the events of each provider."""
log = logger(__name__)


async def apply_pages(work: Work, actor: Actor, providers: Providers, *, within_seconds: float = 20.0) -> int:
    """Apply what is due of an organization, page by page; how many were applied. What the time ends is enqueued."""
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


async def apply_page(work: Work, actor: Actor, providers: Providers) -> int:
    """Apply the next events of an organization together; one by one if that fails, so that only the bad one waits."""
    try:
        async with work.begin(actor) as uow:
            rows = await waiting_events(uow, PAGE)
            await apply(uow, rows, providers)
            return len(rows)
    except Exception as error:  # noqa: BLE001 - what vendors send has no bounds; told apart one by one
        log.warning("events not applied together, trying each", error=type(error).__name__)
    return await apply_each(work, actor, providers)


async def apply_each(work: Work, actor: Actor, providers: Providers) -> int:
    """Apply a page of events in a transaction each; what fails is noted, to be tried again after a pause.

    Raises what the database raises when it cannot even note a failure.
    """
    async with work.begin(actor) as uow:
        ids = [row.id for row in await waiting_events(uow, PAGE)]
    for inbox_id in ids:
        try:
            async with work.begin(actor) as uow:
                await apply(uow, await waiting_events(uow, 1, inbox_id), providers)
        except Exception as error:
            # A statement that takes too long counts as well: one event must not keep the others waiting.
            log.exception("event not applied", inbox_id=str(inbox_id))
            async with work.begin(actor) as uow:
                await note_failure(uow, inbox_id, error)
    return 0


async def waiting_events(uow: UnitOfWork, most: int, inbox_id: UUID | None = None) -> Sequence[Waiting]:
    """Events of the organization that are due and that nobody is applying, the longest due first."""
    statement = (
        select(*COLUMNS)
        .where(
            WebhookInbox.organization_id == uow.tenant.organization_id,
            WebhookInbox.applied_at.is_(None),
            WebhookInbox.due_at <= func.clock_timestamp(),
        )
        .order_by(WebhookInbox.due_at, WebhookInbox.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    return await uow.rows(statement if inbox_id is None else statement.where(WebhookInbox.id == inbox_id))


async def note_failure(uow: UnitOfWork, inbox_id: UUID, error: Exception) -> None:
    """Count a failed attempt; another follows after a pause, and after days of them the event is given up."""
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
        log.error("event given up", attempts=MAX_ATTEMPTS, error=type(error).__name__, **ids)


async def apply(uow: UnitOfWork, rows: Sequence[Waiting], providers: Providers) -> None:
    """Apply events that are locked by this transaction, and note the outcome of each.

    Raises `KeyError` for a provider that nobody can read.
    """
    events, outcomes = read_all(rows, providers)
    deliveries = await deliveries_of(uow, events)
    found: list[Known] = []
    for event in events:
        delivery = deliveries.get(event.inbox_id)
        known = event if delivery is not None else of_address(event)
        outcomes[event.inbox_id] = "no such delivery" if known is None else "applied"
        if known is not None:
            found.append(Known(known, delivery))
    # Those with a message first: what is reported twice is recorded of the message.
    found.sort(key=lambda one: one.delivery is None)
    for campaign_id, updates in sorted(updates_of(found).items()):
        await apply_updates(uow, campaign_id, updates)
    await suppress(uow, facts_of(found))
    await lift(uow, lifts_of(found))
    await write_lines(uow, lines_of(found))
    await note_outcomes(uow, outcomes)


def of_address(event: Event) -> Event | None:
    """An event without a delivery as one of its address, or None for one that tells nothing of it.

    What a person says of a test message, which has no row in the ledger, is said to the sender all the same.
    """
    if event.email_norm is None and reason_of(event.report) in PERSONAL:
        event = event._replace(email_norm=normalised(event.report.recipient))
    return event if event.email_norm is not None else None


def read_all(rows: Iterable[Waiting], providers: Providers) -> tuple[list[Event], dict[UUID, str]]:
    """The events that can be read, and the outcome of those that cannot."""
    events: list[Event] = []
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


async def deliveries_of(uow: UnitOfWork, events: Sequence[Event]) -> dict[UUID, Delivery]:
    """The delivery of each event (by inbox id): by our ids in the metadata, else by the provider's message id."""
    named: dict[UUID, set[UUID]] = defaultdict(set)
    for event in events:
        if event.report.campaign_id is not None and event.report.delivery_id is not None:
            named[event.report.campaign_id].add(event.report.delivery_id)
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
        if (delivery := by_id.get((event.report.campaign_id, event.report.delivery_id))) is not None
    }
    return found | await by_message(uow, [event for event in events if event.inbox_id not in found])


async def by_message(uow: UnitOfWork, events: Sequence[Event]) -> dict[UUID, Delivery]:
    """The deliveries of events without our metadata."""
    message_ids = {event.report.message_id for event in events if event.report.message_id is not None}
    if not message_ids:
        return {}
    statement = ledger_rows().where(
        EmailDelivery.organization_id == uow.tenant.organization_id,
        EmailDelivery.message_id == any_(bindparam("messages", list(message_ids), type_=ARRAY(Text))),
    )
    by_id = {row.message_id: Delivery(*row) for row in await uow.rows(statement)}
    return {event.inbox_id: by_id[event.report.message_id] for event in events if event.report.message_id in by_id}


def ledger_rows() -> Select[UUID, UUID, UUID, str, str | None]:
    """What is needed of a delivery."""
    return select(
        EmailDelivery.id,
        EmailDelivery.campaign_id,
        EmailDelivery.contact_id,
        EmailDelivery.email_norm,
        EmailDelivery.message_id,
    )


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
