"""Tables, constraints, enums and status transitions. Import a model from its noun's module."""

from models import campaigns, contacts, conversations, organizations, outbox, records, senders
from models.base import Base

metadata = Base.metadata

__all__ = [
    "Base",
    "campaigns",
    "contacts",
    "conversations",
    "metadata",
    "organizations",
    "outbox",
    "records",
    "senders",
]
