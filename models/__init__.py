"""Tables, constraints, enums and status transitions. Import a model from its noun's module."""

from models import (
    accounts,
    audit,
    campaigns,
    contact_events,
    contacts,
    conversations,
    deliveries,
    idempotency,
    lists,
    outbox,
    senders,
    suppressions,
    templates,
    webhooks,
)
from models.base import Base

metadata = Base.metadata

__all__ = [
    "Base",
    "accounts",
    "audit",
    "campaigns",
    "contact_events",
    "contacts",
    "conversations",
    "deliveries",
    "idempotency",
    "lists",
    "metadata",
    "outbox",
    "senders",
    "suppressions",
    "templates",
    "webhooks",
]
