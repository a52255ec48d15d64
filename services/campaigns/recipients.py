"""SQL for the recipients of a campaign: all contacts, lists, tags and single contacts, minus the excluded ones."""

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

from core.database.scopes import Reader
from models.campaigns import CampaignRecipient, RecipientKind
from models.contacts import Contact, ContactStatus, ContactTag
from models.lists import ListMembership
from models.suppressions import Suppression

_CampaignId = UUID | ColumnElement[UUID]


def audience_select(
    organization_id: UUID,
    campaign_id: _CampaignId,
    *,
    after: UUID | ColumnElement[UUID] | None = None,
    limit: int | None = None,
) -> Select[UUID]:
    """The ids (`contact_id`) of the contacts that the campaign's audience rules include, in order.

    Contacts that are excluded by another rule are among them, see `is_excluded`. With `after` and `limit` each rule
    is read only as far as the page needs, so that a page costs the same for any size of audience. Rules of kind
    SEGMENT are not supported yet and include no contact.
    """
    every = [_rule_select(kind, organization_id, campaign_id, after, limit) for kind in _SOURCES]
    single = select(CampaignRecipient.contact_id.label("contact_id")).where(
        *_rules(organization_id, campaign_id, RecipientKind.CONTACT)
    )
    if after is not None:
        single = single.where(CampaignRecipient.contact_id > after)
    matched = union(*every, single).subquery("matched")
    page = select(matched.c.contact_id).order_by(matched.c.contact_id)
    return page if limit is None else page.limit(limit)


# For each kind of rule, the column with the ids of its contacts, and the condition that joins it to the rule.
_SOURCES: dict[RecipientKind, tuple[Any, tuple[ColumnElement[bool], ...]]] = {
    RecipientKind.ALL: (Contact.id, ()),
    RecipientKind.TAG: (ContactTag.contact_id, (ContactTag.tag == CampaignRecipient.tag,)),
    RecipientKind.LIST: (ListMembership.contact_id, (ListMembership.list_id == CampaignRecipient.list_id,)),
}


def _rules(
    organization_id: UUID, campaign_id: _CampaignId, kind: RecipientKind, *, excluded: bool = False
) -> tuple[ColumnElement[bool], ...]:
    """The condition for the campaign's rules of a kind."""
    return (
        CampaignRecipient.organization_id == organization_id,
        CampaignRecipient.campaign_id == campaign_id,
        CampaignRecipient.kind == kind,
        CampaignRecipient.excluded.is_(excluded),
    )


def _rule_select(
    kind: RecipientKind,
    organization_id: UUID,
    campaign_id: _CampaignId,
    after: UUID | ColumnElement[UUID] | None,
    limit: int | None,
) -> Select[UUID]:
    """The contacts of all rules of a kind, by a lateral join, so that each rule has its own limit."""
    contact_id, condition = _SOURCES[kind]
    contacts = select(contact_id.label("contact_id")).where(
        contact_id.class_.organization_id == organization_id, *condition
    )
    if after is not None:
        contacts = contacts.where(contact_id > after)
    if limit is not None:
        contacts = contacts.order_by(contact_id).limit(limit)
    each = contacts.correlate(CampaignRecipient).lateral(f"of_{kind}")
    return (
        select(each.c.contact_id)
        .select_from(CampaignRecipient.__table__.join(each, true()))
        .where(*_rules(organization_id, campaign_id, kind))
    )


def is_excluded(
    organization_id: UUID, campaign_id: _CampaignId, contact_id: ColumnElement[UUID]
) -> ColumnElement[bool]:
    """Whether a rule of the campaign excludes the contact."""

    def rule(kind: RecipientKind) -> Select[UUID]:
        return select(CampaignRecipient.id).where(*_rules(organization_id, campaign_id, kind, excluded=True))

    def has_rule_for(kind: RecipientKind) -> ColumnElement[bool]:
        source, condition = _SOURCES[kind]
        rows = select(source).where(
            source.class_.organization_id == organization_id, source == contact_id, *condition
        )
        return exists(rule(kind).where(exists(rows.correlate_except(source.class_))))

    return or_(
        exists(rule(RecipientKind.CONTACT).where(CampaignRecipient.contact_id == contact_id)),
        has_rule_for(RecipientKind.TAG),
        has_rule_for(RecipientKind.LIST),
        exists(rule(RecipientKind.ALL)),
    )


def _included(organization_id: UUID, campaign_id: _CampaignId, *, mailable: bool = False) -> Select[UUID]:
    """The contacts that the rules include, without the excluded ones; with `mailable` only those who may be mailed.

    Each OFFSET 0 makes the planner look up rows one by one. For an organization that was just filled it has no
    statistics, considers all indexes as good as the unique one, and would choose a nested loop over all pairs.
    """
    matched = audience_select(organization_id, campaign_id).subquery("matched")
    contact = (
        select(Contact.id, Contact.status, Contact.email_norm)
        .where(Contact.organization_id == organization_id, Contact.id == matched.c.contact_id)
        .correlate(matched)
        .offset(literal(0))
        .lateral("contact")
    )
    included = (
        select(contact.c.id)
        .select_from(matched.join(contact, true()))
        .where(~is_excluded(organization_id, campaign_id, contact.c.id))
    )
    if not mailable:
        return included
    suppressed = (
        select(Suppression.email_norm)
        .where(
            Suppression.organization_id == organization_id,
            Suppression.email_norm == contact.c.email_norm,
            Suppression.is_active,
        )
        .offset(literal(0))
    )
    return included.where(contact.c.status == ContactStatus.SUBSCRIBED, ~exists(suppressed))


async def count_audience(reads: Reader, campaign_id: UUID) -> int:
    """How many recipients the campaign would have, including those that it would skip."""
    return (await count_audiences(reads, [campaign_id]))[campaign_id]


async def count_audiences(reads: Reader, campaign_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Like `count_audience`, for several campaigns in one statement; 0 for an unknown one."""
    campaigns = select(func.unnest(literal(campaign_ids, ARRAY(Uuid))).label("campaign_id")).subquery("wanted")
    # As literal SQL: SQLAlchemy would add `wanted` to the FROM clause of each sub-select with its column.
    campaign_id = literal_column("wanted.campaign_id", Uuid)
    included = _included(reads.tenant.organization_id, campaign_id).subquery("included")
    counted = select(func.count()).select_from(included).scalar_subquery()
    rows = await reads.rows(select(campaigns.c.campaign_id, counted).select_from(campaigns))
    return {row[0]: row[1] for row in rows}


async def count_mailable(reads: Reader, campaign_id: UUID) -> int:
    """How many of the recipients may be mailed now."""
    included = _included(reads.tenant.organization_id, campaign_id, mailable=True).subquery("included")
    return (await reads.rows(select(func.count()).select_from(included)))[0][0]


async def has_mailable(reads: Reader, campaign_id: UUID) -> bool:
    """Whether any of the recipients may be mailed now; cheaper than `count_mailable`."""
    included = _included(reads.tenant.organization_id, campaign_id, mailable=True)
    return bool(await reads.rows(included.limit(1)))
