"""How the ledger's statements find their rows, whatever PostgreSQL knows, or does not yet know, of the table.

A freshly frozen campaign has no statistics: PostgreSQL takes its million rows for one and reads them all rather than
look up five hundred. A batch's ids lie close together, so that with their bounds it cannot read much beyond them.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Subquery, Uuid, any_, bindparam, func, select
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.types import TypeEngine

from models.deliveries import EmailDelivery


def span(ids: Sequence[UUID]) -> dict[str, Any]:
    """The parameters of `within_span` and `is_listed`."""
    return {"ids": ids, "low": min(ids), "high": max(ids)}


def of_bound_campaign() -> tuple[Any, ...]:
    """The deliveries of the bound campaign."""
    return (
        EmailDelivery.organization_id == bindparam("organization", type_=Uuid),
        EmailDelivery.campaign_id == bindparam("campaign", type_=Uuid),
    )


def within_span() -> tuple[Any, ...]:
    """The bound campaign's deliveries between the bound ids."""
    return (
        *of_bound_campaign(),
        EmailDelivery.id >= bindparam("low", type_=Uuid),
        EmailDelivery.id <= bindparam("high", type_=Uuid),
    )


def is_listed() -> tuple[Any, ...]:
    """The bound campaign's deliveries with the bound ids; uuids all the way, as a cast from text is not leakproof."""
    return (*within_span(), EmailDelivery.id == any_(bindparam("ids", type_=ARRAY(Uuid))))


def given(**columns: TypeEngine[Any]) -> Subquery:
    """The bound ids as rows (`id`), each with its value of the bound arrays `given_<column>`.

    Not by unnest(), which a generic plan takes for ten rows, and then joins with loops within loops; of
    generate_subscripts() it expects a thousand.
    """
    ids = bindparam("ids", type_=ARRAY(Uuid))
    place = func.generate_subscripts(ids, 1).column_valued("place")
    arrays = {name: Grouping(bindparam(f"given_{name}", type_=ARRAY(kind))) for name, kind in columns.items()}
    values = [array[place].label(name) for name, array in {"id": Grouping(ids), **arrays}.items()]
    return select(*values).subquery("given")
