"""Creating, changing, duplicating and deleting campaigns. Only drafts can be changed."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import Exists, Insert, ScalarSelect, Select, Uuid, exists, func, insert, literal, select
from sqlalchemy import delete as delete_from
from sqlalchemy import update as change
from sqlalchemy.orm import aliased
from sqlalchemy.sql.dml import ReturningUpdate

from core.ids import new_id
from core.pubsub import campaign_topic
from core.unit_of_work import UnitOfWork
from models.campaigns import Campaign, CampaignStats, CampaignStatus, OnDoubt
from models.deliveries import EmailDelivery
from services import audit
from services.campaigns.audience import (
    Audience,
    AudienceInput,
    add_audience,
    check_audience,
    copy_audience,
    read_audiences,
    replace_audience,
)
from services.campaigns.lifecycle import DELETABLE, FINAL, CampaignChanged, InvalidCampaignState
from services.campaigns.listing import CAMPAIGNS, CampaignRow, Content, require_with_content
from services.campaigns.progress import CAMPAIGN_COLUMNS, Figures
from services.messages.content import (
    EMPTY,
    MAX_NAME_LENGTH,
    TextChanges,
    Texts,
    changed_name,
    check_content,
    check_name,
    with_changes,
)
from services.senders import policy
from services.templates import TEMPLATES, texts_of

_EMPTY_AUDIENCE: Final = AudienceInput()
_COPIED_COLUMNS: Final = ("subject", "html_content", "text_content", "template_id", "sender_id", "on_doubt")


class CampaignChanges(TextChanges, total=False):
    """Changes of a campaign. An omitted key leaves the value unchanged; None clears it (a name cannot be cleared)."""

    name: str | None
    audience: AudienceInput | None
    on_doubt: OnDoubt | None
    sender_id: UUID | None


class DeletedCampaign(CampaignRow):
    """A deleted campaign, with the related values that can no longer be read."""

    content: Content
    audience: Audience
    figures: Figures


async def create(uow: UnitOfWork, values: CampaignChanges, *, template_id: UUID | None = None) -> CampaignRow:
    """Create a draft. Omitted texts come from the template if there is one, and are empty otherwise.

    Raises `InvalidInput` or `InputErrors` for invalid values, `NotFound` for an unknown template, list or sender.
    """
    template = await TEMPLATES.require(uow, template_id) if template_id else None
    name = check_name(values.get("name") or "")
    texts = with_changes(texts_of(template) if template else EMPTY, values)
    await check_content(**texts)
    audience = await check_audience(uow, values.get("audience") or _EMPTY_AUDIENCE)
    columns = {
        "id": new_id(),
        "organization_id": uow.tenant.organization_id,
        "author_id": uow.tenant.user_id,
        "name": name,
        "template_id": template_id,
        "sender_id": await _sender_of(uow, values),
        "on_doubt": values.get("on_doubt") or OnDoubt.RECONCILE_THEN_RETRY,
        **texts,
    }
    rows = await uow.rows(_with_counters(insert(Campaign).values(**columns)))
    campaign = CampaignRow._make(rows[0])
    await add_audience(uow, campaign.id, audience)
    await audit.record(uow, "campaign.created", campaign.id, {"name": name})
    return campaign


async def update(
    uow: UnitOfWork, campaign_id: UUID | None, changes: CampaignChanges, *, version: int | None = None
) -> CampaignRow:
    """Change a draft; with `version`, only if that is still its version.

    Raises `NotFound`, `InvalidCampaignState` (no longer a draft), `CampaignChanged`, or what `create` raises.
    """
    if campaign_id is None:
        raise CAMPAIGNS.not_found()
    values, seen = await _checked(uow, campaign_id, changes, version)
    audience = await check_audience(uow, changes["audience"] or _EMPTY_AUDIENCE) if "audience" in changes else None
    rows = await uow.rows(_change_statement(campaign_id, seen, values))
    if not rows:
        raise _cannot_change(await CAMPAIGNS.require(uow, campaign_id))
    campaign = CampaignRow._make(rows[0])
    if audience is not None:
        await replace_audience(uow, campaign.id, audience)
    await audit.record(
        uow, "campaign.updated", campaign.id, {"changed": sorted(changes), "version": campaign.version}
    )
    return campaign


async def duplicate(uow: UnitOfWork, campaign_id: UUID | None) -> CampaignRow:
    """Create a draft "Copy of ..." with the campaign's texts, audience and settings; raises `NotFound`."""
    rows = await uow.rows(_copy_statement(uow, campaign_id)) if campaign_id else ()
    if not rows or campaign_id is None:
        raise CAMPAIGNS.not_found()
    copy = CampaignRow._make(rows[0])
    await copy_audience(uow, campaign_id, copy.id)
    await audit.record(uow, "campaign.duplicated", copy.id, {"from": str(campaign_id)})
    return copy


async def delete(uow: UnitOfWork, campaign_id: UUID | None) -> DeletedCampaign:
    """Delete a campaign without deliveries. One with deliveries stays, because they are the record of what was sent.

    Raises `NotFound`, `InvalidCampaignState` or, after a concurrent change, `CampaignChanged`.
    """
    if campaign_id is None:
        raise CAMPAIGNS.not_found()
    audiences = await read_audiences(uow, [campaign_id])
    rows = await uow.rows(_delete_statement(campaign_id))
    if not rows:
        raise await _cannot_delete(uow, await CAMPAIGNS.require(uow, campaign_id))
    width = len(CAMPAIGNS.columns)
    html_content, text_content = rows[0][-2:]
    campaign = DeletedCampaign._make(rows[0][:width])
    campaign.content = Content(html_content=html_content, text_content=text_content)
    campaign.audience = audiences[campaign.id]
    campaign.figures = Figures._make(rows[0][width:-2])
    await audit.record(uow, "campaign.deleted", campaign.id, {"name": campaign.name, "status": campaign.status})
    uow.publish(campaign_topic(uow.tenant.organization_id, campaign.id))
    return campaign


async def _checked(
    uow: UnitOfWork, campaign_id: UUID, changes: CampaignChanges, version: int | None
) -> tuple[dict[str, Any], int | None]:
    """The validated columns to change, and the version that they are valid for (None: any).

    The three texts are compiled together as one message, so changed texts are valid only with the unchanged ones.
    """
    values: dict[str, Any] = {}
    if changes.keys() & EMPTY.keys():
        campaign, content = await require_with_content(uow, campaign_id)
        if campaign.status != CampaignStatus.DRAFT or version not in {None, campaign.version}:
            raise _cannot_change(campaign)
        before = Texts(subject=campaign.subject, html_content=content.html_content, text_content=content.text_content)
        after = with_changes(before, changes)
        await check_content(**after)
        values = {name: text for name, text in after.items() if name in changes}
        version = campaign.version
    if "name" in changes:
        values["name"] = changed_name(changes["name"])
    if "on_doubt" in changes:
        values["on_doubt"] = changes["on_doubt"] or OnDoubt.RECONCILE_THEN_RETRY
    if "sender_id" in changes:
        values["sender_id"] = await _sender_of(uow, changes)
    return values, version


async def _sender_of(uow: UnitOfWork, changes: CampaignChanges) -> UUID | None:
    """The chosen sender, locked against deletion until the transaction ends; None for the default sender.

    Raises `NotFound`, or `Conflict` if it is being deleted.
    """
    chosen = changes.get("sender_id")
    return None if chosen is None else (await policy.require_and_lock(uow, chosen)).id


def _with_counters(new: Insert) -> Select[*tuple[Any, ...]]:
    """The INSERT of a campaign together with that of its row of counters; returns the campaign."""
    campaign = new.returning(*CAMPAIGNS.columns, Campaign.organization_id).cte("campaign")
    counters = insert(CampaignStats).from_select(
        ["organization_id", "campaign_id"],
        select(campaign.c.organization_id, campaign.c.id),
        include_defaults=False,
    )
    return select(*(campaign.c[column.key] for column in CAMPAIGNS.columns)).add_cte(counters.cte("counters"))


def _copy_statement(uow: UnitOfWork, campaign_id: UUID) -> Select[*tuple[Any, ...]]:
    """INSERT ... SELECT of a copy: the texts may be large, and so do not leave the database."""
    name = func.rtrim(func.left(func.concat("Copy of ", Campaign.name), MAX_NAME_LENGTH))
    copied = select(
        literal(new_id(), Uuid),
        Campaign.organization_id,
        literal(uow.tenant.user_id, Uuid),
        name,
        *(getattr(Campaign, column) for column in _COPIED_COLUMNS),
    ).where(Campaign.id == campaign_id)
    names = ["id", "organization_id", "author_id", "name", *_COPIED_COLUMNS]
    return _with_counters(insert(Campaign).from_select(names, copied, include_defaults=False))


def _change_statement(
    campaign_id: UUID, version: int | None, values: dict[str, Any]
) -> ReturningUpdate[*tuple[Any, ...]]:
    """The UPDATE of a draft, conditional on its version; returns the campaign."""
    statement = (
        change(Campaign)
        .where(Campaign.id == campaign_id, Campaign.status == CampaignStatus.DRAFT)
        .values(**values, version=Campaign.version + 1, updated_at=func.now())
    )
    seen = _version_seen(campaign_id) if version is None else version
    return statement.where(Campaign.version == seen).returning(*CAMPAIGNS.columns)


def _version_seen(campaign_id: UUID) -> ScalarSelect[int]:
    """The version in the statement's snapshot.

    A statement that waits for a concurrent change re-evaluates the row, but not this sub-select, and finds no row.
    """
    seen = aliased(Campaign)
    return select(seen.version).where(seen.id == campaign_id).scalar_subquery()


def _delete_statement(campaign_id: UUID) -> Select[*tuple[Any, ...]]:
    """The conditional DELETE; returns the campaign, its figures (they are deleted with it) and its large texts."""
    deleted = (
        delete_from(Campaign)
        .where(
            Campaign.id == campaign_id,
            Campaign.version == _version_seen(campaign_id),
            Campaign.status.in_(sorted(str(status) for status in DELETABLE)),
            ~_has_deliveries(campaign_id),
        )
        .returning(*CAMPAIGNS.columns, Campaign.html_content, Campaign.text_content, Campaign.organization_id)
        .cte("deleted")
    )
    counters = (CampaignStats.organization_id == deleted.c.organization_id) & (
        CampaignStats.campaign_id == deleted.c.id
    )
    figures = [
        deleted.c[name] if name in CAMPAIGN_COLUMNS else getattr(CampaignStats, name) for name in Figures._fields
    ]
    return select(
        *(deleted.c[column.key] for column in CAMPAIGNS.columns),
        *figures,
        deleted.c.html_content,
        deleted.c.text_content,
    ).join_from(deleted, CampaignStats, counters)


def _cannot_change(campaign: CampaignRow) -> InvalidCampaignState | CampaignChanged:
    """Why a campaign could not be changed."""
    if campaign.status == CampaignStatus.DRAFT:
        return CampaignChanged(campaign.version)
    suggestion = "Duplicate it: `duplicateCampaign` makes a new draft with the same content."
    if campaign.status == CampaignStatus.SCHEDULED:
        suggestion = "Unschedule it first: `unscheduleCampaign` makes it a draft again."
    return InvalidCampaignState(
        f"A campaign that is {campaign.status} cannot be changed.",
        status=CampaignStatus(campaign.status),
        allowed=(CampaignStatus.DRAFT,),
        suggestion=suggestion,
    )


def _has_deliveries(campaign_id: UUID) -> Exists:
    return exists().where(EmailDelivery.campaign_id == campaign_id)


async def _cannot_delete(uow: UnitOfWork, campaign: CampaignRow) -> InvalidCampaignState | CampaignChanged:
    """Why a campaign could not be deleted."""
    has_deliveries = (await uow.rows(select(_has_deliveries(campaign.id))))[0][0]
    if campaign.status in DELETABLE and not has_deliveries:
        return CampaignChanged(campaign.version)
    suggestion = "Cancel it with `cancelCampaign`."
    if campaign.status == CampaignStatus.CANCELLING:
        suggestion = "Repeat the call after it has been cancelled."
    if campaign.status in FINAL:
        suggestion = "Archive it with `archiveCampaign`."
    because = "has deliveries (the record of what was sent)" if has_deliveries else f"is {campaign.status}"
    return InvalidCampaignState(
        f"A campaign that {because} cannot be deleted.",
        status=CampaignStatus(campaign.status),
        allowed=() if has_deliveries else DELETABLE,
        suggestion=suggestion,
    )
