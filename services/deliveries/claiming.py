"""Claiming (transaction T1 of docs/sending.md): a batch of pending deliveries is leased to a worker.

The lease has a token, which later statements check, and ends by the database's clock.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Integer,
    Row,
    Select,
    Text,
    Uuid,
    bindparam,
    exists,
    func,
    literal,
    select,
    true,
    update,
)

from core.clock import since_boot
from core.ids import new_id
from core.leases import lease_values
from core.pubsub import campaign_topic
from core.unit_of_work import UnitOfWork
from models.campaigns import Campaign, CampaignStatus
from models.contacts import Contact, ContactTag
from models.deliveries import DeliveryStatus, EmailDelivery
from services.deliveries.batch_sql import of_bound_campaign

START = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A leased batch. `deadline` is in `since_boot` seconds, and not later than the lease's end in the database."""

    organization_id: UUID
    campaign_id: UUID
    token: UUID
    batch_id: UUID
    deadline: float
    rows: list[Row[Any]]


def is_sending() -> Any:  # noqa: ANN401 - a SQL condition on bound ids
    """Whether the bound campaign is being sent, in the snapshot of the statement."""
    return exists(
        select(literal(1)).where(
            Campaign.organization_id == bindparam("organization", type_=Uuid),
            Campaign.id == bindparam("campaign", type_=Uuid),
            Campaign.status == CampaignStatus.SENDING,
        )
    )


@lru_cache
def _claim_statement(*, with_custom_fields: bool, with_tags: bool) -> Select[*tuple[Any, ...]]:
    """Claim a batch, and read the columns of each contact that the campaign's templates use."""
    picked = (
        select(EmailDelivery.id)
        .where(
            *of_bound_campaign(),
            EmailDelivery.is_open,
            EmailDelivery.status == DeliveryStatus.PENDING,
            EmailDelivery.id > bindparam("after", type_=Uuid),
            is_sending(),
        )
        .order_by(EmailDelivery.id)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(skip_locked=True, of=EmailDelivery)
        .cte("picked")
    )
    claimed = (
        update(EmailDelivery)
        .where(
            *of_bound_campaign(),
            EmailDelivery.id == picked.c.id,
            EmailDelivery.id >= select(picked.c.id).order_by(picked.c.id).limit(1).scalar_subquery(),
            EmailDelivery.id <= select(picked.c.id).order_by(picked.c.id.desc()).limit(1).scalar_subquery(),
        )
        .values(
            status=DeliveryStatus.CLAIMED,
            **lease_values(bindparam("token", type_=Uuid), bindparam("lease")),
        )
        .returning(EmailDelivery.id, EmailDelivery.contact_id, EmailDelivery.email)
        .cte("claimed")
    )
    contact = Contact.__table__.c
    columns = [contact.status, contact.first_name, contact.last_name]
    if with_custom_fields:
        columns.append(contact.custom_fields)
    if with_tags:
        of_contact = select(ContactTag.tag).where(
            ContactTag.organization_id == contact.organization_id, ContactTag.contact_id == contact.id
        )
        columns.append(
            func.array(of_contact.order_by(ContactTag.tag).scalar_subquery(), type_=ARRAY(Text)).label("tags")
        )
    # The OFFSET makes PostgreSQL look up each contact by its key; without it, it may scan all of the organization's.
    person = (
        select(*columns)
        .where(contact.organization_id == bindparam("organization", type_=Uuid), contact.id == claimed.c.contact_id)
        .offset(literal(0))
        .correlate(claimed)
        .lateral("person")
    )
    return select(claimed.c.id, claimed.c.contact_id, claimed.c.email, *person.c).select_from(
        claimed.outerjoin(person, true())
    )


async def claim(
    uow: UnitOfWork,
    campaign_id: UUID,
    *,
    limit: int,
    lease_seconds: float,
    after: UUID = START,
    with_custom_fields: bool = False,
    with_tags: bool = False,
) -> Claim:
    """Claim at most `limit` pending deliveries after the id `after`; none when the campaign is not being sent."""
    deadline = since_boot() + lease_seconds
    token = new_id()
    rows = await uow.rows(
        _claim_statement(with_custom_fields=with_custom_fields, with_tags=with_tags),
        {
            "organization": uow.tenant.organization_id,
            "campaign": campaign_id,
            "after": after,
            "limit": limit,
            "token": token,
            "lease": lease_seconds,
        },
    )
    if rows:
        uow.publish(campaign_topic(uow.tenant.organization_id, campaign_id))
    return Claim(
        organization_id=uow.tenant.organization_id,
        campaign_id=campaign_id,
        token=token,
        batch_id=new_id(),
        deadline=deadline,
        rows=list(rows),
    )
