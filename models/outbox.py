"""System mail: what leaves us beside campaigns."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from core.leases import Leased
from models.base import Base, CreatedAt, Key, OrganizationId, one_of
from models.row_security import organization_rows


class OutboxKind(StrEnum):
    """What a message says; `jobs/outbox.py` names who composes it."""

    SENDER_CONFIRMATION = "sender_confirmation"


class OutboxStatus(StrEnum):
    """Where a message stands. Between `submitting` and what follows the provider may have it."""

    PENDING = "pending"
    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = "status = ANY (ARRAY['pending'::text, 'submitting'::text, 'unknown'::text])"


class OutboxMessage(Leased, Base):
    """A message to one person, to be handed to the provider once.

    It names what it is about, and is composed when it is submitted: neither text nor secret is stored. A `dedupe_key`
    is taken once in an organisation, so that what is asked for twice is sent once. `due_at` is when to try (again),
    or to ask the provider again; `attempts` counts the tries that came to nothing, `lookups` the searches that did.
    """

    __tablename__ = "outbox"
    __row_security__ = organization_rows(
        lookup=("id", "organization_id", "status", "due_at", "lease_until", "finished_at"),
        expired="finished_at <= now() - interval '30 days'",
    )
    __table_args__ = (
        UniqueConstraint("organization_id", "dedupe_key"),
        Index("ix_outbox_open", "organization_id", "due_at", "id", postgresql_where=text(OPEN)),
        Index(None, "organization_id", "kind", "created_at"),
        one_of("kind", OutboxKind),
        one_of("status", OutboxStatus),
    )

    id: Mapped[Key]
    organization_id: Mapped[OrganizationId]
    kind: Mapped[str]
    target_id: Mapped[UUID]
    email: Mapped[str]
    dedupe_key: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default=OutboxStatus.PENDING)
    attempts: Mapped[int] = mapped_column(server_default="0")
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    batch_id: Mapped[UUID | None]
    submitted_at: Mapped[datetime | None]
    lookups: Mapped[int] = mapped_column(server_default="0")
    message_id: Mapped[str | None]
    error_code: Mapped[int | None]
    error_message: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    finished_at: Mapped[datetime | None]
