"""What other nouns show of campaigns, read only when it is selected."""

from uuid import UUID

from resolvers.campaigns.loading import known_by_id
from resolvers.campaigns.mapping import campaign_of
from resolvers.contacts.showing import contact_of
from resolvers.context import RequestContext, reads_relations
from schema.campaigns.campaign import Campaign
from schema.contacts import Contact, EventRelations
from services import campaigns, contacts


@reads_relations(EventRelations)
class ReadEventRelations:
    """Reads the relations of contacts' events, for all of an answer at once."""

    __slots__ = ("context",)

    def __init__(self, context: RequestContext) -> None:
        self.context = context

    async def campaign(self, campaign_id: UUID) -> Campaign | None:
        """The campaign of an event; None when it was deleted."""
        row = await known_by_id(self.context, "campaigns", campaigns.by_ids).load(campaign_id)
        return campaign_of(self.context, row) if row else None

    async def contact(self, contact_id: UUID) -> Contact | None:
        """The contact of an event; None when it was deleted."""
        row = await known_by_id(self.context, "contacts", contacts.CONTACTS.by_ids).load(contact_id)
        return contact_of(row) if row else None
