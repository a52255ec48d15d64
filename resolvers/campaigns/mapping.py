"""Maps rows of campaigns to the API's types, and declares how their relations are read."""

from operator import attrgetter
from typing import Final, cast

from core.access.permissions import Permission
from core.ids import global_ids
from execution import Column, rows
from models.campaigns import CampaignStatus, OnDoubt
from resolvers.nodes import NodeType
from resolvers.relations import relation
from schema.campaigns.campaign import (
    AUDIENCE_COUNT,
    AUDIENCE_LIST,
    CAMPAIGN_AUDIENCE,
    CAMPAIGN_AUTHOR,
    CAMPAIGN_CONTENT,
    CAMPAIGN_FIGURES,
    CAMPAIGN_SENDER,
    Audience,
    Campaign,
)
from schema.campaigns.progress import PROGRESS_CAMPAIGN, CampaignProgress, CampaignStats
from schema.contacts.contact import EVENT_CAMPAIGN
from services.accounts.people import people_by_ids
from services.campaigns.audience import Audience as AudienceRow
from services.campaigns.audience import read_audiences
from services.campaigns.drafting import DeletedCampaign
from services.campaigns.listing import CAMPAIGNS, CampaignRow, read_contents
from services.campaigns.progress import CampaignWithFigures, DeliveryCounts, Figures, ProgressRow, read_figures
from services.campaigns.recipients import count_audiences
from services.lists import LISTS
from services.senders.reading import SENDERS

for row_class in (CampaignRow, CampaignWithFigures, DeletedCampaign):
    rows.register(
        Campaign,
        row_class,
        {"author": ("author_id",), "sender": ("sender_id", "from_sender_id")},
        id=Column("id", global_ids("Campaign")),
        status=Column("status", CampaignStatus),
        on_doubt=Column("on_doubt", OnDoubt),
    )
SENT: Final = ("accepted", "delivered", "bounced", "complained")
rows.register(
    CampaignStats,
    Figures,
    {
        "sent": SENT,
        "open_rate": ("opened", "reached"),
        "click_rate": ("clicked", "reached"),
        "delivery_rate": (*SENT, "reached"),
    },
    delivered=Column("reached"),
)
rows.register(
    CampaignProgress,
    ProgressRow,
    campaign_id=Column("campaign_id", global_ids("Campaign")),
    occurred_at=Column("updated_at"),
    **{name: Column("counts", attrgetter(name)) for name in DeliveryCounts._fields},
)
rows.register(
    Audience,
    AudienceRow,
    tags=Column("tags", list),
    exclude_tags=Column("exclude_tags", list),
)
relation(CAMPAIGN_CONTENT, read_contents)
relation(CAMPAIGN_AUTHOR, people_by_ids, permission=Permission.ORGANIZATION_READ)
relation(CAMPAIGN_SENDER, SENDERS.by_ids, permission=Permission.SENDER_READ)
relation(CAMPAIGN_AUDIENCE, read_audiences)
relation(CAMPAIGN_FIGURES, read_figures)
relation(AUDIENCE_LIST, LISTS.by_ids, permission=Permission.LIST_READ)
relation(AUDIENCE_COUNT, count_audiences)
relation(PROGRESS_CAMPAIGN, CAMPAIGNS.by_ids, permission=Permission.CAMPAIGN_READ)
relation(EVENT_CAMPAIGN, CAMPAIGNS.by_ids, optional=True, permission=Permission.CAMPAIGN_READ)
NODES: Final = (NodeType("Campaign", Permission.CAMPAIGN_READ, CAMPAIGNS.by_ids),)


def campaign_of(row: CampaignRow) -> Campaign:
    """The campaign of a row: the API's type is read from the row itself."""
    return cast("Campaign", row)


def progress_of(row: ProgressRow) -> CampaignProgress:
    """The progress of a row: the API's type is read from the row itself."""
    return cast("CampaignProgress", row)
