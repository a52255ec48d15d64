from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Computed, ForeignKeyConstraint, Index, PrimaryKeyConstraint, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_id
from models.base import Base, CreatedAt, Json, Key, OrganizationId, OrganizationKey, one_of
from models.folding import folded_sql


class ContactStatus(StrEnum):
    """Whether a contact may be mailed; only SUBSCRIBED may."""

    SUBSCRIBED = "subscribed"
    PENDING = "pending"
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


class SuppressionReason(StrEnum):
    """Why an address is never mailed again."""

    HARD_BOUNCE = "hard_bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBED = "unsubscribed"
    PROVIDER = "provider"


class SuppressionSource(StrEnum):
    """Who said so. What the provider has set, the provider can lift; what we were told ourselves, it cannot."""

    OWN = "own"
    PROVIDER = "provider"


class ContactEventKind(StrEnum):
    """What happened to a contact."""

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


# A lift of the same moment does not count: in doubt nobody is mailed.
IS_ACTIVE = "occurred_at IS NOT NULL AND (source = 'own'::text OR lifted_at IS NULL OR occurred_at >= lifted_at)"


class Contact(Base):
    __tablename__ = "contacts"
    __table_args__ = (
        UniqueConstraint("organization_id", "id"),
        UniqueConstraint("organization_id", "email_norm"),
        Index(None, "organization_id", "created_at", "id"),
        Index(None, "organization_id", "last_name_norm", "id"),
        # For `system.attribute_events`, which looks an address up across organisations. Not unique: it tells nobody.
        Index(None, "email_norm"),
        one_of("status", ContactStatus),
    )

    id: Mapped[Key]
    organization_id: Mapped[OrganizationId]
    email: Mapped[str]
    email_norm: Mapped[str]
    first_name: Mapped[str | None]
    last_name: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default=ContactStatus.SUBSCRIBED)
    custom_fields: Mapped[Json]
    time_zone: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
    subscribed_at: Mapped[datetime | None]
    unsubscribed_at: Mapped[datetime | None]
    # Lower-cased by the database, as `lower()` in a condition is not leakproof and would keep an index from use.
    last_name_norm: Mapped[str] = mapped_column(Computed("lower(coalesce(last_name, ''))", persisted=True))
    search_text: Mapped[str] = mapped_column(
        Computed(
            folded_sql("coalesce(first_name, '') || ' ' || coalesce(last_name, '') || ' ' || email"), persisted=True
        )
    )


class ContactTag(Base):
    __tablename__ = "contact_tags"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "contact_id"], ["contacts.organization_id", "contacts.id"], ondelete="CASCADE"
        ),
        Index(None, "organization_id", "tag", "contact_id"),
    )

    organization_id: Mapped[OrganizationKey]
    contact_id: Mapped[UUID] = mapped_column(primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True)


class ContactList(Base):
    __tablename__ = "lists"
    __table_args__ = (UniqueConstraint("organization_id", "id"), UniqueConstraint("organization_id", "name"))

    id: Mapped[Key]
    organization_id: Mapped[OrganizationId]
    name: Mapped[str]
    description: Mapped[str | None]
    created_at: Mapped[CreatedAt]


class ListMembership(Base):
    __tablename__ = "list_memberships"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "list_id"], ["lists.organization_id", "lists.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["organization_id", "contact_id"], ["contacts.organization_id", "contacts.id"], ondelete="CASCADE"
        ),
        Index(None, "organization_id", "contact_id"),
    )

    organization_id: Mapped[OrganizationKey]
    list_id: Mapped[UUID] = mapped_column(primary_key=True)
    contact_id: Mapped[UUID] = mapped_column(primary_key=True)
    added_at: Mapped[CreatedAt]


class Suppression(Base):
    """A reason why an address must not be mailed, one row for each reason. It outlives its contact.

    The address is suppressed while any of its rows `is_active`. `occurred_at` is the latest time at which the reason
    was told, `lifted_at` the latest at which the provider said that it mails the address again; a row may be nothing
    but a lift, so that a suppression from before it has no effect when it arrives late.
    """

    __tablename__ = "suppressions"
    __table_args__ = (
        one_of("reason", SuppressionReason),
        one_of("source", SuppressionSource),
        Index(None, "email_norm"),  # as that of contacts
    )

    organization_id: Mapped[OrganizationKey]
    email_norm: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(server_default=SuppressionSource.OWN)
    occurred_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    lifted_at: Mapped[datetime | None]
    is_active: Mapped[bool] = mapped_column(Computed(IS_ACTIVE, persisted=True))
    campaign_id: Mapped[UUID | None]
    created_at: Mapped[CreatedAt]


class ContactEvent(Base):
    """What happened to a contact, partitioned by month of `occurred_at`. The dedupe key makes a repeat harmless."""

    __tablename__ = "contact_events"
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
