"""The audit log."""

from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from models.base import Base, CreatedAt, Json, Key, OrganizationId


class AuditEvent(Base):
    """Who did what to what. `changes` holds before and after, without contents of messages."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "organization_id", "created_at", "id"),)

    id: Mapped[Key]
    organization_id: Mapped[OrganizationId]
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    action: Mapped[str]
    target_id: Mapped[UUID]
    changes: Mapped[Json]
    request_id: Mapped[str | None]
    created_at: Mapped[CreatedAt]
