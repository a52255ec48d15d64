from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Computed, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, OrganizationKey, one_of
from models.row_security import organization_rows


class SuppressionReason(StrEnum):
    """Why an address must not be mailed."""

    HARD_BOUNCE = "hard_bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBED = "unsubscribed"
    PROVIDER = "provider"


class SuppressionSource(StrEnum):
    """Whose suppression it is. The provider can lift its own suppressions, but not ours."""

    OWN = "own"
    PROVIDER = "provider"


# A lift at the same time as the suppression does not count: if the order is unknown, the address is not mailed.
_IS_ACTIVE = "occurred_at IS NOT NULL AND (source = 'own'::text OR lifted_at IS NULL OR occurred_at >= lifted_at)"


class Suppression(Base):
    """A reason why an address must not be mailed, one row for each reason. It outlives its contact.

    The address is suppressed while any of its rows `is_active`. `occurred_at` is the latest time for which the reason
    was reported, `lifted_at` the latest at which the provider lifted its suppression. A row may hold a lift alone, so
    that an older suppression that is reported later has no effect.
    """

    __tablename__ = "suppressions"
    __row_security__ = organization_rows(lookup=("organization_id", "email_norm"))
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
    is_active: Mapped[bool] = mapped_column(Computed(_IS_ACTIVE, persisted=True))
    campaign_id: Mapped[UUID | None]
    created_at: Mapped[CreatedAt]
