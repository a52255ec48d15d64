from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, Json, Key


class WebhookInbox(Base):
    """A vendor's event as it came, stored before it is answered and applied by a job.

    It comes without a tenant: `system.attribute_events` finds the organisation, and only then a tenant sees it. With
    an `email_norm` it tells of an address rather than of a message: each organisation that knows the address gets a
    copy, `shared` when there are several.
    """

    __tablename__ = "webhook_inbox"
    __table_args__ = (
        UniqueConstraint("provider", "dedupe_key"),
        Index(
            "ix_webhook_inbox_unattributed",
            "attempts",
            "id",
            postgresql_where=text("organization_id IS NULL AND attempts < 20"),
        ),
        Index("ix_webhook_inbox_waiting", "organization_id", "id", postgresql_where=text("applied_at IS NULL")),
    )

    id: Mapped[Key]
    organization_id: Mapped[UUID | None]
    provider: Mapped[str]
    dedupe_key: Mapped[str]
    payload: Mapped[Json]
    received_at: Mapped[CreatedAt]
    applied_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    outcome: Mapped[str | None]
    email_norm: Mapped[str | None]
    shared: Mapped[bool] = mapped_column(server_default=text("false"))
