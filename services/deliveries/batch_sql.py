"""How the statements on `email_deliveries` find a batch's rows, whatever PostgreSQL knows, or not yet, of the table.

A campaign whose audience was frozen a moment ago has no statistics: PostgreSQL takes its million rows for one and
reads them all rather than look up five hundred. A batch's ids lie close together, so that with their bounds it cannot
read much beyond them.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, CTE, Subquery, Uuid, any_, bindparam
from sqlalchemy.types import TypeEngine

from core.database.arrays import array_rows
from models.deliveries import EmailDelivery


def id_range(ids: Sequence[UUID]) -> dict[str, Any]:
    """The parameters of `in_id_range`, `id_in_batch` and `in_values`."""
    return {"id_values": ids, "low": min(ids), "high": max(ids)}


def of_campaign(
    organization_id: UUID, campaign_id: UUID, rows: type[EmailDelivery] = EmailDelivery
) -> tuple[Any, ...]:
    """The deliveries of a campaign."""
    return (rows.organization_id == organization_id, rows.campaign_id == campaign_id)


def of_bound_campaign() -> tuple[Any, ...]:
    """The deliveries of the bound campaign."""
    return (
        EmailDelivery.organization_id == bindparam("organization", type_=Uuid),
        EmailDelivery.campaign_id == bindparam("campaign", type_=Uuid),
    )


def in_id_range() -> tuple[Any, ...]:
    """The bound campaign's deliveries between the bound ids."""
    return (
        *of_bound_campaign(),
        EmailDelivery.id >= bindparam("low", type_=Uuid),
        EmailDelivery.id <= bindparam("high", type_=Uuid),
    )


def id_in_batch() -> tuple[Any, ...]:
    """The bound campaign's deliveries with the bound ids; uuids all the way, as a cast from text is not leakproof."""
    return (*in_id_range(), EmailDelivery.id == any_(bindparam("id_values", type_=ARRAY(Uuid))))


def values_by_id(**columns: TypeEngine[Any]) -> Subquery:
    """The bound ids as rows (`id`), each with its value of the bound arrays `<column>_values`."""
    return array_rows(id=Uuid(), **columns)


def in_values(values: Subquery) -> tuple[Any, ...]:
    """The bound campaign's deliveries that `values_by_id` has a row for."""
    return (*in_id_range(), EmailDelivery.id == values.c.id)


def locked_in(organization_id: UUID, campaign_id: UUID, locked: CTE) -> tuple[Any, ...]:
    """The campaign's deliveries whose ids a part of the same statement has selected, and locked."""
    return (*of_campaign(organization_id, campaign_id), EmailDelivery.id == locked.c.id)
