"""Updating deliveries from the provider's events, which come in any order.

A status only advances, and of several times the earliest is stored.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Text, bindparam, case, func, update

from core.leases import RELEASED
from core.pubsub import campaign_topic
from core.unit_of_work import UnitOfWork
from models.deliveries import DeliveryStatus, EmailDelivery
from services.deliveries.batch_sql import id_range, in_values, values_by_id

RANKS = (
    DeliveryStatus.ACCEPTED,
    DeliveryStatus.DELIVERED,
    DeliveryStatus.BOUNCED,
    DeliveryStatus.COMPLAINED,
)
_TIMES = ("delivered_at", "bounced_at", "complained_at", "opened_at", "clicked_at")


@dataclass(slots=True, kw_only=True)
class DeliveryUpdate:
    """The changes of a delivery by one or more events. Any event means that the message was accepted."""

    status: DeliveryStatus = DeliveryStatus.ACCEPTED
    message_id: str | None = None
    delivered_at: datetime | None = None
    bounced_at: datetime | None = None
    complained_at: datetime | None = None
    opened_at: datetime | None = None
    clicked_at: datetime | None = None

    def advance_to(self, status: DeliveryStatus) -> None:
        """Advance to a status; a lower one has no effect."""
        self.status = max(self.status, status, key=RANKS.index)

    def set_earliest(self, name: str, at: datetime) -> None:
        """Set a time, unless an earlier one is set."""
        earliest: datetime | None = getattr(self, name)
        setattr(self, name, at if earliest is None else min(earliest, at))


@lru_cache
def _update_statement() -> Any:  # noqa: ANN401 - an UPDATE
    """Update many deliveries of a campaign in one statement."""
    times = dict.fromkeys(_TIMES, DateTime(timezone=True))
    values = values_by_id(status=Text(), message_id=Text(), **times)
    ranks = bindparam("ranks", [str(status) for status in RANKS], type_=ARRAY(Text))
    advances = func.coalesce(func.array_position(ranks, EmailDelivery.status), 0) < func.array_position(
        ranks, values.c.status
    )
    return (
        update(EmailDelivery)
        .where(*in_values(values))
        .values(
            status=case((advances, values.c.status), else_=EmailDelivery.status),
            message_id=func.coalesce(EmailDelivery.message_id, values.c.message_id),
            accepted_at=func.coalesce(EmailDelivery.accepted_at, EmailDelivery.submitted_at, func.clock_timestamp()),
            **RELEASED,
            next_lookup_at=None,
            **{name: func.least(getattr(EmailDelivery, name), values.c[name]) for name in _TIMES},
        )
    )


async def apply_updates(uow: UnitOfWork, campaign_id: UUID, updates: dict[UUID, DeliveryUpdate]) -> None:
    """Update a campaign's deliveries, and publish its progress."""
    if not updates:
        return
    ordered = sorted(updates.items(), key=lambda item: item[0])
    await uow.execute(
        _update_statement(),
        {
            "organization": uow.tenant.organization_id,
            "campaign": campaign_id,
            **id_range([delivery_id for delivery_id, _ in ordered]),
            "status_values": [str(update.status) for _, update in ordered],
            "message_id_values": [update.message_id for _, update in ordered],
            **{f"{name}_values": [getattr(update, name) for _, update in ordered] for name in _TIMES},
        },
    )
    uow.publish(campaign_topic(uow.tenant.organization_id, campaign_id))
