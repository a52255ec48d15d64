"""Lifting suppressions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, func, literal, literal_column, null, select
from sqlalchemy.dialects.postgresql import insert

from core.database.arrays import array_rows, array_values
from core.unit_of_work import UnitOfWork
from models.contacts import ContactStatus
from models.suppressions import Suppression, SuppressionReason, SuppressionSource
from services.contact_events import NewContactEvent, write_contact_events
from services.suppressions.facts import STATUS_OF, Reactivation, main_reason
from services.suppressions.marking import TIMESTAMP, LockedContact, lock_contacts, write_contacts
from services.suppressions.reading import active_reasons

_OF_ADDRESS: Final = (SuppressionReason.HARD_BOUNCE, SuppressionReason.PROVIDER)
Key = tuple[str, SuppressionReason]


class LiftedReasons(NamedTuple):
    """The reasons of an address that reactivations ended, and the latest time of them."""

    reasons: frozenset[SuppressionReason]
    at: datetime


async def lift(uow: UnitOfWork, facts: Sequence[Reactivation]) -> set[UUID]:
    """Lift suppressions that the provider set earlier; returns the ids of the contacts whose row changed.

    It lifts hard bounces, the provider's suppressions and, if the recipient asked for it, unsubscribing at the
    provider. Complaints, newer suppressions, and those that were reported to us directly stay. A contact gets its
    former status: PENDING if it never subscribed. Every reactivation is written to the history, except for repeats.
    """
    if not facts:
        return set()
    lifted = await store(uow, latest(facts))
    norms = sorted({fact.email_norm for fact in facts})
    contacts = await lock_contacts(uow, (), norms)
    reasons = await active_reasons(uow, norms)
    after = {one.id: _with_lift(one, lifted.get(one.email_norm), reasons[one.email_norm]) for one in contacts}
    changed = await write_contacts(uow, contacts, after)
    in_full = {fact.email_norm for fact in facts if not fact.entry.only_if_new}
    recorded = [
        fact
        for fact in facts
        if not fact.entry.only_if_new or (fact.email_norm not in in_full and fact.email_norm in lifted)
    ]
    await write_contact_events(
        uow,
        [_contact_event_of(fact, one) for fact in recorded for one in contacts if one.email_norm == fact.email_norm],
    )
    return changed


def latest(facts: Sequence[Reactivation]) -> dict[Key, datetime]:
    """The latest reactivation for each row, in the order of the rows' keys, in which they are locked."""
    times: dict[Key, datetime] = {}
    for fact in facts:
        of_person = (SuppressionReason.UNSUBSCRIBED,) if fact.by_recipient else ()
        for reason in (*_OF_ADDRESS, *of_person):
            key = (fact.email_norm, reason)
            times[key] = max(times.get(key, fact.at), fact.at)
    return {key: times[key] for key in sorted(times)}


async def store(uow: UnitOfWork, lifts: Mapping[Key, datetime]) -> dict[str, LiftedReasons]:
    """Write the times of reactivation to the rows, or to new ones, for suppressions that are reported later.

    Returns the rows that were active before and are not now, by address.
    """
    new_rows = array_rows(email_norm=Text(), reason=Text(), at=TIMESTAMP)
    values = array_values(
        email_norm=[norm for norm, _ in lifts],
        reason=[str(reason) for _, reason in lifts],
        at=list(lifts.values()),
    )
    source = select(
        bindparam("organization", uow.tenant.organization_id, Uuid),
        new_rows.c.email_norm,
        new_rows.c.reason,
        literal(str(SuppressionSource.PROVIDER), Text),
        null(),
        new_rows.c.at,
    )
    names = ["organization_id", "email_norm", "reason", "source", "occurred_at", "lifted_at"]
    statement = insert(Suppression).from_select(names, source, include_defaults=False)
    upsert: Any = statement.on_conflict_do_update(
        index_elements=[Suppression.organization_id, Suppression.email_norm, Suppression.reason],
        set_={"lifted_at": func.greatest(Suppression.lifted_at, statement.excluded.lifted_at)},
    ).returning(
        Suppression.email_norm,
        Suppression.reason,
        literal_column("coalesce(old.is_active AND NOT new.is_active, false)").label("ended"),
    )
    ended: dict[str, set[SuppressionReason]] = {}
    for row in await uow.rows(upsert, values):
        if row.ended:
            ended.setdefault(row.email_norm, set()).add(SuppressionReason(row.reason))
    return {
        norm: LiftedReasons(frozenset(reasons), max(lifts[norm, one] for one in reasons))
        for norm, reasons in ended.items()
    }


def _with_lift(
    contact: LockedContact, lifted: LiftedReasons | None, reasons: Mapping[SuppressionReason, datetime]
) -> LockedContact:
    """The contact with its status after the lift."""
    if lifted is None:
        return contact
    resubscribes = contact.status is ContactStatus.UNSUBSCRIBED and SuppressionReason.UNSUBSCRIBED in lifted.reasons
    if contact.status is not ContactStatus.BOUNCED and not resubscribes:
        return contact
    if (reason := main_reason(reasons)) is not None:
        status = STATUS_OF[reason]
    else:
        status = ContactStatus.SUBSCRIBED if resubscribes or contact.subscribed_at else ContactStatus.PENDING
    if not resubscribes:
        return contact._replace(status=status)
    return contact._replace(status=status, subscribed_at=lifted.at, unsubscribed_at=None)


def _contact_event_of(fact: Reactivation, contact: LockedContact) -> NewContactEvent:
    """The event of a reactivation in a contact's history."""
    return NewContactEvent(
        contact_id=contact.id,
        kind=fact.entry.kind,
        at=fact.at,
        dedupe_key=f"{fact.entry.dedupe_key}:{contact.id}",
        campaign_id=fact.campaign_id,
        delivery_id=fact.delivery_id,
        data=fact.entry.data,
    )
