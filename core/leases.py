"""Leases of rows: who works on a row, and until when. The database's clock decides; a token tells holders apart.

One row is taken with `take`, kept with `renew` and given back with `release`, each in the caller's transaction. The
token is a fence: a change that names an older one finds no row. Batches of rows, whose statements are written for
their plans (`FOR UPDATE SKIP LOCKED`, ranges of ids), share the parts: `taken`, `RELEASED`, `has_expired`, `is_held`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, or_, update
from sqlalchemy.orm import Mapped

from core.database.clock import now_plus
from core.ids import new_id
from core.unit_of_work import UnitOfWork

RELEASED: Final[Mapping[str, None]] = MappingProxyType({"lease_token": None, "lease_until": None})
"""The values of a row that nobody holds."""
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class LeaseLost(Exception):
    """Somebody else has the row, or its work has ended: this holder must change nothing any more."""


class Leased:
    """The columns of a table whose rows are leased."""

    lease_token: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]


class Taken(NamedTuple):
    """A row that is ours, and the token that says so."""

    token: UUID
    row: Row[Any]


def taken(token: Any, seconds: Any) -> dict[str, Any]:  # noqa: ANN401 - values or SQL expressions
    """The values of a row under a lease that ends in so many seconds."""
    return {"lease_token": token, "lease_until": now_plus(seconds)}


def has_expired(table: type[Leased]) -> ColumnElement[bool]:
    """Whether the row's lease is over; not of a row without one."""
    return table.lease_until < func.clock_timestamp()


def is_free(table: type[Leased]) -> ColumnElement[bool]:
    """Whether nobody holds the row (any more)."""
    return or_(table.lease_until.is_(None), has_expired(table))


def is_held(table: type[Leased], token: Any) -> ColumnElement[bool]:  # noqa: ANN401 - a value or an SQL expression
    """Whether the row is under this lease, which may be over as long as nobody else has taken the row."""
    held: ColumnElement[bool] = table.lease_token == token
    return held


async def take(
    uow: UnitOfWork,
    table: type[Leased],
    row: ColumnElement[bool],
    *,
    seconds: float,
    values: Mapping[str, Any] = NOTHING,
    returning: Sequence[Any],
) -> Taken | None:
    """Take a row that is free, with other `values` in the same change; None when somebody holds it or there is none.

    `row` is the condition that names it. Of two who take it at once, one gets it.
    """
    token = new_id()
    statement = update(table).where(row, is_free(table)).values(**taken(token, seconds), **values)
    rows = await uow.rows(statement.returning(*returning))
    return Taken(token, rows[0]) if rows else None


async def renew(
    uow: UnitOfWork,
    table: type[Leased],
    row: ColumnElement[bool],
    token: UUID,
    *,
    seconds: float,
    values: Mapping[str, Any] = NOTHING,
) -> None:
    """Keep a row for so many seconds from now, with other `values` in the same change. Raises `LeaseLost`."""
    await _change(uow, table, row, token, {**taken(token, seconds), **values})


async def release(
    uow: UnitOfWork,
    table: type[Leased],
    row: ColumnElement[bool],
    token: UUID,
    *,
    values: Mapping[str, Any] = NOTHING,
) -> None:
    """Give a row back, with other `values` in the same change. Raises `LeaseLost`."""
    await _change(uow, table, row, token, {**RELEASED, **values})


async def _change(
    uow: UnitOfWork, table: type[Leased], row: ColumnElement[bool], token: UUID, values: Mapping[str, Any]
) -> None:
    changed = await uow.execute(update(table).where(row, is_held(table, token)).values(**values))
    if not changed.rowcount:
        raise LeaseLost
