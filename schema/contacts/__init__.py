"""Contacts: the people an organization writes to."""

from schema.contacts.contact import (
    Contact,
    ContactConnection,
    ContactEvent,
    ContactEventConnection,
    ContactRelations,
    EventRelations,
    Tag,
)
from schema.contacts.filtering import ContactFilter, ContactSort, ContactSortField

__all__ = [
    "Contact",
    "ContactConnection",
    "ContactEvent",
    "ContactEventConnection",
    "ContactFilter",
    "ContactRelations",
    "ContactSort",
    "ContactSortField",
    "EventRelations",
    "Tag",
]
