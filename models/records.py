"""Rows about other rows: the audit log, and results kept for repeated requests."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, Json, Key, OrganizationId, OrganizationKey


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


class IdempotencyKey(Base):
    """The first result of a request that named a key, replayed for 24 hours."""

    __tablename__ = "idempotency_keys"

    organization_id: Mapped[OrganizationKey]
    key: Mapped[str] = mapped_column(primary_key=True)
    operation: Mapped[str]
    arguments_hash: Mapped[bytes]
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
