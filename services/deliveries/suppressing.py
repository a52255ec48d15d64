"""Addresses that must not be mailed again, and what becomes of their contacts."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, bindparam, case, column, func, select, true, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from core.unit_of_work import UnitOfWork
from models.contacts import Contact, ContactStatus, Suppression, SuppressionReason

STATUS_AFTER = {
    SuppressionReason.HARD_BOUNCE: ContactStatus.BOUNCED,
    SuppressionReason.COMPLAINT: ContactStatus.COMPLAINED,
    SuppressionReason.UNSUBSCRIBED: ContactStatus.UNSUBSCRIBED,
    SuppressionReason.PROVIDER: ContactStatus.BOUNCED,
}
# A complaint outlives whatever else is said of an address; nothing turns it into something milder.
MAY_BECOME = {
    ContactStatus.COMPLAINED: tuple(ContactStatus),
    ContactStatus.UNSUBSCRIBED: (ContactStatus.SUBSCRIBED, ContactStatus.PENDING, ContactStatus.BOUNCED),
    ContactStatus.BOUNCED: (ContactStatus.SUBSCRIBED, ContactStatus.PENDING),
}


class ToSuppress(NamedTuple):
    """An address to suppress, and the contact it belongs to."""

    email_norm: str
    contact_id: UUID
    reason: SuppressionReason


async def suppress(uow: UnitOfWork, found: Sequence[ToSuppress], *, campaign_id: UUID | None) -> None:
    """Suppress addresses (those suppressed already keep their reason) and set their contacts' status."""
    if not found:
        return
    given = (
        func.unnest(bindparam("norms", type_=ARRAY(Text)), bindparam("reasons", type_=ARRAY(Text)))
        .table_valued(column("email_norm", Text), column("reason", Text))
        .render_derived(name="given")
    )
    organization_id = uow.tenant.organization_id
    await uow.execute(
        insert(Suppression)
        .from_select(
            ["organization_id", "campaign_id", "email_norm", "reason"],
            select(
                bindparam("organization", organization_id, Uuid),
                bindparam("campaign", campaign_id, Uuid),
                given.c.email_norm,
                given.c.reason,
            ),
        )
        .on_conflict_do_nothing(),
        {"norms": [one.email_norm for one in found], "reasons": [str(one.reason) for one in found]},
    )
    for reason in {one.reason for one in found}:
        await set_status(uow, [one for one in found if one.reason is reason], STATUS_AFTER[reason])


async def set_status(uow: UnitOfWork, found: Sequence[ToSuppress], status: ContactStatus) -> None:
    """Set contacts' status, unless what is known of them weighs more.

    A bounce tells of an address: a contact who has another by now can be reached. The rest is a person's own word.
    """
    left = status is ContactStatus.UNSUBSCRIBED
    same_address = tuple_(Contact.id, Contact.email_norm).in_([(one.contact_id, one.email_norm) for one in found])
    await uow.execute(
        update(Contact)
        .where(
            Contact.organization_id == uow.tenant.organization_id,
            Contact.id.in_([one.contact_id for one in found]),
            same_address if status is ContactStatus.BOUNCED else true(),
            Contact.status.in_([str(before) for before in MAY_BECOME[status] if before is not status]),
        )
        .values(
            status=status,
            unsubscribed_at=case((Contact.unsubscribed_at.is_(None), func.now()), else_=Contact.unsubscribed_at)
            if left
            else Contact.unsubscribed_at,
            updated_at=func.now(),
        )
    )
