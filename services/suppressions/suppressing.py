"""Suppressing addresses."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, case, func, literal_column, select
from sqlalchemy.dialects.postgresql import insert

from core.database.arrays import array_rows, array_values
from core.unit_of_work import UnitOfWork
from models.suppressions import Suppression, SuppressionReason, SuppressionSource
from services.contact_events import NewContactEvent, remove_repeats, write_contact_events
from services.suppressions.facts import SuppressionFact
from services.suppressions.marking import (
    TIMESTAMP,
    LockedContact,
    lock_contacts,
    mark_deliveries,
    with_facts,
    write_contacts,
)

Key = tuple[str, SuppressionReason]


class RowState(NamedTuple):
    """Whether a row is active now, and was before. A fact older than the last reactivation leaves it inactive."""

    is_active: bool
    was_active: bool

    @property
    def is_new(self) -> bool:
        """Whether the address was not suppressed for that reason before."""
        return self.is_active and not self.was_active


async def suppress(uow: UnitOfWork, facts: Sequence[SuppressionFact]) -> set[UUID]:
    """Suppress addresses, with their contacts, histories and campaign counters; returns the ids of changed contacts.

    Facts may come late, twice and in any order: a status is only replaced by one of higher precedence, the earliest
    time of unsubscribing stays, and a suppression that was lifted later stays lifted. Of repeated facts only the
    first is written to the history.
    """
    if not facts:
        return set()
    unsubscribed = await mark_deliveries(uow, facts)
    stored = await store(uow, merged(facts))
    contacts = await lock_contacts(
        uow,
        {fact.contact_id for fact in facts if fact.contact_id is not None},
        {fact.email_norm for fact in facts},
    )
    effective = [fact for fact in facts if stored[fact.key].is_active]
    changed = await write_contacts(uow, contacts, {one.id: with_facts(one, effective) for one in contacts})
    await _write_history(uow, facts, stored, contacts, unsubscribed)
    return changed


def merged(facts: Sequence[SuppressionFact]) -> list[SuppressionFact]:
    """One fact per row, in the order of the rows' keys, with the latest time; source OWN wins over PROVIDER."""
    facts_by_key: dict[Key, SuppressionFact] = {}
    for fact in facts:
        earlier = facts_by_key.setdefault(fact.key, fact)
        own = SuppressionSource.OWN in {earlier.source, fact.source}
        source = SuppressionSource.OWN if own else SuppressionSource.PROVIDER
        facts_by_key[fact.key] = replace(earlier, at=max(earlier.at, fact.at), source=source)
    return [facts_by_key[key] for key in sorted(facts_by_key)]


async def store(uow: UnitOfWork, facts: Sequence[SuppressionFact]) -> Mapping[Key, RowState]:
    """Insert or update the suppression rows; returns the state of each now and before."""
    new_rows = array_rows(email_norm=Text(), reason=Text(), source=Text(), at=TIMESTAMP, campaign_id=Uuid())
    values = array_values(
        email_norm=[fact.email_norm for fact in facts],
        reason=[str(fact.reason) for fact in facts],
        source=[str(fact.source) for fact in facts],
        at=[fact.at for fact in facts],
        campaign_id=[fact.campaign_id for fact in facts],
    )
    source = select(
        bindparam("organization", uow.tenant.organization_id, Uuid),
        new_rows.c.email_norm,
        new_rows.c.reason,
        new_rows.c.source,
        new_rows.c.at,
        new_rows.c.campaign_id,
    )
    names = ["organization_id", "email_norm", "reason", "source", "occurred_at", "campaign_id"]
    statement = insert(Suppression).from_select(names, source, include_defaults=False)
    new = statement.excluded
    upsert: Any = statement.on_conflict_do_update(
        index_elements=[Suppression.organization_id, Suppression.email_norm, Suppression.reason],
        set_={
            "occurred_at": func.greatest(Suppression.occurred_at, new.occurred_at),
            "source": case((new.source == SuppressionSource.OWN, new.source), else_=Suppression.source),
            "campaign_id": func.coalesce(Suppression.campaign_id, new.campaign_id),
        },
    ).returning(
        Suppression.email_norm,
        Suppression.reason,
        Suppression.is_active,
        literal_column("coalesce(old.is_active, false)").label("was_active"),
    )
    return {
        (row.email_norm, SuppressionReason(row.reason)): RowState(row.is_active, row.was_active)
        for row in await uow.rows(upsert, values)
    }


async def _write_history(
    uow: UnitOfWork,
    facts: Sequence[SuppressionFact],
    stored: Mapping[Key, RowState],
    contacts: Sequence[LockedContact],
    unsubscribed: Collection[UUID],
) -> None:
    """Write an event for each fact and contact, except for what the history has already."""
    in_full = {fact.key for fact in facts if not fact.entry.only_if_new}
    recorded = set(in_full)
    events: list[NewContactEvent] = []
    for fact in facts:
        is_new = fact.key not in recorded and (stored[fact.key].is_new or fact.delivery_id in unsubscribed)
        if is_new or not fact.entry.only_if_new:
            recorded.add(fact.key)
            ids = {one.id for one in contacts if one.email_norm == fact.email_norm}
            events += [
                _contact_event_of(fact, one)
                for one in sorted(ids | ({fact.contact_id} if fact.contact_id else set()))
            ]
    if any(stored[key].was_active for key in in_full):
        await remove_repeats(uow, events)
    await write_contact_events(uow, events)


def _contact_event_of(fact: SuppressionFact, contact_id: UUID) -> NewContactEvent:
    """The event of a fact in the history of the message's contact, or of another one that has the address now."""
    is_own = fact.contact_id in {None, contact_id}
    return NewContactEvent(
        contact_id=contact_id,
        kind=fact.entry.kind,
        at=fact.at,
        dedupe_key=fact.entry.dedupe_key if is_own else f"{fact.entry.dedupe_key}:{contact_id}",
        campaign_id=fact.campaign_id,
        delivery_id=fact.delivery_id,
        data=fact.entry.data,
        is_repeat=fact.entry.only_if_new,
    )
