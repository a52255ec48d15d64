"""Raising deliveries by what the provider tells: a status only rises, and the earliest time told stays."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Text, bindparam, case, func, update

from core.pubsub import campaign_topic
from core.unit_of_work import UnitOfWork
from models.deliveries import DeliveryStatus, EmailDelivery
from services.deliveries.planning import given, within_span

RANKS = (
    DeliveryStatus.ACCEPTED,
    DeliveryStatus.DELIVERED,
    DeliveryStatus.BOUNCED,
    DeliveryStatus.COMPLAINED,
)
TIMES = ("delivered_at", "bounced_at", "complained_at", "opened_at", "clicked_at")


@dataclass(slots=True, kw_only=True)
class Raise:
    """What is now known of a delivery. Any word of it from the provider means that it has been accepted."""

    status: DeliveryStatus = DeliveryStatus.ACCEPTED
    message_id: str | None = None
    delivered_at: datetime | None = None
    bounced_at: datetime | None = None
    complained_at: datetime | None = None
    opened_at: datetime | None = None
    clicked_at: datetime | None = None

    def reach(self, status: DeliveryStatus) -> None:
        """Rise to a status, never fall."""
        self.status = max(self.status, status, key=RANKS.index)

    def note(self, name: str, at: datetime) -> None:
        """Set a time, the earliest that is told."""
        known: datetime | None = getattr(self, name)
        setattr(self, name, at if known is None else min(known, at))


@lru_cache
def raise_statement() -> Any:  # noqa: ANN401 - an UPDATE
    """Raise many deliveries of a campaign at once."""
    times = dict.fromkeys(TIMES, DateTime(timezone=True))
    given_rows = given(status=Text(), message_id=Text(), **times)
    ranks = bindparam("ranks", [str(status) for status in RANKS], type_=ARRAY(Text))
    rises = func.coalesce(func.array_position(ranks, EmailDelivery.status), 0) < func.array_position(
        ranks, given_rows.c.status
    )
    return (
        update(EmailDelivery)
        .where(*within_span(), EmailDelivery.id == given_rows.c.id)
        .values(
            status=case((rises, given_rows.c.status), else_=EmailDelivery.status),
            message_id=func.coalesce(EmailDelivery.message_id, given_rows.c.message_id),
            accepted_at=func.coalesce(EmailDelivery.accepted_at, EmailDelivery.submitted_at, func.clock_timestamp()),
            lease_token=None,
            lease_until=None,
            next_lookup_at=None,
            **{name: func.least(getattr(EmailDelivery, name), given_rows.c[name]) for name in TIMES},
        )
    )


async def raise_deliveries(uow: UnitOfWork, campaign_id: UUID, raises: dict[UUID, Raise]) -> None:
    """Raise a campaign's deliveries, in the order of their ids, and announce its progress."""
    if not raises:
        return
    ordered = sorted(raises.items(), key=lambda item: item[0])
    await uow.execute(
        raise_statement(),
        {
            "organization": uow.tenant.organization_id,
            "campaign": campaign_id,
            "low": ordered[0][0],
            "high": ordered[-1][0],
            "ids": [delivery_id for delivery_id, _ in ordered],
            "given_status": [str(found.status) for _, found in ordered],
            "given_message_id": [found.message_id for _, found in ordered],
            **{f"given_{name}": [getattr(found, name) for _, found in ordered] for name in TIMES},
        },
    )
    uow.publish(campaign_topic(uow.tenant.organization_id, campaign_id))
