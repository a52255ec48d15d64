from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Integer, Select, Uuid, bindparam, func, select

from core.database.prepared import ProjectionCache, prepare, project
from core.database.scopes import Reads
from core.errors import NotFound
from models.campaigns import Campaign, CampaignStats, CampaignStatus, OnDoubt
from services.deliveries.progress import FIGURE_COLUMNS, SAME_CAMPAIGN, Figures

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
ALWAYS: Final = frozenset({"id", "status", "on_doubt"})
COUNTED: Final = frozenset({"campaign_id"})  # NULL where nothing is counted
COUNTED_OF: Final = Figures._fields.index("campaign_id")
STATUS, ON_DOUBT = (CampaignRow._fields.index(name) for name in ("status", "on_doubt"))


def select_campaigns() -> Select[*tuple[Any, ...]]:
    """A select of campaigns that `campaign_row` understands."""
    return select(*COLUMNS)


BY_ID: Final = prepare(select_campaigns().where(Campaign.id == bindparam("wanted", type_=Uuid)))
WITH_FIGURES: Final = ProjectionCache()
BY_IDS: Final = prepare(select_campaigns().where(Campaign.id == func.any(bindparam("wanted", type_=ARRAY(Uuid)))))
NEWEST: Final = prepare(
    select_campaigns()
    .order_by(Campaign.created_at.desc(), Campaign.id.desc())
    .limit(bindparam("most", type_=Integer))
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


def with_figures(columns: frozenset[str] | None, figures: frozenset[str] | None) -> Select[*tuple[Any, ...]]:
    """The select of one campaign with what is counted of it; of the columns those named."""
    needed = None if columns is None else columns | ALWAYS
    counted = None if figures is None else figures | COUNTED
    return (
        select(*project(COLUMNS, needed), *project(FIGURE_COLUMNS, counted, "uncounted"))
        .outerjoin_from(Campaign, CampaignStats, SAME_CAMPAIGN)
        .where(Campaign.id == bindparam("wanted", type_=Uuid))
    )


async def get_with_figures(
    reads: Reads,
    campaign_id: UUID,
    columns: frozenset[str] | None = None,
    figures: frozenset[str] | None = None,
) -> tuple[CampaignRow, Figures | None] | None:
    """The tenant's campaign with this id and what is counted of it, if anything is, in one statement; or None.

    With `columns` or `figures` these are read (and id, status and `on_doubt`); others are None, or read as well.
    """
    statement = WITH_FIGURES.get("one", with_figures, columns, figures)
    rows = await reads.rows_as(tuple, statement, {"wanted": campaign_id})
    if not rows:
        return None
    campaign, counted = rows[0][: len(COLUMNS)], rows[0][len(COLUMNS) :]
    return campaign_row(campaign), Figures._make(counted) if counted[COUNTED_OF] is not None else None


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
    return [campaign_row(row) for row in await reads.rows_as(tuple, NEWEST, {"most": limit})]


async def read_contents(reads: Reads, campaign_ids: Sequence[UUID]) -> dict[UUID, Content]:
    """The large texts of the campaigns that exist, in one statement."""
    rows = await reads.rows(CONTENTS, {"wanted": list(campaign_ids)})
    return {row[0]: Content(html_content=row[1], text_content=row[2]) for row in rows}
