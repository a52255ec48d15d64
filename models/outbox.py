"""System mail: e-mail that is not part of a campaign, such as confirmations."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from core.leases import Leased
from models.base import Base, CreatedAt, Key, OrganizationId, one_of
from models.row_security import organization_rows


class OutboxKind(StrEnum):
    """The purpose of a message; `jobs/outbox.py` has the function that composes each kind."""

    SENDER_CONFIRMATION = "sender_confirmation"


class OutboxStatus(StrEnum):
    """The state of a message. From `submitting` on the provider may have received it."""

    PENDING = "pending"
    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = "status = ANY (ARRAY['pending'::text, 'submitting'::text, 'unknown'::text])"


class OutboxMessage(Leased, Base):
    """A message to one recipient, to be submitted to the provider once.

    `target_id` is the row that it is about. The message is composed when it is submitted, so no text and no secret is
    stored. `dedupe_key` is unique within an organization, so that a repeated request sends one message. `due_at` is
    the time of the next attempt or lookup; `attempts` counts failed attempts, `lookups` lookups without a result.
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
