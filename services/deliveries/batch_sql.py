"""Conditions by which statements find the rows of a batch in `email_deliveries`, with or without statistics.

A campaign that was prepared a moment ago is not in the statistics yet: PostgreSQL estimates one row for it, and scans
its million rows where it should look up five hundred. The ids of a batch are close together, so a condition on the
lowest and highest id keeps even a wrong plan from reading many other rows.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, CTE, Subquery, Uuid, any_, bindparam
from sqlalchemy.types import TypeEngine

from core.database.arrays import array_rows
from models.deliveries import EmailDelivery


def id_range(ids: Sequence[UUID]) -> dict[str, Any]:
    """Bind the parameters of `_in_id_range`, `id_in_batch` and `in_values`."""
    return {"id_values": ids, "low": min(ids), "high": max(ids)}


def of_campaign(
    organization_id: UUID, campaign_id: UUID, rows: type[EmailDelivery] = EmailDelivery
) -> tuple[Any, ...]:
    """The condition on the deliveries of a campaign."""
    return (rows.organization_id == organization_id, rows.campaign_id == campaign_id)


def of_bound_campaign() -> tuple[Any, ...]:
    """The condition on the deliveries of the campaign in the bound parameters."""
    return (
        EmailDelivery.organization_id == bindparam("organization", type_=Uuid),
        EmailDelivery.campaign_id == bindparam("campaign", type_=Uuid),
    )


def _in_id_range() -> tuple[Any, ...]:
    """The condition on the bound campaign's deliveries between the bound ids."""
    return (
        *of_bound_campaign(),
        EmailDelivery.id >= bindparam("low", type_=Uuid),
        EmailDelivery.id <= bindparam("high", type_=Uuid),
    )


def id_in_batch() -> tuple[Any, ...]:
    """The condition on the bound campaign's deliveries with the bound ids.

    The ids are bound as UUIDs: a cast from text is not leakproof, so Row Level Security would prevent an index scan.
    """
    return (*_in_id_range(), EmailDelivery.id == any_(bindparam("id_values", type_=ARRAY(Uuid))))


def values_by_id(**columns: TypeEngine[Any]) -> Subquery:
    """The bound ids as rows (`id`), each with its value of the bound arrays `<column>_values`."""
    return array_rows(id=Uuid(), **columns)


def in_values(values: Subquery) -> tuple[Any, ...]:
    """The condition on the bound campaign's deliveries for which `values_by_id` has a row."""
    return (*_in_id_range(), EmailDelivery.id == values.c.id)


def id_in_locked(organization_id: UUID, campaign_id: UUID, locked: CTE) -> tuple[Any, ...]:
    """The condition on the campaign's deliveries that a CTE of the same statement has locked."""
    return (*of_campaign(organization_id, campaign_id), EmailDelivery.id == locked.c.id)
