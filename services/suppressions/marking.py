"""Updating contacts and deliveries with the suppressions of their addresses.

Rows are locked in the same order everywhere: deliveries, suppressions, contacts, each kind in the order of its key.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    DateTime,
    Text,
    Uuid,
    any_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    update,
)

from core.database.arrays import array_rows, array_values
from core.pubsub import campaign_topic
from core.unit_of_work import UnitOfWork
from models.contacts import Contact, ContactStatus
from models.deliveries import EmailDelivery
from models.suppressions import SuppressionReason
from services.suppressions.facts import STATUS_OF, SuppressionFact, has_precedence

TIMESTAMP = DateTime(timezone=True)


class LockedContact(NamedTuple):
    """A contact, locked until the end of the transaction."""

    id: UUID
    email_norm: str
    status: ContactStatus
    subscribed_at: datetime | None
    unsubscribed_at: datetime | None


async def mark_deliveries(uow: UnitOfWork, facts: Sequence[SuppressionFact]) -> set[UUID]:
    """Set the earliest time of unsubscribing of deliveries; returns the ids of those that had none before."""
    times: dict[UUID, dict[UUID, datetime]] = defaultdict(dict)
    for fact in facts:
        if fact.reason is SuppressionReason.UNSUBSCRIBED and fact.campaign_id and fact.delivery_id:
            earliest = times[fact.campaign_id].get(fact.delivery_id, fact.at)
            times[fact.campaign_id][fact.delivery_id] = min(earliest, fact.at)
    marked: set[UUID] = set()
    for campaign_id, ats in sorted(times.items()):
        ids = sorted(ats)
        new_values = array_rows(id=Uuid(), at=TIMESTAMP)
        conditions = (
            EmailDelivery.organization_id == uow.tenant.organization_id,
            EmailDelivery.campaign_id == campaign_id,
            EmailDelivery.id >= ids[0],
            EmailDelivery.id <= ids[-1],
        )
        statement: Any = (
            update(EmailDelivery)
            .where(*conditions, EmailDelivery.id == new_values.c.id)
            .values(unsubscribed_at=func.least(EmailDelivery.unsubscribed_at, new_values.c.at))
            .returning(EmailDelivery.id, literal_column("old.unsubscribed_at IS NULL").label("is_new"))
        )
        marked |= {
            row.id
            for row in await uow.rows(statement, array_values(id=ids, at=[ats[one] for one in ids]))
            if row.is_new
        }
        uow.publish(campaign_topic(uow.tenant.organization_id, campaign_id))
    return marked


async def lock_contacts(uow: UnitOfWork, ids: Collection[UUID], norms: Collection[str]) -> list[LockedContact]:
    """Lock the contacts with one of the ids or addresses, in the order of their addresses."""
    rows = await uow.rows(
        select(Contact.id, Contact.email_norm, Contact.status, Contact.subscribed_at, Contact.unsubscribed_at)
        .where(
            Contact.organization_id == uow.tenant.organization_id,
            or_(
                Contact.id == any_(bindparam("ids", list(ids), type_=ARRAY(Uuid))),
                Contact.email_norm == any_(bindparam("norms", list(norms), type_=ARRAY(Text))),
            ),
        )
        .order_by(Contact.email_norm)
        .with_for_update(key_share=True)
    )
    return [LockedContact(row[0], row[1], ContactStatus(row[2]), row[3], row[4]) for row in rows]


def with_facts(contact: LockedContact, facts: Sequence[SuppressionFact]) -> LockedContact:
    """The contact with the status of highest precedence, and the earliest time of unsubscribing."""
    status, unsubscribed_at = contact.status, contact.unsubscribed_at
    for fact in facts:
        if not fact.concerns(contact.id, contact.email_norm):
            continue
        if has_precedence(STATUS_OF[fact.reason], status):
            status = STATUS_OF[fact.reason]
        if fact.reason is SuppressionReason.UNSUBSCRIBED:
            unsubscribed_at = fact.at if unsubscribed_at is None else min(unsubscribed_at, fact.at)
    return contact._replace(status=status, unsubscribed_at=unsubscribed_at)


async def write_contacts(
    uow: UnitOfWork, before: Sequence[LockedContact], after: Mapping[UUID, LockedContact]
) -> set[UUID]:
    """Update the contacts that differ; returns their ids."""
    changed = [after[contact.id] for contact in before if after[contact.id] != contact]
    if not changed:
        return set()
    new_values = array_rows(id=Uuid(), status=Text(), subscribed_at=TIMESTAMP, unsubscribed_at=TIMESTAMP)
    await uow.execute(
        update(Contact)
        .where(Contact.organization_id == uow.tenant.organization_id, Contact.id == new_values.c.id)
        .values(
            status=new_values.c.status,
            subscribed_at=new_values.c.subscribed_at,
            unsubscribed_at=new_values.c.unsubscribed_at,
            updated_at=func.clock_timestamp(),
        ),
        array_values(
            id=[one.id for one in changed],
            status=[str(one.status) for one in changed],
            subscribed_at=[one.subscribed_at for one in changed],
            unsubscribed_at=[one.unsubscribed_at for one in changed],
        ),
    )
    return {one.id for one in changed}
