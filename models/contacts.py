from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Computed, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, Json, Key, OrganizationId, OrganizationKey, one_of
from models.folding import folded_sql
from models.row_security import WITH_DELETE, organization_rows


class ContactStatus(StrEnum):
    """Whether a contact may be mailed; only SUBSCRIBED may."""

    SUBSCRIBED = "subscribed"
    PENDING = "pending"
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


class Contact(Base):
    __tablename__ = "contacts"
    __row_security__ = organization_rows(WITH_DELETE, lookup=("organization_id", "email_norm"))
    __table_args__ = (
        UniqueConstraint("organization_id", "id"),
        UniqueConstraint("organization_id", "email_norm"),
        Index(None, "organization_id", "created_at", "id"),
        Index(None, "organization_id", "last_name_norm", "id"),
        # For `system.attribute_events`, which finds all organizations that have an address.
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
    # A generated column, because `lower()` in a condition is not leakproof: under RLS no index would be used.
    last_name_norm: Mapped[str] = mapped_column(Computed("lower(coalesce(last_name, ''))", persisted=True))
    search_text: Mapped[str] = mapped_column(
        Computed(
            folded_sql("coalesce(first_name, '') || ' ' || coalesce(last_name, '') || ' ' || email"), persisted=True
        )
    )


class ContactTag(Base):
    __tablename__ = "contact_tags"
    __row_security__ = organization_rows(WITH_DELETE)
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "contact_id"], ["contacts.organization_id", "contacts.id"], ondelete="CASCADE"
        ),
        Index(None, "organization_id", "tag", "contact_id"),
    )

    organization_id: Mapped[OrganizationKey]
    contact_id: Mapped[UUID] = mapped_column(primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True)
