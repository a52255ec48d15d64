from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, Json, Key, OrganizationId, OrganizationKey, one_of
from models.row_security import WITH_DELETE, organization_rows


class CampaignStatus(StrEnum):
    """The status of a campaign; `services.campaigns.lifecycle` defines the transitions."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    PREPARING = "preparing"
    SENDING = "sending"
    PAUSED = "paused"
    SENT = "sent"
    SENT_WITH_ISSUES = "sent_with_issues"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    FAILED = "failed"


class OnDoubt(StrEnum):
    """What to do with a message that may or may not have been sent, once the provider has no record of it."""

    RECONCILE_THEN_RETRY = "reconcile_then_retry"
    HOLD = "hold"


class RecipientKind(StrEnum):
    """What an audience rule refers to. `segment` and `contact` are not written yet."""

    ALL = "all"
    LIST = "list"
    SEGMENT = "segment"
    TAG = "tag"
    CONTACT = "contact"


class Campaign(Base):
    """An e-mail to many recipients. `sender_id` is the author's choice.

    The From header is decided when the campaign is scheduled or sent: `from_header`, the same for all recipients, and
    `from_sender_id` if it belongs to a sender of the organization.
    """

    __tablename__ = "campaigns"
    __row_security__ = organization_rows(WITH_DELETE, lookup=("id", "organization_id", "status", "scheduled_at"))
    __table_args__ = (
        UniqueConstraint("organization_id", "id"),
        ForeignKeyConstraint(["organization_id", "author_id"], ["users.organization_id", "users.id"]),
        ForeignKeyConstraint(
            ["organization_id", "sender_id"],
            ["senders.organization_id", "senders.id"],
            ondelete="SET NULL (sender_id)",
        ),
        ForeignKeyConstraint(
            ["organization_id", "from_sender_id"],
            ["senders.organization_id", "senders.id"],
            ondelete="SET NULL (from_sender_id)",
        ),
        Index(None, "organization_id", "created_at", "id"),
        Index(
            "ix_campaigns_live",
            "status",
            "id",
            postgresql_where=text("status IN ('scheduled', 'preparing', 'sending', 'paused', 'cancelling')"),
        ),
        Index(None, "organization_id", "sender_id", postgresql_where=text("sender_id IS NOT NULL")),
        Index(None, "organization_id", "from_sender_id", postgresql_where=text("from_sender_id IS NOT NULL")),
        one_of("status", CampaignStatus),
        one_of("on_doubt", OnDoubt),
        CheckConstraint("version > 0", name="version"),
    )

    id: Mapped[Key]
    organization_id: Mapped[OrganizationId]
    name: Mapped[str]
    subject: Mapped[str]
    html_content: Mapped[str]
    text_content: Mapped[str] = mapped_column(server_default="")
    status: Mapped[str] = mapped_column(server_default=CampaignStatus.DRAFT)
    status_reason: Mapped[str | None]
    on_doubt: Mapped[str] = mapped_column(server_default=OnDoubt.RECONCILE_THEN_RETRY)
    version: Mapped[int] = mapped_column(server_default="1")
    author_id: Mapped[UUID | None]
    template_id: Mapped[UUID | None]
    sender_id: Mapped[UUID | None]
    from_sender_id: Mapped[UUID | None]
    from_header: Mapped[str | None]
    settings: Mapped[Json]
    scheduled_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]
    prepare_cursor: Mapped[UUID | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]


class CampaignRecipient(Base):
    """An audience rule: all contacts, a list, a segment, a tag or a contact, included or excluded."""

    __tablename__ = "campaign_recipients"
    __row_security__ = organization_rows(WITH_DELETE)
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "campaign_id"], ["campaigns.organization_id", "campaigns.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["organization_id", "list_id"], ["lists.organization_id", "lists.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["organization_id", "contact_id"], ["contacts.organization_id", "contacts.id"], ondelete="CASCADE"
        ),
        Index(None, "organization_id", "campaign_id"),
        one_of("kind", RecipientKind),
    )

    id: Mapped[Key]
    organization_id: Mapped[OrganizationId]
    campaign_id: Mapped[UUID]
    kind: Mapped[str]
    tag: Mapped[str | None]
    list_id: Mapped[UUID | None]
    contact_id: Mapped[UUID | None]
    excluded: Mapped[bool] = mapped_column(server_default=text("false"))


class CampaignStats(Base):
    """The counts of a campaign's deliveries by status, updated by a trigger in the transaction that changes a status.

    `reached` counts deliveries that the provider reported as delivered, whatever their status now; `opened`,
    `clicked` and `unsubscribed` count unique contacts. `sequence` increases with every change.
    """

    __tablename__ = "campaign_stats"
    __row_security__ = organization_rows(lookup=("organization_id", "campaign_id", "pending", "in_flight", "unknown"))
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "campaign_id"], ["campaigns.organization_id", "campaigns.id"], ondelete="CASCADE"
        ),
        {"postgresql_with": {"fillfactor": 50}},
    )

    organization_id: Mapped[OrganizationKey]
    campaign_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, server_default="0")
    audience: Mapped[int] = mapped_column(server_default="0")
    pending: Mapped[int] = mapped_column(server_default="0")
    in_flight: Mapped[int] = mapped_column(server_default="0")
    accepted: Mapped[int] = mapped_column(server_default="0")
    delivered: Mapped[int] = mapped_column(server_default="0")
    bounced: Mapped[int] = mapped_column(server_default="0")
    complained: Mapped[int] = mapped_column(server_default="0")
    rejected: Mapped[int] = mapped_column(server_default="0")
    skipped: Mapped[int] = mapped_column(server_default="0")
    failed: Mapped[int] = mapped_column(server_default="0")
    unknown: Mapped[int] = mapped_column(server_default="0")
    reached: Mapped[int] = mapped_column(server_default="0")
    opened: Mapped[int] = mapped_column(server_default="0")
    clicked: Mapped[int] = mapped_column(server_default="0")
    unsubscribed: Mapped[int] = mapped_column(server_default="0")
    updated_at: Mapped[CreatedAt]
