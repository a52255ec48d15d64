from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import DDL, Computed, ForeignKeyConstraint, Index, UniqueConstraint, event, text
from sqlalchemy.orm import Mapped, mapped_column

from core.leases import Leased
from models.base import Base, CreatedAt, Json, OrganizationKey, one_of
from models.row_security import function_rows, organization_rows


class DeliveryStatus(StrEnum):
    """The state of one recipient's message; a campaign's progress consists of counts by this status."""

    PENDING = "pending"
    CLAIMED = "claimed"
    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    FAILED = "failed"


class DeliveryDecision(StrEnum):
    """Why the message of a recipient was not submitted (column `decision`)."""

    UNSUBSCRIBED = "unsubscribed"
    NOT_CONFIRMED = "not_confirmed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    CONTACT_DELETED = "contact_deleted"
    RENDER_FAILED = "render_failed"


class DeliveryResolution(StrEnum):
    """A user's decision about a delivery that is unknown or failed: it was sent, was not sent, or is sent again."""

    SENT = "sent"
    NOT_SENT = "not_sent"
    SEND_AGAIN = "send_again"


OPEN_DELIVERIES = frozenset(
    {DeliveryStatus.PENDING, DeliveryStatus.CLAIMED, DeliveryStatus.SUBMITTING, DeliveryStatus.UNKNOWN}
)


# The recipient did not get the message, or complained about it.
EXCEPTIONAL_DELIVERIES = frozenset(
    {
        DeliveryStatus.BOUNCED,
        DeliveryStatus.COMPLAINED,
        DeliveryStatus.REJECTED,
        DeliveryStatus.SKIPPED,
        DeliveryStatus.FAILED,
    }
)


# Conditions of partial indexes, as generated columns: most changes of status leave them alone and stay HOT updates.
_IS_OPEN = "status = ANY (ARRAY['pending'::text, 'claimed'::text, 'submitting'::text, 'unknown'::text])"


_IS_EXCEPTIONAL = (
    "status = ANY (ARRAY['bounced'::text, 'complained'::text, 'rejected'::text, 'skipped'::text, 'failed'::text])"
)


class EmailDelivery(Leased, Base):
    """The message of one recipient. The table is partitioned by range of `campaign_id` (a UUIDv7, so by time)."""

    __tablename__ = "email_deliveries"
    __row_security__ = organization_rows(
        lookup=(
            *("organization_id", "campaign_id", "id", "message_id", "batch_id"),
            *("is_open", "status", "lease_until", "next_lookup_at"),
        ),
    )
    __table_args__ = (
        ForeignKeyConstraint(["organization_id", "campaign_id"], ["campaigns.organization_id", "campaigns.id"]),
        # No other index may start as the primary key does: without statistics the planner would take it by mistake.
        UniqueConstraint("organization_id", "contact_id", "campaign_id"),
        UniqueConstraint("organization_id", "email_norm", "campaign_id"),
        UniqueConstraint("organization_id", "message_id", "campaign_id"),
        Index(
            "ix_email_deliveries_open",
            "organization_id",
            "campaign_id",
            "id",
            postgresql_where=text("is_open"),
        ),
        Index(
            "ix_email_deliveries_exceptional",
            "organization_id",
            "campaign_id",
            "id",
            postgresql_where=text("is_exceptional"),
        ),
        one_of("status", DeliveryStatus),
        {"postgresql_partition_by": "RANGE (campaign_id)"},
    )

    organization_id: Mapped[OrganizationKey]
    campaign_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    contact_id: Mapped[UUID]
    email: Mapped[str]
    email_norm: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=DeliveryStatus.PENDING)
    is_open: Mapped[bool] = mapped_column(Computed(_IS_OPEN, persisted=True))
    is_exceptional: Mapped[bool] = mapped_column(Computed(_IS_EXCEPTIONAL, persisted=True))
    decision: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    batch_id: Mapped[UUID | None]
    message_id: Mapped[str | None]
    error_code: Mapped[int | None]
    error_message: Mapped[str | None]
    lookups: Mapped[int] = mapped_column(server_default="0")
    next_lookup_at: Mapped[datetime | None]
    submitted_at: Mapped[datetime | None]
    accepted_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    clicked_at: Mapped[datetime | None]
    bounced_at: Mapped[datetime | None]
    complained_at: Mapped[datetime | None]
    unsubscribed_at: Mapped[datetime | None]
    metadata_: Mapped[Json] = mapped_column("metadata")
    created_at: Mapped[CreatedAt]


# A campaign determines its organization. Without these statistics the planner multiplies both selectivities and
# expects a handful of rows.
event.listen(
    EmailDelivery.__table__,
    "after_create",
    DDL(  # type: ignore[no-untyped-call]
        "CREATE STATISTICS email_deliveries_campaigns (dependencies, mcv) "
        "ON organization_id, campaign_id FROM email_deliveries"
    ),
)


class ProviderBudget(Base):
    """The time from which a provider account may send again, set by `system.reserve_sending`. Has no tenant."""

    __tablename__ = "provider_budgets"
    __row_security__ = function_rows("SELECT, INSERT, UPDATE")

    account: Mapped[str] = mapped_column(primary_key=True)
    reserved_until: Mapped[datetime]
