from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.leases import Leased
from models.base import Base, CreatedAt, Json, Key, OrganizationId, one_of
from models.row_security import user_rows


class MessageRole(StrEnum):
    """Who wrote the message."""

    USER = "user"
    ASSISTANT = "assistant"


class MessageStatus(StrEnum):
    """The state of a message. A user's message is completed from the start."""

    PENDING = "pending"
    STREAMING = "streaming"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class ReplyFailure(StrEnum):
    """Why a reply failed."""

    MODEL_UNAVAILABLE = "MODEL_UNAVAILABLE"
    MODEL_REFUSED = "MODEL_REFUSED"
    CUT_OFF = "CUT_OFF"
    CONTENT_FILTERED = "CONTENT_FILTERED"
    TIMEOUT = "TIMEOUT"
    RUN_LIMIT = "RUN_LIMIT"
    INTERRUPTED = "INTERRUPTED"
    INTERNAL = "INTERNAL"


class Conversation(Base):
    """A conversation with Maya, visible to its author only."""

    __tablename__ = "ai_conversations"
    __row_security__ = user_rows()
    __table_args__ = (
        UniqueConstraint("organization_id", "user_id", "id"),
        ForeignKeyConstraint(
            ["organization_id", "user_id"], ["users.organization_id", "users.id"], ondelete="CASCADE"
        ),
        Index(None, "organization_id", "user_id", "updated_at", "id"),
    )

    id: Mapped[Key]
    organization_id: Mapped[OrganizationId]
    user_id: Mapped[UUID]
    title: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]


class MayaMessage(Leased, Base):
    """A message of a user or a reply of Maya. The worker that runs a reply leases it; `attempt` fences off others.

    `last_sequence` is the sequence of the newest event in the reply's log. It is up to date once the reply has ended;
    before, it may lag behind the log.
    """

    __tablename__ = "ai_messages"
    __row_security__ = user_rows(lookup=("id", "organization_id", "user_id", "status", "lease_until"))
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "user_id", "conversation_id"],
            ["ai_conversations.organization_id", "ai_conversations.user_id", "ai_conversations.id"],
            ondelete="CASCADE",
        ),
        Index(None, "organization_id", "conversation_id", "created_at", "id"),
        Index("ix_ai_messages_open", "id", postgresql_where=text("status IN ('pending', 'streaming')")),
        one_of("role", MessageRole),
        one_of("status", MessageStatus),
    )

    id: Mapped[Key]
    organization_id: Mapped[OrganizationId]
    user_id: Mapped[UUID]
    conversation_id: Mapped[UUID]
    role: Mapped[str]
    status: Mapped[str]
    content: Mapped[str] = mapped_column(server_default="")
    model: Mapped[str | None]
    usage: Mapped[Json]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(server_default="0")
    last_sequence: Mapped[int] = mapped_column(server_default="0")
    cancel_requested_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    completed_at: Mapped[datetime | None]
