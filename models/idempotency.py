"""Idempotency keys with the results of their requests."""

from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, OrganizationKey
from models.row_security import organization_rows


class IdempotencyKey(Base):
    """The first result of a request that named a key, replayed for 24 hours."""

    __tablename__ = "idempotency_keys"
    __row_security__ = organization_rows(
        lookup=("organization_id", "key", "expires_at"), expired="expires_at <= now()"
    )

    organization_id: Mapped[OrganizationKey]
    key: Mapped[str] = mapped_column(primary_key=True)
    operation: Mapped[str]
    arguments_hash: Mapped[bytes]
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
