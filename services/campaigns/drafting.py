"""Drafts: created, changed, copied and deleted. What has been sent stays as it was sent."""

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
from services.campaigns.progress import OF_CAMPAIGN, Figures
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

NOBODY: Final = AudienceInput()
COPIED: Final = ("subject", "html_content", "text_content", "template_id", "sender_id", "on_doubt")


class Changes(TextChanges, total=False):
    """What to change of a campaign. A key left out leaves the value; None clears it (a name cannot be cleared)."""

    name: str | None
    audience: AudienceInput | None
    on_doubt: OnDoubt | None
    sender_id: UUID | None


class DeletedCampaign(CampaignRow):
    """A campaign as it was when it was deleted, with all that can no longer be read of it."""

    content: Content
    audience: Audience
    figures: Figures


async def create(uow: UnitOfWork, values: Changes, *, template_id: UUID | None = None) -> CampaignRow:
    """A new draft; texts that are left out come from the template, if one is given, and are empty otherwise.

    Raises `InvalidInput` or `InputErrors` for invalid values, `NotFound` for an unknown template, list or sender.
    """
    template = await TEMPLATES.require(uow, template_id) if template_id else None
    name = check_name(values.get("name") or "")
    texts = with_changes(texts_of(template) if template else EMPTY, values)
    await check_content(**texts)
    audience = await check_audience(uow, values.get("audience") or NOBODY)
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
    uow: UnitOfWork, campaign_id: UUID | None, changes: Changes, *, version: int | None = None
) -> CampaignRow:
    """Change a draft; with `version`, only if nobody has changed it since that version was read.

    Raises `NotFound`, `InvalidCampaignState` (no draft any more), `CampaignChanged`, or what `create` raises.
    """
    if campaign_id is None:
        raise CAMPAIGNS.not_found()
    values, seen = await _checked(uow, campaign_id, changes, version)
    audience = await check_audience(uow, changes["audience"] or NOBODY) if "audience" in changes else None
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
    """A new draft with the campaign's texts, audience and settings, named "Copy of ..."; raises `NotFound`."""
    rows = await uow.rows(_copy_statement(uow, campaign_id)) if campaign_id else ()
    if not rows or campaign_id is None:
        raise CAMPAIGNS.not_found()
    copy = CampaignRow._make(rows[0])
    await copy_audience(uow, campaign_id, copy.id)
    await audit.record(uow, "campaign.duplicated", copy.id, {"from": str(campaign_id)})
    return copy


async def delete(uow: UnitOfWork, campaign_id: UUID | None) -> DeletedCampaign:
    """Delete a campaign that never reached anybody; deliveries, the record of what was sent, stay with theirs.

    Raises `NotFound`, `InvalidCampaignState` or, when somebody was changing it, `CampaignChanged`.
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
    uow: UnitOfWork, campaign_id: UUID, changes: Changes, version: int | None
) -> tuple[dict[str, Any], int | None]:
    """The columns to change, each checked, and the version that they are right for, None for any.

    Texts are compiled together, as one message, and so hold only with those that are not changed.
    """
    values: dict[str, Any] = {}
    if changes.keys() & EMPTY.keys():
        found, content = await require_with_content(uow, campaign_id)
        if found.status != CampaignStatus.DRAFT or version not in {None, found.version}:
            raise _cannot_change(found)
        before = Texts(subject=found.subject, html_content=content.html_content, text_content=content.text_content)
        after = with_changes(before, changes)
        await check_content(**after)
        values = {name: text for name, text in after.items() if name in changes}
        version = found.version
    if "name" in changes:
        values["name"] = changed_name(changes["name"])
    if "on_doubt" in changes:
        values["on_doubt"] = changes["on_doubt"] or OnDoubt.RECONCILE_THEN_RETRY
    if "sender_id" in changes:
        values["sender_id"] = await _sender_of(uow, changes)
    return values, version


async def _sender_of(uow: UnitOfWork, given: Changes) -> UUID | None:
    """The sender that was chosen, None for the default one; nobody deletes it until this is committed.

    Raises `NotFound`, or `Conflict` when it was deleted a moment ago.
    """
    chosen = given.get("sender_id")
    return None if chosen is None else (await policy.require_and_hold(uow, chosen)).id


def _with_counters(new: Insert) -> Select[*tuple[Any, ...]]:
    """The INSERT of a campaign together with that of its row of counters; gives back the campaign."""
    campaign = new.returning(*CAMPAIGNS.columns, Campaign.organization_id).cte("campaign")
    counters = insert(CampaignStats).from_select(
        ["organization_id", "campaign_id"],
        select(campaign.c.organization_id, campaign.c.id),
        include_defaults=False,
    )
    return select(*(campaign.c[column.key] for column in CAMPAIGNS.columns)).add_cte(counters.cte("counters"))


def _copy_statement(uow: UnitOfWork, campaign_id: UUID) -> Select[*tuple[Any, ...]]:
    """The INSERT of a copy that the database makes itself, as the texts may be large."""
    name = func.rtrim(func.left(func.concat("Copy of ", Campaign.name), MAX_NAME_LENGTH))
    copied = select(
        literal(new_id(), Uuid),
        Campaign.organization_id,
        literal(uow.tenant.user_id, Uuid),
        name,
        *(getattr(Campaign, column) for column in COPIED),
    ).where(Campaign.id == campaign_id)
    names = ["id", "organization_id", "author_id", "name", *COPIED]
    return _with_counters(insert(Campaign).from_select(names, copied, include_defaults=False))


def _change_statement(
    campaign_id: UUID, version: int | None, values: dict[str, Any]
) -> ReturningUpdate[*tuple[Any, ...]]:
    """The guarded UPDATE of a draft; gives back the campaign."""
    statement = (
        change(Campaign)
        .where(Campaign.id == campaign_id, Campaign.status == CampaignStatus.DRAFT)
        .values(**values, version=Campaign.version + 1, updated_at=func.now())
    )
    seen = _version_seen(campaign_id) if version is None else version
    return statement.where(Campaign.version == seen).returning(*CAMPAIGNS.columns)


def _version_seen(campaign_id: UUID) -> ScalarSelect[int]:
    """The version as the statement sees it when it begins.

    A statement that waits for another's change looks at the row again, but not at this: it then finds no row.
    """
    seen = aliased(Campaign)
    return select(seen.version).where(seen.id == campaign_id).scalar_subquery()


def _delete_statement(campaign_id: UUID) -> Select[*tuple[Any, ...]]:
    """The guarded DELETE; gives back the campaign, its figures (the counters go with it) and its two large texts."""
    gone = (
        delete_from(Campaign)
        .where(
            Campaign.id == campaign_id,
            Campaign.version == _version_seen(campaign_id),
            Campaign.status.in_(sorted(str(status) for status in DELETABLE)),
            ~_has_deliveries(campaign_id),
        )
        .returning(*CAMPAIGNS.columns, Campaign.html_content, Campaign.text_content, Campaign.organization_id)
        .cte("gone")
    )
    counters = (CampaignStats.organization_id == gone.c.organization_id) & (CampaignStats.campaign_id == gone.c.id)
    figures = [gone.c[name] if name in OF_CAMPAIGN else getattr(CampaignStats, name) for name in Figures._fields]
    return select(
        *(gone.c[column.key] for column in CAMPAIGNS.columns), *figures, gone.c.html_content, gone.c.text_content
    ).join_from(gone, CampaignStats, counters)


def _cannot_change(found: CampaignRow) -> InvalidCampaignState | CampaignChanged:
    """Why a campaign could not be changed."""
    if found.status == CampaignStatus.DRAFT:
        return CampaignChanged(found.version)
    suggestion = "Duplicate it: `duplicateCampaign` makes a new draft with the same content."
    if found.status == CampaignStatus.SCHEDULED:
        suggestion = "Unschedule it first: `unscheduleCampaign` makes it a draft again."
    return InvalidCampaignState(
        f"A campaign that is {found.status} cannot be changed.",
        status=CampaignStatus(found.status),
        suggestion=suggestion,
    )


def _has_deliveries(campaign_id: UUID) -> Exists:
    return exists().where(EmailDelivery.campaign_id == campaign_id)


async def _cannot_delete(uow: UnitOfWork, found: CampaignRow) -> InvalidCampaignState | CampaignChanged:
    """Why a campaign could not be deleted."""
    if found.status in DELETABLE and not (await uow.rows(select(_has_deliveries(found.id))))[0][0]:
        return CampaignChanged(found.version)
    suggestion = "Stop it for good with `cancelCampaign`."
    if found.status in FINAL:
        suggestion = "It stays as the record; `archiveCampaign` sets it aside."
    return InvalidCampaignState(
        f"A campaign that is {found.status} and has recipients cannot be deleted: its deliveries are the record.",
        status=CampaignStatus(found.status),
        suggestion=suggestion,
    )
