"""Whom a campaign's lines name: everybody, lists, tags and single contacts, less the excluded ones."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Uuid,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    union,
)

from core.database.scopes import Reads
from models.campaigns import CampaignRecipient, RecipientKind
from models.contacts import Contact, ContactStatus, ContactTag
from models.lists import ListMembership
from models.suppressions import Suppression

CampaignId = UUID | ColumnElement[UUID]


def audience_select(
    organization_id: UUID,
    campaign_id: CampaignId,
    *,
    after: UUID | ColumnElement[UUID] | None = None,
    limit: int | None = None,
) -> Select[UUID]:
    """The ids (`contact_id`) of the contacts that the campaign's lines include, in order, excluded ones among them.

    With `after` and `limit` each line is read only as far as the page needs, so that a page costs the same for
    any size of audience. Segments name nobody until they exist.
    """
    every = [line_select(kind, organization_id, campaign_id, after, limit) for kind in SOURCES]
    single = select(CampaignRecipient.contact_id.label("contact_id")).where(
        *lines(organization_id, campaign_id, RecipientKind.CONTACT)
    )
    if after is not None:
        single = single.where(CampaignRecipient.contact_id > after)
    named = union(*every, single).subquery("named")
    page = select(named.c.contact_id).order_by(named.c.contact_id)
    return page if limit is None else page.limit(limit)


# Where the contacts of a kind of line are found: the contact's id, and which rows a line names.
SOURCES: dict[RecipientKind, tuple[Any, tuple[ColumnElement[bool], ...]]] = {
    RecipientKind.ALL: (Contact.id, ()),
    RecipientKind.TAG: (ContactTag.contact_id, (ContactTag.tag == CampaignRecipient.tag,)),
    RecipientKind.LIST: (ListMembership.contact_id, (ListMembership.list_id == CampaignRecipient.list_id,)),
}


def lines(
    organization_id: UUID, campaign_id: CampaignId, kind: RecipientKind, *, excluded: bool = False
) -> tuple[ColumnElement[bool], ...]:
    """The campaign's lines of a kind."""
    return (
        CampaignRecipient.organization_id == organization_id,
        CampaignRecipient.campaign_id == campaign_id,
        CampaignRecipient.kind == kind,
        CampaignRecipient.excluded.is_(excluded),
    )


def line_select(
    kind: RecipientKind,
    organization_id: UUID,
    campaign_id: CampaignId,
    after: UUID | ColumnElement[UUID] | None,
    limit: int | None,
) -> Select[UUID]:
    """The contacts of all lines of a kind, each line read by itself."""
    contact_id, named = SOURCES[kind]
    found = select(contact_id.label("contact_id")).where(contact_id.class_.organization_id == organization_id, *named)
    if after is not None:
        found = found.where(contact_id > after)
    if limit is not None:
        found = found.order_by(contact_id).limit(limit)
    each = found.correlate(CampaignRecipient).lateral(f"of_{kind}")
    return (
        select(each.c.contact_id)
        .select_from(CampaignRecipient.__table__.join(each, true()))
        .where(*lines(organization_id, campaign_id, kind))
    )


def is_excluded(
    organization_id: UUID, campaign_id: CampaignId, contact_id: ColumnElement[UUID]
) -> ColumnElement[bool]:
    """Whether an excluded line of the campaign names the contact."""

    def line(kind: RecipientKind) -> Select[UUID]:
        return select(CampaignRecipient.id).where(*lines(organization_id, campaign_id, kind, excluded=True))

    def named(kind: RecipientKind) -> ColumnElement[bool]:
        source, rule = SOURCES[kind]
        rows = select(source).where(source.class_.organization_id == organization_id, source == contact_id, *rule)
        return exists(line(kind).where(exists(rows.correlate_except(source.class_))))

    return or_(
        exists(line(RecipientKind.CONTACT).where(CampaignRecipient.contact_id == contact_id)),
        named(RecipientKind.TAG),
        named(RecipientKind.LIST),
        exists(line(RecipientKind.ALL)),
    )


def included(organization_id: UUID, campaign_id: CampaignId, *, mailable: bool = False) -> Select[UUID]:
    """The contacts that the lines name, less the excluded ones and, with `mailable`, those who get no mail.

    Each OFFSET 0 makes the planner look rows up one by one. Of an organisation that was filled a moment ago it
    knows no sizes, takes every index for as good as the unique one, and would compare all with all.
    """
    named = audience_select(organization_id, campaign_id).subquery("named")
    contact = (
        select(Contact.id, Contact.status, Contact.email_norm)
        .where(Contact.organization_id == organization_id, Contact.id == named.c.contact_id)
        .correlate(named)
        .offset(literal(0))
        .lateral("contact")
    )
    found = (
        select(contact.c.id)
        .select_from(named.join(contact, true()))
        .where(~is_excluded(organization_id, campaign_id, contact.c.id))
    )
    if not mailable:
        return found
    suppressed = (
        select(Suppression.email_norm)
        .where(
            Suppression.organization_id == organization_id,
            Suppression.email_norm == contact.c.email_norm,
            Suppression.is_active,
        )
        .offset(literal(0))
    )
    return found.where(contact.c.status == ContactStatus.SUBSCRIBED, ~exists(suppressed))


async def count_audience(reads: Reads, campaign_id: UUID) -> int:
    """How many recipients the campaign would have, those included whom it would skip."""
    return (await count_audiences(reads, [campaign_id]))[campaign_id]


async def count_audiences(reads: Reads, campaign_ids: Sequence[UUID]) -> dict[UUID, int]:
    """As `count_audience`, for several campaigns in one statement; 0 for one that is gone."""
    wanted = select(func.unnest(literal(campaign_ids, ARRAY(Uuid))).label("campaign_id")).subquery("wanted")
    # By its text, as SQLAlchemy would add `wanted` to every FROM that names its column.
    campaign_id = literal_column("wanted.campaign_id", Uuid)
    found = included(reads.tenant.organization_id, campaign_id).subquery("found")
    counted = select(func.count()).select_from(found).scalar_subquery()
    rows = await reads.rows(select(wanted.c.campaign_id, counted).select_from(wanted))
    return {row[0]: row[1] for row in rows}


async def count_mailable(reads: Reads, campaign_id: UUID) -> int:
    """How many of the recipients may be mailed at this moment."""
    found = included(reads.tenant.organization_id, campaign_id, mailable=True).subquery("found")
    return (await reads.rows(select(func.count()).select_from(found)))[0][0]


async def has_mailable(reads: Reads, campaign_id: UUID) -> bool:
    """Whether any of the recipients may be mailed at this moment; does not count them."""
    found = included(reads.tenant.organization_id, campaign_id, mailable=True)
    return bool(await reads.rows(found.limit(1)))
