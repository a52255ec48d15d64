from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from core.access.permissions import Permission
from resolvers.campaigns.mapping import progress_of
from resolvers.context import Info
from resolvers.fields import Requires, subscription
from schema.campaigns.progress import CampaignProgress
from schema.nodes import uuid_of
from services.campaigns import watching


@strawberry.type
class CampaignSubscriptions:
    @subscription(Requires(Permission.CAMPAIGN_READ), state=True)
    async def campaign_progress(
        self,
        info: Info,
        campaign_id: Annotated[strawberry.ID, strawberry.argument(description="ID of the campaign.")],
    ) -> AsyncGenerator[CampaignProgress, None]:
        """Progress of a campaign: the current state at once, then the latest state after changes.

        At most 10 updates are sent in a second; intermediate states are skipped, but never the last one.

        Each update contains the complete state, so a client needs none of the earlier ones. The subscription
        completes after the first update with a final status: `SENT`, `SENT_WITH_ISSUES`, `CANCELLED` or `FAILED`.
        Events that the provider reports later, such as deliveries, bounces and opens, are in `stats` and
        `progress` of the campaign.

        Ends with the error `NOT_FOUND` if there is no such campaign, or when it is deleted.
        """
        context = info.context
        rows = watching.watch_progress(context.dependencies.hub, context.reads, uuid_of("Campaign", campaign_id))
        async with aclosing(rows):
            async for row in rows:
                yield progress_of(row)
