from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, Json, Key
from models.row_security import (
    DEFINER,
    OF_ORGANIZATION,
    Policy,
    RowSecurity,
    expiry_policy,
    lookup_policy,
)

# Applied, or given up on. The bound on the ids lets the primary key find old events.
EXPIRED = (
    "id < system.first_uuid(now() - interval '30 days') AND received_at <= now() - interval '30 days' "
    "AND (applied_at IS NOT NULL OR (organization_id IS NULL AND attempts >= 20))"
)

COPIED = "id, organization_id, provider, dedupe_key, payload, received_at, email_norm"


class WebhookInbox(Base):
    """A vendor's event as it came, stored before it is answered and applied by a job.

    It comes without a tenant: `system.attribute_events` finds the organisation, and only then a tenant sees it. With
    an `email_norm` it tells of an address rather than of a message: each organisation that knows the address gets a
    copy, `shared` when there are several. `due_at` is when to try (again); `attempts` counts the tries to attribute
    it, then those to apply it, that came to nothing.
    """

    __tablename__ = "webhook_inbox"
    __row_security__ = RowSecurity(
        policies=(
            Policy(name="arrivals", command="INSERT", check="organization_id IS NULL"),
            Policy(name="tenant", command="SELECT", using=OF_ORGANIZATION),
            Policy(name="applying", command="UPDATE", using=OF_ORGANIZATION, check=OF_ORGANIZATION),
            lookup_policy(),
            Policy(name="attributing", command="UPDATE", role=DEFINER, using="organization_id IS NULL", check="true"),
            Policy(
                name="copying",
                command="INSERT",
                role=DEFINER,
                check="organization_id IS NOT NULL AND email_norm IS NOT NULL",
            ),
            expiry_policy(EXPIRED),
        ),
        definer=(
            f"SELECT ({COPIED}, campaign_id, message_id, applied_at, attempts, due_at)",
            f"INSERT ({COPIED}, shared)",
            "UPDATE (organization_id, attempts, due_at)",
            "DELETE",
        ),
    )
    __table_args__ = (
        UniqueConstraint("provider", "dedupe_key"),
        Index(
            "ix_webhook_inbox_unattributed",
            "attempts",
            "id",
            postgresql_where=text("organization_id IS NULL AND attempts < 20"),
        ),
        Index(
            "ix_webhook_inbox_waiting", "organization_id", "due_at", "id", postgresql_where=text("applied_at IS NULL")
        ),
    )

    id: Mapped[Key]
    organization_id: Mapped[UUID | None]
    provider: Mapped[str]
    dedupe_key: Mapped[str]
    campaign_id: Mapped[UUID | None]
    message_id: Mapped[str | None]
    payload: Mapped[Json]
    received_at: Mapped[CreatedAt]
    applied_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
    outcome: Mapped[str | None]
    email_norm: Mapped[str | None]
    shared: Mapped[bool] = mapped_column(server_default=text("false"))
