"""Contacts: the people an organisation writes to."""

from services.contacts.changing import EmailTaken, change, create, remove, unsubscribe
from services.contacts.fields import GivenFields, asked_tag
from services.contacts.filtering import EVERYONE, ContactFilter
from services.contacts.history import EventRow, events_by_ids, events_of
from services.contacts.reading import (
    CREATED_AT,
    EMAIL,
    LAST_NAME,
    UPDATED_AT,
    ContactRow,
    by_email,
    by_ids,
    count,
    count_by_status,
    get,
    page,
    tag_counts,
    tags_of,
)
from services.contacts.tagging import add as add_tags
from services.contacts.tagging import demand_all
from services.contacts.tagging import remove as remove_tags
from services.contacts.upserting import OnInvalid, UpsertResult, UpsertStatus, upsert

__all__ = [
    "CREATED_AT",
    "EMAIL",
    "EVERYONE",
    "LAST_NAME",
    "UPDATED_AT",
    "ContactFilter",
    "ContactRow",
    "EmailTaken",
    "EventRow",
    "GivenFields",
    "OnInvalid",
    "UpsertResult",
    "UpsertStatus",
    "add_tags",
    "asked_tag",
    "by_email",
    "by_ids",
    "change",
    "count",
    "count_by_status",
    "create",
    "demand_all",
    "events_by_ids",
    "events_of",
    "get",
    "page",
    "remove",
    "remove_tags",
    "tag_counts",
    "tags_of",
    "unsubscribe",
    "upsert",
]
