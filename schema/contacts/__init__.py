"""Contacts: the people an organization writes to."""

from schema.contacts.contact import (
    Contact,
    ContactConnection,
    ContactEvent,
    ContactEventConnection,
    Tag,
)
from schema.contacts.filtering import ContactFilter, ContactSort, ContactSortField

__all__ = [
    "Contact",
    "ContactConnection",
    "ContactEvent",
    "ContactEventConnection",
    "ContactFilter",
    "ContactSort",
    "ContactSortField",
    "Tag",
]
