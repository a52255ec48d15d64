"""Pages of campaigns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, false, func, or_, select, true

from core import texts
from core.database.prepared import prepare
from core.database.scopes import Reads
from core.listing import pages
from core.listing.pages import Order, Page, PageRequest
from models.campaigns import Campaign, CampaignStatus
from models.folding import folded, holds
from services.campaigns.reading import CampaignRow, campaign_row, select_campaigns
from services.content import LONGEST_NAME

CREATED_AT: Final = Order(
    name="campaigns.created",
    key=Campaign.created_at,
    id=Campaign.id,
    keys=pages.MOMENTS,
)
UPDATED_AT: Final = Order(
    name="campaigns.updated",
    key=Campaign.updated_at,
    id=Campaign.id,
    keys=pages.MOMENTS,
)
NAME: Final = Order(
    name="campaigns.name",
    key=Campaign.name,
    id=Campaign.id,
    keys=pages.TEXTS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignFilter:
    """Every part that is given must hold. `every` and `some` nest."""

    statuses: Sequence[CampaignStatus] | None = None
    created_from: datetime | None = None
    created_after: datetime | None = None
    created_to: datetime | None = None
    created_before: datetime | None = None
    name_contains: str | None = None
    every: Sequence["CampaignFilter"] = ()
    some: Sequence["CampaignFilter"] | None = None


EVERYTHING: Final = CampaignFilter()
EVERY_CAMPAIGN: Final = pages.WholeList(select_campaigns())
HOW_MANY: Final = prepare(select(func.count().label("how_many")).select_from(Campaign))


async def page(
    reads: Reads, request: PageRequest, order: Order[Any], wanted: CampaignFilter = EVERYTHING
) -> Page[CampaignRow]:
    """A page of the tenant's campaigns that match, raises `InvalidInput` for a bad cursor or text."""
    if wanted is EVERYTHING:
        statement = EVERY_CAMPAIGN.paged(order, request)
    else:
        statement = pages.paged(select_campaigns().where(condition(wanted)), order, request)
    rows = await reads.rows_as(tuple, statement, pages.positions(order, request))
    return pages.page_of([campaign_row(row) for row in rows], order, request)


async def count(reads: Reads, wanted: CampaignFilter = EVERYTHING) -> int:
    """How many of the tenant's campaigns match."""
    statement = HOW_MANY if wanted is EVERYTHING else HOW_MANY.where(condition(wanted))
    return int((await reads.rows(statement))[0][0])


def condition(wanted: CampaignFilter) -> ColumnElement[bool]:
    """The filter as SQL."""
    bounds = (
        (wanted.created_from, Campaign.created_at.__ge__),
        (wanted.created_after, Campaign.created_at.__gt__),
        (wanted.created_to, Campaign.created_at.__le__),
        (wanted.created_before, Campaign.created_at.__lt__),
    )
    parts: list[ColumnElement[bool]] = [compare(moment) for moment, compare in bounds if moment is not None]
    if wanted.statuses is not None:
        parts.append(Campaign.status.in_([str(status) for status in wanted.statuses]))
    if wanted.name_contains is not None:
        words = texts.line(wanted.name_contains, field=("filter", "name", "contains"), most=LONGEST_NAME)
        parts.append(holds(folded(Campaign.name), words))
    parts += [condition(inner) for inner in wanted.every]
    if wanted.some is not None:
        parts.append(or_(false(), *(condition(inner) for inner in wanted.some)))
    return and_(true(), *parts)
