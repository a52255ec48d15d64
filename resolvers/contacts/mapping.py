"""Maps rows of contacts and their events to the API's types, and declares how their relations are read."""

from typing import Final, cast

from core.access.permissions import Permission
from core.ids import global_ids
from execution import Column, rows
from models.contact_events import ContactEventKind
from models.contacts import ContactStatus
from resolvers.nodes import NodeType
from resolvers.relations import connections_of, relation
from schema.contacts import Contact, ContactEvent
from schema.contacts.contact import CONTACT_EVENTS, CONTACT_LISTS, CONTACT_TAGS, EVENT_CONTACT
from services import lists
from services.contacts import listing
from services.contacts.history import EVENTS, EventRow
from services.contacts.listing import CONTACTS, ContactRow

rows.register(
    Contact,
    ContactRow,
    ("id",),
    id=Column("id", global_ids("Contact")),
    status=Column("status", ContactStatus),
)
rows.register(
    ContactEvent,
    EventRow,
    ("campaign_id", "contact_id"),
    id=Column("id", global_ids("ContactEvent")),
    kind=Column("kind", ContactEventKind),
    campaign_id=Column("campaign_id", global_ids("Campaign")),
)
relation(CONTACT_TAGS, listing.tags_of)
relation(CONTACT_LISTS, lists.of_contacts, permission=Permission.LIST_READ)
relation(CONTACT_EVENTS, connections_of(EVENTS), permission=Permission.CONTACT_READ)
relation(EVENT_CONTACT, CONTACTS.by_ids, optional=True, permission=Permission.CONTACT_READ)
NODES: Final = (
    NodeType("Contact", Permission.CONTACT_READ, CONTACTS.by_ids),
    NodeType("ContactEvent", Permission.CONTACT_READ, EVENTS.by_ids),
)


def contact_of(row: ContactRow) -> Contact:
    """The row, typed as the API's `Contact`, whose fields are read from the row's columns."""
    return cast("Contact", row)
