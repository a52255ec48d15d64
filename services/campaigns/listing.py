"""Reading and listing campaigns. Their large texts are read on demand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Uuid, bindparam, func, select

from core.database.prepared import prepare
from core.database.scopes import Reader
from core.listing import fields
from core.listing.listing import Listing
from core.listing.orders import Order
from models.campaigns import Campaign, CampaignStatus
from models.folding import contains_folded, folded
from services.messages.content import MAX_NAME_LENGTH

CAMPAIGN_FIELD: Final = ("input", "campaignId")


class CampaignRow(NamedTuple):
    """A campaign without its contents, which are large and read on demand.

    `status` is a value of `CampaignStatus`, `on_doubt` one of `OnDoubt`.
    """

    id: UUID
    name: str
    subject: str
    status: str
    status_reason: str | None
    on_doubt: str
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
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A campaign's large texts, as Liquid templates."""

    html_content: str
    text_content: str


def _name_contains(name: fields.ColumnOf, part: str) -> ColumnElement[bool]:
    return contains_folded(folded(name), part)


_FIELDS: Final[fields.Fields] = {
    "status": fields.EnumField(Campaign.status, CampaignStatus),
    "createdAt": fields.TimeField(Campaign.created_at),
    "name": fields.TextField(column=Campaign.name, max_length=MAX_NAME_LENGTH, contains=_name_contains),
    "archived": fields.PresenceField(Campaign.archived_at),
}
_ORDERS: Final[Mapping[str, Order[Any]]] = {
    "created_at": Order(Campaign.created_at),
    "updated_at": Order(Campaign.updated_at),
    "name": Order(Campaign.name),
}
CAMPAIGNS: Final = Listing(
    CampaignRow,
    Campaign,
    _FIELDS,
    noun="campaign",
    id_field=CAMPAIGN_FIELD,
    order=Order(Campaign.created_at, descending=True),
    orders=_ORDERS,
)
_WITH_CONTENT: Final = prepare(
    select(*CAMPAIGNS.columns, Campaign.html_content, Campaign.text_content).where(
        Campaign.id == bindparam("wanted", type_=Uuid)
    )
)
_CONTENTS: Final = prepare(
    select(Campaign.id, Campaign.html_content, Campaign.text_content).where(
        Campaign.id == func.any(bindparam("wanted", type_=ARRAY(Uuid)))
    )
)


async def require_with_content(reads: Reader, campaign_id: UUID | None) -> tuple[CampaignRow, Content]:
    """The campaign with its large texts, in one statement; raises `NotFound`."""
    rows = await reads.rows_as(tuple, _WITH_CONTENT, {"wanted": campaign_id}) if campaign_id else ()
    if not rows:
        raise CAMPAIGNS.not_found()
    *row, html_content, text_content = rows[0]
    return CampaignRow._make(row), Content(html_content=html_content, text_content=text_content)


async def read_contents(reads: Reader, campaign_ids: Sequence[UUID]) -> dict[UUID, Content]:
    """The large texts of the campaigns that exist, in one statement."""
    rows = await reads.rows(_CONTENTS, {"wanted": list(campaign_ids)})
    return {row[0]: Content(html_content=row[1], text_content=row[2]) for row in rows}
