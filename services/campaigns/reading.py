from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, Row, Select, Uuid, bindparam, func, select

from core.db import Reads, kept
from core.errors import NotFound
from models.campaigns import Campaign, CampaignStatus, OnDoubt

CAMPAIGN_FIELD: Final = ("input", "campaignId")


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignRow:
    """A campaign without its contents, which are large and read on demand."""

    id: UUID
    name: str
    subject: str
    status: CampaignStatus
    status_reason: str | None
    on_doubt: OnDoubt
    version: int
    author_id: UUID | None
    template_id: UUID | None
    settings: dict[str, Any]
    scheduled_at: datetime | None
    started_at: datetime | None
    sent_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A campaign's large texts: Liquid templates, as they were saved."""

    html_content: str
    text_content: str


COLUMNS: Final = [getattr(Campaign, column.name) for column in fields(CampaignRow)]


def select_campaigns() -> Select[*tuple[Any, ...]]:
    """A select of campaigns that `campaign_row` understands."""
    return select(*COLUMNS)


BY_ID: Final = kept(select_campaigns().where(Campaign.id == bindparam("wanted", type_=Uuid)))
BY_IDS: Final = kept(select_campaigns().where(Campaign.id == func.any(bindparam("wanted", type_=ARRAY(Uuid)))))


def campaign_row(row: Row[*tuple[Any, ...]]) -> CampaignRow:
    """A row of `select_campaigns`, with its texts of fixed values as enums."""
    values = {**row._mapping, "status": CampaignStatus(row.status), "on_doubt": OnDoubt(row.on_doubt)}  # noqa: SLF001 - SQLAlchemy's public name
    return CampaignRow(**values)


async def get(reads: Reads, campaign_id: UUID) -> CampaignRow | None:
    """The tenant's campaign with this id, or None."""
    rows = await reads.rows(BY_ID, {"wanted": campaign_id})
    return campaign_row(rows[0]) if rows else None


async def by_ids(reads: Reads, campaign_ids: Sequence[UUID]) -> dict[UUID, CampaignRow]:
    """The tenant's campaigns among these ids, in one statement."""
    rows = await reads.rows(BY_IDS, {"wanted": list(campaign_ids)})
    return {campaign.id: campaign for campaign in map(campaign_row, rows)}


async def demand(reads: Reads, campaign_id: UUID | None) -> CampaignRow:
    """The tenant's campaign with this id; raises `NotFound`, also for another tenant's and for no id at all."""
    found = await get(reads, campaign_id) if campaign_id else None
    if found is None:
        raise no_such_campaign()
    return found


def no_such_campaign(field: tuple[str, ...] = CAMPAIGN_FIELD) -> NotFound:
    """The one answer to every id that names no campaign of the tenant."""
    return NotFound("There is no such campaign.", field=field)


async def list_recent(reads: Reads, limit: int) -> list[CampaignRow]:
    """The tenant's newest campaigns, newest first."""
    newest = select_campaigns().order_by(Campaign.created_at.desc(), Campaign.id.desc()).limit(limit)
    return [campaign_row(row) for row in await reads.rows(newest)]


async def read_contents(reads: Reads, campaign_ids: Sequence[UUID]) -> dict[UUID, Content]:
    """The large texts of the campaigns that exist, in one statement."""
    rows = await reads.rows(
        select(Campaign.id, Campaign.html_content, Campaign.text_content).where(Campaign.id.in_(campaign_ids))
    )
    return {row[0]: Content(html_content=row[1], text_content=row[2]) for row in rows}
