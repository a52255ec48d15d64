from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, PrimaryKeyConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_id
from models.base import Base, Json, OrganizationId, one_of
from models.row_security import WITH_DELETE, organization_rows


class ContactEventKind(StrEnum):
    """What happened to the contact."""

    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    SUBSCRIBED = "subscribed"
    REJECTED = "rejected"
    SUPPRESSED = "suppressed"
    REACTIVATED = "reactivated"
    NOTICE = "notice"


class ContactEvent(Base):
    """The history of contacts, partitioned by month of `occurred_at`. The dedupe key makes inserts idempotent."""

    __tablename__ = "contact_events"
    __row_security__ = organization_rows(WITH_DELETE)
    __table_args__ = (
        PrimaryKeyConstraint("organization_id", "occurred_at", "id"),
        UniqueConstraint("organization_id", "dedupe_key", "occurred_at"),
        Index(None, "organization_id", "contact_id", "occurred_at"),
        Index(None, "organization_id", "id"),
        one_of("kind", ContactEventKind),
        {"postgresql_partition_by": "RANGE (occurred_at)"},
    )

    organization_id: Mapped[OrganizationId]
    occurred_at: Mapped[datetime]
    id: Mapped[UUID] = mapped_column(default=new_id)
    contact_id: Mapped[UUID]
    campaign_id: Mapped[UUID | None]
    delivery_id: Mapped[UUID | None]
    kind: Mapped[str]
    dedupe_key: Mapped[str]
    data: Mapped[Json]
