from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.access.permissions import Role
from models.base import Base, CreatedAt, Json, Key, OrganizationId, one_of
from models.row_security import organization_rows


class Organization(Base):
    __tablename__ = "organizations"
    __row_security__ = organization_rows(key="id")

    id: Mapped[Key]
    name: Mapped[str]
    slug: Mapped[str] = mapped_column(unique=True)
    settings: Mapped[Json]
    created_at: Mapped[CreatedAt]


class User(Base):
    """A user of one organization. The address is unique across all organizations, because users log in with it."""

    __tablename__ = "users"
    __row_security__ = organization_rows(lookup=("id", "organization_id", "email_norm"))
    __table_args__ = (one_of("role", Role), UniqueConstraint("organization_id", "id"))

    id: Mapped[Key]
    organization_id: Mapped[OrganizationId]
    email: Mapped[str]
    email_norm: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    full_name: Mapped[str]
    role: Mapped[str]
    preferences: Mapped[Json]
    last_login_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


class UserSession(Base):
    """A session from log-in to log-out. Of its refresh tokens one is valid at a time."""

    __tablename__ = "user_sessions"
    __row_security__ = organization_rows(
        lookup=("id", "organization_id", "user_id", "expires_at", "ended_at"),
        expired="least(expires_at, ended_at) <= now() - interval '30 days'",
    )
    __table_args__ = (
        UniqueConstraint("organization_id", "id"),
        ForeignKeyConstraint(
            ["organization_id", "user_id"], ["users.organization_id", "users.id"], ondelete="CASCADE"
        ),
        Index(None, "organization_id", "user_id"),
    )

    id: Mapped[Key]
    organization_id: Mapped[OrganizationId]
    user_id: Mapped[UUID]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_reason: Mapped[str | None]


class RefreshToken(Base):
    """A refresh token, stored as a hash. A used one that is presented again ends its session: it was copied."""

    __tablename__ = "refresh_tokens"
    __row_security__ = organization_rows(
        lookup=("fingerprint", "organization_id", "session_id", "used_at"),
        expired="used_at <= now() - interval '30 days'",
    )
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "session_id"],
            ["user_sessions.organization_id", "user_sessions.id"],
            ondelete="CASCADE",
        ),
        Index(None, "organization_id", "session_id"),
    )

    fingerprint: Mapped[bytes] = mapped_column(primary_key=True)
    organization_id: Mapped[OrganizationId]
    session_id: Mapped[UUID]
    created_at: Mapped[CreatedAt]
    used_at: Mapped[datetime | None]
