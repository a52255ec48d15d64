"""The audit log."""

from uuid import UUID

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped

from core.access.actor import ActorKind
from models.base import Base, CreatedAt, Json, Key, OrganizationId, one_of
from models.row_security import role_rows


class AuditEvent(Base):
    """One action: its actor, target and changes (before and after, without the contents of messages).

    The actor is the user of `user_id`, the API key of `api_key_id`, Maya on behalf of the user of `on_behalf_of`, or
    the system. The event outlives the rows that it refers to.
    """

    __tablename__ = "audit_events"
    __row_security__ = role_rows("owner", "admin")
    __table_args__ = (
        Index(None, "organization_id", "created_at", "id"),
        one_of("actor_kind", ActorKind),
        CheckConstraint(
            "(user_id IS NOT NULL) = (actor_kind = 'user') "
            "AND (api_key_id IS NOT NULL) = (actor_kind = 'api_key') "
            "AND (on_behalf_of IS NOT NULL) = (actor_kind = 'maya')",
            name="actor",
        ),
    )

    id: Mapped[Key]
    organization_id: Mapped[OrganizationId]
    actor_kind: Mapped[str]
    user_id: Mapped[UUID | None]
    api_key_id: Mapped[UUID | None]
    on_behalf_of: Mapped[UUID | None]
    action: Mapped[str]
    target_id: Mapped[UUID]
    changes: Mapped[Json]
    request_id: Mapped[str | None]
    created_at: Mapped[CreatedAt]
