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

# Applied, or out of attempts. The bound on the ids lets the primary key find old events.
_EXPIRED = (
    "id < system.first_uuid(now() - interval '30 days') AND received_at <= now() - interval '30 days' "
    "AND (applied_at IS NOT NULL OR (organization_id IS NULL AND attempts >= 20))"
)

_COPIED_COLUMNS = "id, organization_id, provider, dedupe_key, payload, received_at, email_norm"


class WebhookInbox(Base):
    """A vendor's event as received: stored before the request is answered, applied later by a job.

    It arrives without a tenant. `system.attribute_events` finds its organization, which can then see it. An event
    with an `email_norm` is about an address rather than a message: each organization that has the address gets a
    copy, which is `shared` if there are several. `due_at` is the time of the next attempt; `attempts` counts the
    failed attempts to attribute the event, then those to apply it.
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
            expiry_policy(_EXPIRED),
        ),
        definer=(
            f"SELECT ({_COPIED_COLUMNS}, campaign_id, message_id, applied_at, attempts, due_at)",
            f"INSERT ({_COPIED_COLUMNS}, shared)",
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
