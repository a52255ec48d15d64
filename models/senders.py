from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, Key, OrganizationId
from models.row_security import WITH_DELETE, organization_rows


class Sender(Base):
    """An address that an organization sends from. `confirmed_at` is when the owner of the mailbox agreed to that.

    At most one sender is the default. `becomes_default` makes this one the default when it is confirmed.
    `requested_by` is the user who requested the newest confirmation.
    """

    __tablename__ = "senders"
    __row_security__ = organization_rows(WITH_DELETE)
    __table_args__ = (
        UniqueConstraint("organization_id", "id"),
        UniqueConstraint("organization_id", "email_norm"),
        ForeignKeyConstraint(
            ["organization_id", "requested_by"],
            ["users.organization_id", "users.id"],
            ondelete="SET NULL (requested_by)",
        ),
        Index("ix_senders_default", "organization_id", unique=True, postgresql_where=text("is_default")),
    )

    id: Mapped[Key]
    organization_id: Mapped[OrganizationId]
    email: Mapped[str]
    email_norm: Mapped[str]
    name: Mapped[str]
    confirmed_at: Mapped[datetime | None]
    is_default: Mapped[bool] = mapped_column(server_default=text("false"))
    becomes_default: Mapped[bool] = mapped_column(server_default=text("false"))
    requested_by: Mapped[UUID | None]
    created_at: Mapped[CreatedAt]


class SenderConfirmation(Base):
    """A token mailed to a sender's address, stored as a hash. Using one deletes all of the sender's tokens."""

    __tablename__ = "sender_confirmations"
    __row_security__ = organization_rows(
        WITH_DELETE,
        lookup=("fingerprint", "organization_id", "sender_id", "expires_at"),
        expired="expires_at <= now()",
    )
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "sender_id"], ["senders.organization_id", "senders.id"], ondelete="CASCADE"
        ),
        Index(None, "organization_id", "sender_id"),
    )

    fingerprint: Mapped[bytes] = mapped_column(primary_key=True)
    organization_id: Mapped[OrganizationId]
    sender_id: Mapped[UUID]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
