"""Drafts: made, changed, copied, thrown away. What has been sent stays as it was sent."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete as delete_from
from sqlalchemy import exists, func, insert
from sqlalchemy import update as change

from core.errors import Conflict, ErrorCode, NudgeError
from core.ids import new_id
from core.pubsub import campaign_topic
from core.unit_of_work import UnitOfWork
from models.campaigns import FINAL, Campaign, CampaignStats, CampaignStatus, OnDoubt
from models.deliveries import EmailDelivery
from services import audit, senders
from services.campaigns.audience import Audience, AudienceInput, check_audience, read_audiences, replace_audience
from services.campaigns.reading import (
    CAMPAIGN_FIELD,
    COLUMNS,
    CampaignRow,
    Content,
    campaign_row,
    demand,
    read_contents,
)
from services.content import (
    EMPTY,
    LONGEST_NAME,
    GivenTexts,
    Texts,
    changed_name,
    check_content,
    check_name,
    with_changes,
)
from services.deliveries.progress import Figures, read_figures
from services.templates import TemplateRow, texts_of

NEVER_SENT: Final = (
    CampaignStatus.DRAFT,
    CampaignStatus.SCHEDULED,
    CampaignStatus.CANCELLED,
    CampaignStatus.FAILED,
)
NOBODY: Final = AudienceInput()


class InvalidState(NudgeError):
    """The campaign is in a state that does not allow this."""

    code = ErrorCode.INVALID_STATE


class Changes(GivenTexts, total=False):
    """What to change of a campaign. A key left out leaves the value; None clears it (a name cannot be cleared)."""

    name: str | None
    audience: AudienceInput | None
    on_doubt: OnDoubt | None
    sender_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """A campaign as it was when it was deleted."""

    campaign: CampaignRow
    content: Content
    audience: Audience
    figures: Figures


async def create(uow: UnitOfWork, values: Changes, *, template: TemplateRow | None = None) -> CampaignRow:
    """A new draft; texts that are left out come from the template, if one is given, and are empty otherwise.

    Raises `InvalidInput` or `Refusals` for what does not fit, and `NotFound` for an unknown list.
    """
    name = check_name(values.get("name") or "")
    texts = with_changes(texts_of(template) if template else EMPTY, values)
    await check_content(**texts)
    audience = await check_audience(uow, values.get("audience") or NOBODY)
    campaign = await _insert(
        uow,
        name=name,
        template_id=template.id if template else None,
        sender_id=await _sender_of(uow, values),
        on_doubt=values.get("on_doubt") or OnDoubt.RECONCILE_THEN_RETRY,
        **texts,
    )
    await replace_audience(uow, campaign.id, audience)
    await audit.record(uow, "campaign.created", campaign.id, {"name": name})
    return campaign


async def update(
    uow: UnitOfWork, campaign_id: UUID | None, changes: Changes, *, version: int | None = None
) -> CampaignRow:
    """Change a draft; with `version`, only if nobody has changed it since that version was read.

    Raises `NotFound`, `InvalidState` (no draft any more), `Conflict` (changed in between), or what `create` raises.
    """
    found = await demand(uow, campaign_id)
    if found.status is not CampaignStatus.DRAFT:
        raise InvalidState(
            f"A campaign that is {found.status} cannot be changed.", field=CAMPAIGN_FIELD, suggestion=_way_out(found)
        )
    if version is not None and version != found.version:
        raise _changed_meanwhile(found.version)
    values = await _checked(uow, found, changes)
    rows = await uow.rows(
        change(Campaign)
        .where(Campaign.id == found.id, Campaign.status == CampaignStatus.DRAFT, Campaign.version == found.version)
        .values(**values, version=Campaign.version + 1, updated_at=func.now())
        .returning(*COLUMNS)
    )
    if not rows:
        raise _changed_meanwhile(None)
    if "audience" in changes:
        await replace_audience(uow, found.id, await check_audience(uow, changes["audience"] or NOBODY))
    await audit.record(uow, "campaign.updated", found.id, {"changed": sorted(changes), "version": found.version + 1})
    return campaign_row(rows[0])


async def duplicate(uow: UnitOfWork, campaign_id: UUID | None) -> CampaignRow:
    """A new draft with the campaign's texts, audience and settings, named "Copy of ..."."""
    found = await demand(uow, campaign_id)
    content = (await read_contents(uow, [found.id]))[found.id]
    copy = await _insert(
        uow,
        name=f"Copy of {found.name}"[:LONGEST_NAME].rstrip(),
        subject=found.subject,
        html_content=content.html_content,
        text_content=content.text_content,
        template_id=found.template_id,
        sender_id=found.sender_id,
        on_doubt=found.on_doubt,
    )
    await replace_audience(uow, copy.id, (await read_audiences(uow, [found.id]))[found.id])
    await audit.record(uow, "campaign.duplicated", copy.id, {"from": str(found.id)})
    return copy


async def delete(uow: UnitOfWork, campaign_id: UUID | None) -> Deleted:
    """Delete a campaign that never reached anybody; deliveries, the record of what was sent, stay with theirs.

    Raises `NotFound`, `InvalidState` or, when it changed at that very moment, `Conflict`.
    """
    found = await demand(uow, campaign_id)
    if found.status not in NEVER_SENT or await _has_deliveries(uow, found.id):
        raise InvalidState(
            f"A campaign that is {found.status} and has recipients cannot be deleted: its deliveries are the record.",
            field=CAMPAIGN_FIELD,
            suggestion=_instead_of_deleting(found),
        )
    contents = await read_contents(uow, [found.id])
    audiences = await read_audiences(uow, [found.id])
    figures = await read_figures(uow, [found.id])
    gone = await uow.execute(
        delete_from(Campaign).where(
            Campaign.id == found.id, Campaign.status.in_(NEVER_SENT), Campaign.version == found.version
        )
    )
    if not gone.rowcount:
        raise _changed_meanwhile(None)
    await audit.record(uow, "campaign.deleted", found.id, {"name": found.name, "status": found.status})
    uow.publish(campaign_topic(uow.tenant.organization_id, found.id))
    return Deleted(
        campaign=found, content=contents[found.id], audience=audiences[found.id], figures=figures[found.id]
    )


async def _checked(uow: UnitOfWork, found: CampaignRow, changes: Changes) -> dict[str, Any]:
    """The columns to change, each checked; texts are compiled together, as one message."""
    values: dict[str, Any] = {}
    if changes.keys() & EMPTY.keys():
        content = (await read_contents(uow, [found.id]))[found.id]
        before = Texts(subject=found.subject, html_content=content.html_content, text_content=content.text_content)
        after = with_changes(before, changes)
        await check_content(**after)
        values = {name: text for name, text in after.items() if name in changes}
    if "name" in changes:
        values["name"] = changed_name(changes["name"])
    if "on_doubt" in changes:
        values["on_doubt"] = changes["on_doubt"] or OnDoubt.RECONCILE_THEN_RETRY
    if "sender_id" in changes:
        values["sender_id"] = await _sender_of(uow, changes)
    return values


async def _sender_of(uow: UnitOfWork, given: Changes) -> UUID | None:
    """The sender that was chosen, None for the default one; nobody deletes it until this is committed.

    Raises `NotFound`, or `Conflict` when it was deleted a moment ago.
    """
    chosen = given.get("sender_id")
    if chosen is None:
        return None
    found = await senders.SENDERS.require(uow, chosen)
    return (await senders.hold(uow, senders.From(header=found.email, sender_id=found.id))).sender_id


async def _insert(uow: UnitOfWork, **values: Any) -> CampaignRow:  # noqa: ANN401 - columns of the table
    """A new draft of the tenant's user, with its row of counters."""
    of_organization = {"organization_id": uow.tenant.organization_id}
    rows = await uow.rows(
        insert(Campaign)
        .values(id=new_id(), author_id=uow.tenant.user_id, **of_organization, **values)
        .returning(*COLUMNS)
    )
    campaign = campaign_row(rows[0])
    await uow.execute(insert(CampaignStats).values(campaign_id=campaign.id, **of_organization))
    return campaign


async def _has_deliveries(uow: UnitOfWork, campaign_id: UUID) -> bool:
    rows = await uow.rows(exists().where(EmailDelivery.campaign_id == campaign_id).select())
    return bool(rows[0][0])


def _changed_meanwhile(current: int | None) -> Conflict:
    at = f" It is at version {current} now." if current else ""
    return Conflict(
        f"Somebody changed this campaign in between.{at}",
        field=CAMPAIGN_FIELD,
        suggestion="Read the campaign again, then repeat your change with its version.",
    )


def _instead_of_deleting(found: CampaignRow) -> str:
    if found.status in FINAL:
        return "It stays as the record; filter `campaigns` by status or name to leave it out."
    return "Stop it for good with `cancelCampaign`."


def _way_out(found: CampaignRow) -> str:
    if found.status is CampaignStatus.SCHEDULED:
        return "Unschedule it first: `unscheduleCampaign` makes it a draft again."
    return "Duplicate it: `duplicateCampaign` makes a new draft with the same content."
