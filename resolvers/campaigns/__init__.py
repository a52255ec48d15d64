"""The GraphQL roots of campaigns."""

import strawberry

from resolvers.campaigns.drafting import DraftingMutations
from resolvers.campaigns.mapping import NODES
from resolvers.campaigns.reading import CampaignQueries
from resolvers.campaigns.sending import SendingMutations
from resolvers.campaigns.watching import CampaignSubscriptions


@strawberry.type
class CampaignMutations(DraftingMutations, SendingMutations):
    pass


__all__ = ["NODES", "CampaignMutations", "CampaignQueries", "CampaignSubscriptions"]
