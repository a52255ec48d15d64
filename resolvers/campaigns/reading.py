from collections.abc import Sequence
from functools import partial
from typing import Annotated, Final
from uuid import UUID

import strawberry
from strawberry.utils.str_converters import to_camel_case

from core.access.permissions import Permission
from core.listing.pages import page_request
from execution import Selection, worked_out
from resolvers.campaigns.mapping import campaign_of
from resolvers.connections import connection_of
from resolvers.context import Info
from resolvers.fields import Requires, query
from resolvers.listing import order_of, parse
from resolvers.nodes import fetches
from schema.campaigns.campaign import Campaign
from schema.campaigns.listing import CampaignConnection, CampaignFilter, CampaignSort
from schema.campaigns.sending import CampaignValidation
from schema.connections import After, Before, First, Last
from schema.errors import user_error
from schema.fields import COUNTING_COST
from schema.nodes import uuid_of
from services.campaigns import listing, reading, validating
from services.campaigns.listing import CAMPAIGNS
from services.campaigns.progress import Figures, get_with_figures
from services.campaigns.reading import CampaignRow

COLUMNS_OF = {to_camel_case(name): name for name in CampaignRow._fields} | {"author": "author_id"}
SENT: Final = frozenset({"accepted", "delivered", "bounced", "complained"})
STATS_FROM: Final = {name: frozenset({name}) for name in Figures._fields} | {
    "sent": SENT,
    "delivered": frozenset({"reached"}),
    "openRate": frozenset({"opened", "reached"}),
    "clickRate": frozenset({"clicked", "reached"}),
    "deliveryRate": SENT | {"reached"},
}
Filter = Annotated[CampaignFilter | None, strawberry.argument(description="Which campaigns; all when left out.")]
Sort = Annotated[CampaignSort | None, strawberry.argument(description="The order; newest first when left out.")]
CampaignId = Annotated[strawberry.ID, strawberry.argument(description="Global id of the campaign.")]


@fetches("Campaign", Permission.CAMPAIGN_READ)
async def fetch_campaigns(info: Info, campaign_ids: Sequence[UUID]) -> dict[UUID, Campaign]:
    """Campaigns of the caller's organisation."""
    rows = await reading.by_ids(info.context.reads, campaign_ids)
    return {campaign_id: campaign_of(info.context, row) for campaign_id, row in rows.items()}


@strawberry.type
class CampaignQueries:
    @query(Requires(Permission.CAMPAIGN_READ))
    async def campaigns(  # noqa: PLR0917 - GraphQL's arguments have names
        self,
        info: Info,
        first: First = None,
        last: Last = None,
        after: After = None,
        before: Before = None,
        filter: Filter = None,  # noqa: A002 - the contract's name
        sort: Sort = None,
    ) -> CampaignConnection:
        """The organization's campaigns, newest first unless sorted otherwise."""
        reads, condition = info.context.reads, parse(filter, CAMPAIGNS.fields)
        request, order = page_request(first, last, after, before), order_of(sort, CAMPAIGNS)
        page = await listing.page(reads, request, order, condition)
        return connection_of(page, partial(CAMPAIGNS.count, reads, condition), partial(campaign_of, info.context))

    @query(Requires(Permission.CAMPAIGN_READ))
    async def campaign(self, info: Info, id: CampaignId) -> Campaign | None:  # noqa: A002 - the contract's name
        """One campaign, or null when there is none for you."""
        campaign_id = uuid_of("Campaign", id)
        if campaign_id is None:
            return None
        reads = info.context.reads
        wanted = worked_out(info, needs)
        if wanted is not None:
            found = await get_with_figures(reads, campaign_id, *wanted)
            return campaign_of(info.context, *found) if found else None
        row = await reading.get(reads, campaign_id)
        return campaign_of(info.context, row) if row else None

    @query(Requires(Permission.CAMPAIGN_READ), cost=2 * COUNTING_COST)
    async def validate_campaign(self, info: Info, campaign_id: CampaignId) -> CampaignValidation:
        """Whether the campaign could be sent now, and what would surprise. The error NOT_FOUND for an unknown one.

        Costs 20 points beside the answer, as the audience is counted.
        """
        reads = info.context.reads
        row = await reading.require(reads, uuid_of("Campaign", campaign_id))
        found = await validating.validate(reads, row, policy=info.context.dependencies.sender_policy)
        return CampaignValidation(
            valid=not found.errors,
            errors=[user_error(error) for error in found.errors],
            warnings=found.warnings,
            audience=found.audience,
            skipped_estimate=found.audience - found.mailable,
        )


def needs(selection: Selection) -> tuple[frozenset[str], frozenset[str] | None] | None:
    """The columns of a campaign, and of its figures, that a selection takes.

    None when it takes no figures, or the campaign once more among them.
    """
    if ("stats" not in selection and "progress" not in selection) or selection.has("progress", "campaign"):
        return None
    columns = frozenset(COLUMNS_OF[name] for name in selection if name in COLUMNS_OF)
    if "sender" in selection:
        columns |= {"sender_id", "from_sender_id"}
    if "progress" in selection:
        return columns, None
    return columns, frozenset().union(*(STATS_FROM.get(name, frozenset()) for name in selection["stats"]))
