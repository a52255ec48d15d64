from typing import Annotated, NamedTuple

import strawberry

from core.access.permissions import Permission
from core.listing.pages import page_request
from execution import Selection, once_per_plan, rows
from resolvers.campaigns.mapping import campaign_of
from resolvers.context import Info
from resolvers.fields import Requires, query
from resolvers.listing import connection, order_of, parse
from schema.campaigns.campaign import Campaign
from schema.campaigns.listing import CampaignConnection, CampaignFilter, CampaignSort
from schema.campaigns.sending import CampaignValidation
from schema.connections import After, Before, First, Last
from schema.errors import user_error
from schema.fields import COUNTING_COST
from schema.nodes import uuid_of
from services.campaigns import validating
from services.campaigns.listing import CAMPAIGNS, CampaignRow
from services.campaigns.progress import Figures, get_with_figures

Filter = Annotated[
    CampaignFilter | None, strawberry.argument(description="Filters the campaigns. If omitted, all are returned.")
]
Sort = Annotated[CampaignSort | None, strawberry.argument(description="Sort order. If omitted, newest first.")]
CampaignId = Annotated[strawberry.ID, strawberry.argument(description="ID of the campaign.")]


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
        """The campaigns of the organization.

        Fails with the error `BAD_USER_INPUT` if a cursor was returned for another sort order.
        """
        condition, order = parse(filter, CAMPAIGNS.fields), order_of(sort, CAMPAIGNS)
        request = page_request(first, last, after, before)
        return await connection(info, CAMPAIGNS, request, condition=condition, order=order)

    @query(Requires(Permission.CAMPAIGN_READ))
    async def campaign(self, info: Info, id: strawberry.ID) -> Campaign | None:  # noqa: A002 - the contract's name
        """A campaign by its ID, or `null` if it does not exist."""
        campaign_id = uuid_of("Campaign", id)
        if campaign_id is None:
            return None
        reads, selection = info.context.reads, once_per_plan(info, _figures_selection)
        if not selection:
            row = await CAMPAIGNS.get(reads, campaign_id)
            return campaign_of(row) if row else None
        columns = None if selection.campaign_again else rows.selected_columns(info, CampaignRow, ())
        figures = None if selection.progress else rows.selected_columns(info, Figures, ("stats",))
        row = await get_with_figures(reads, campaign_id, columns, figures)
        return campaign_of(row) if row else None

    @query(Requires(Permission.CAMPAIGN_READ), cost=2 * COUNTING_COST)
    async def validate_campaign(self, info: Info, campaign_id: CampaignId) -> CampaignValidation:
        """Check whether a campaign can be sent now. Fails with the error `NOT_FOUND` if there is no such campaign."""
        reads = info.context.reads
        row = await CAMPAIGNS.require(reads, uuid_of("Campaign", campaign_id))
        validation = await validating.validate(reads, row, policy=info.context.dependencies.sender_policy)
        return CampaignValidation(
            valid=not validation.errors,
            errors=[user_error(error) for error in validation.errors],
            warnings=validation.warnings,
            audience=validation.audience,
            skipped_estimate=validation.audience - validation.mailable,
        )


class FiguresSelection(NamedTuple):
    """The figures of a campaign that are selected: those of its progress, and the campaign again inside that."""

    progress: bool
    campaign_again: bool


def _figures_selection(selection: Selection) -> FiguresSelection | None:
    """The selected figures of a campaign; None when there are none."""
    if "stats" not in selection and "progress" not in selection:
        return None
    return FiguresSelection("progress" in selection, selection.has("progress", "campaign"))
