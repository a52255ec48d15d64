"""Pages of campaigns."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ColumnElement

from core.database.scopes import Reads
from core.listing import fields
from core.listing.conditions import EVERYTHING, Condition
from core.listing.listing import Listing
from core.listing.orders import Order
from core.listing.pages import Page, PageRequest
from models.campaigns import Campaign, CampaignStatus
from models.folding import folded, holds
from services.campaigns.reading import CAMPAIGN_FIELD, CampaignRow, campaign_row
from services.content import LONGEST_NAME


def _holds_folded(name: fields.ColumnOf, part: str) -> ColumnElement[bool]:
    return holds(folded(name), part)


FIELDS: Final[fields.Fields] = {
    "status": fields.OneOf(Campaign.status, CampaignStatus),
    "createdAt": fields.Time(Campaign.created_at),
    "name": fields.Text(column=Campaign.name, max_length=LONGEST_NAME, contains=_holds_folded),
}
ORDERS: Final[Mapping[str, Order[Any]]] = {
    "created_at": Order(Campaign.created_at),
    "updated_at": Order(Campaign.updated_at),
    "name": Order(Campaign.name),
}
CAMPAIGNS: Final = Listing(
    CampaignRow,
    Campaign,
    FIELDS,
    noun="campaign",
    id_field=CAMPAIGN_FIELD,
    order=Order(Campaign.created_at, descending=True),
    orders=ORDERS,
)


async def page(
    reads: Reads, request: PageRequest, order: Order[Any], condition: Condition = EVERYTHING
) -> Page[CampaignRow]:
    """A page of the tenant's campaigns that fulfil the condition; raises `CursorInvalid`."""
    found = await CAMPAIGNS.page(reads, request, order, condition)
    return replace(found, rows=[campaign_row(row) for row in found.rows])
