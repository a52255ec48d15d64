from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Integer, Select, Uuid, bindparam, func, select

from core.database.prepared import prepare
from core.database.scopes import Reads
from core.errors import NotFound
from models.campaigns import Campaign, CampaignStatus, OnDoubt

CAMPAIGN_FIELD: Final = ("input", "campaignId")


class CampaignRow(NamedTuple):
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
    sender_id: UUID | None
    from_sender_id: UUID | None
    from_header: str | None
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


COLUMNS: Final = tuple(getattr(Campaign, name) for name in CampaignRow._fields)
STATUS, ON_DOUBT = (CampaignRow._fields.index(name) for name in ("status", "on_doubt"))


def select_campaigns() -> Select[*tuple[Any, ...]]:
    """A select of campaigns that `campaign_row` understands."""
    return select(*COLUMNS)


BY_ID: Final = prepare(select_campaigns().where(Campaign.id == bindparam("wanted", type_=Uuid)))
BY_IDS: Final = prepare(select_campaigns().where(Campaign.id == func.any(bindparam("wanted", type_=ARRAY(Uuid)))))
NEWEST: Final = prepare(
    select_campaigns()
    .order_by(Campaign.created_at.desc(), Campaign.id.desc())
    .limit(bindparam("most", type_=Integer))
)
WITH_CONTENT: Final = prepare(
    select(*COLUMNS, Campaign.html_content, Campaign.text_content).where(
        Campaign.id == bindparam("wanted", type_=Uuid)
    )
)
CONTENTS: Final = prepare(
    select(Campaign.id, Campaign.html_content, Campaign.text_content).where(
        Campaign.id == func.any(bindparam("wanted", type_=ARRAY(Uuid)))
    )
)


def campaign_row(row: Iterable[Any]) -> CampaignRow:
    """A row of `select_campaigns`, with its texts of fixed values as enums."""
    values = list(row)
    values[STATUS], values[ON_DOUBT] = CampaignStatus(values[STATUS]), OnDoubt(values[ON_DOUBT])
    return CampaignRow._make(values)


async def get(reads: Reads, campaign_id: UUID) -> CampaignRow | None:
    """The tenant's campaign with this id, or None."""
    rows = await reads.rows_as(tuple, BY_ID, {"wanted": campaign_id})
    return campaign_row(rows[0]) if rows else None


async def by_ids(reads: Reads, campaign_ids: Sequence[UUID]) -> dict[UUID, CampaignRow]:
    """The tenant's campaigns among these ids, in one statement."""
    rows = await reads.rows(BY_IDS, {"wanted": list(campaign_ids)})
    return {campaign.id: campaign for campaign in map(campaign_row, rows)}


async def require(reads: Reads, campaign_id: UUID | None) -> CampaignRow:
    """The tenant's campaign with this id; raises `NotFound`, also for another tenant's and for no id at all."""
    found = await get(reads, campaign_id) if campaign_id else None
    if found is None:
        raise no_such_campaign()
    return found


async def require_with_content(reads: Reads, campaign_id: UUID | None) -> tuple[CampaignRow, Content]:
    """As `require`, with the campaign's large texts, in one statement."""
    rows = await reads.rows_as(tuple, WITH_CONTENT, {"wanted": campaign_id}) if campaign_id else ()
    if not rows:
        raise no_such_campaign()
    *row, html_content, text_content = rows[0]
    return campaign_row(row), Content(html_content=html_content, text_content=text_content)


def no_such_campaign(field: tuple[str, ...] = CAMPAIGN_FIELD) -> NotFound:
    """The one answer to every id that names no campaign of the tenant."""
    return NotFound("There is no such campaign.", field=field)


async def list_recent(reads: Reads, limit: int) -> list[CampaignRow]:
    """The tenant's newest campaigns, newest first."""
    return [campaign_row(row) for row in await reads.rows_as(tuple, NEWEST, {"most": limit})]


async def read_contents(reads: Reads, campaign_ids: Sequence[UUID]) -> dict[UUID, Content]:
    """The large texts of the campaigns that exist, in one statement."""
    rows = await reads.rows(CONTENTS, {"wanted": list(campaign_ids)})
    return {row[0]: Content(html_content=row[1], text_content=row[2]) for row in rows}
