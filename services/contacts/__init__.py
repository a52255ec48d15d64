"""Contacts: the people an organisation writes to."""

from services.contacts.changing import EmailTaken, change, create, remove, unsubscribe
from services.contacts.fields import GivenFields
from services.contacts.history import EVENTS, EventRow
from services.contacts.listing import (
    CONTACTS,
    ContactRow,
    by_email,
    count_by_status,
    search_condition,
    tag_counts,
    tags_of,
)
from services.contacts.tagging import add as add_tags
from services.contacts.tagging import remove as remove_tags
from services.contacts.tagging import require_all
from services.contacts.upserting import OnInvalid, UpsertResult, UpsertStatus, upsert

__all__ = [
    "CONTACTS",
    "EVENTS",
    "ContactRow",
    "EmailTaken",
    "EventRow",
    "GivenFields",
    "OnInvalid",
    "UpsertResult",
    "UpsertStatus",
    "add_tags",
    "by_email",
    "change",
    "count_by_status",
    "create",
    "remove",
    "remove_tags",
    "require_all",
    "search_condition",
    "tag_counts",
    "tags_of",
    "unsubscribe",
    "upsert",
]
