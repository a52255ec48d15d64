"""Leases on rows: which worker may change a row, and until when. Expiry is by the database's clock.

`acquire`, `renew` and `release` work on one row, in the caller's transaction. Each lease has a token, which fences
off earlier holders: a change under an older token matches no row. Statements that lease batches of rows (`FOR UPDATE
SKIP LOCKED`, ranges of ids) are built where they are used, from `lease_values`, `RELEASED`, `has_expired`, `is_held`.
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
"""The lease columns of a row without a lease."""
_NO_VALUES: Final[Mapping[str, Any]] = MappingProxyType({})


class LeaseLost(Exception):
    """The row is leased by another holder, or its work has ended: this holder must not change it any more."""


class Leased:
    """Mixin with the lease columns of a table."""

    lease_token: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]


class AcquiredLease(NamedTuple):
    """A row leased to the caller, with the token of the lease."""

    token: UUID
    row: Row[Any]


def lease_values(token: Any, seconds: Any) -> dict[str, Any]:  # noqa: ANN401 - values or SQL expressions
    """The lease columns for a lease that expires in `seconds`."""
    return {"lease_token": token, "lease_until": now_plus(seconds)}


def has_expired(table: type[Leased]) -> ColumnElement[bool]:
    """Whether the row has a lease that has expired; false or NULL without a lease."""
    return table.lease_until < func.clock_timestamp()


def is_free(table: type[Leased]) -> ColumnElement[bool]:
    """Whether the row has no lease, or an expired one."""
    return or_(table.lease_until.is_(None), has_expired(table))


def is_held(table: type[Leased], token: Any) -> ColumnElement[bool]:  # noqa: ANN401 - a value or an SQL expression
    """Whether the row has this lease, expired or not: until another is acquired, the holder may still use it."""
    held: ColumnElement[bool] = table.lease_token == token
    return held


async def acquire(
    uow: UnitOfWork,
    table: type[Leased],
    row: ColumnElement[bool],
    *,
    seconds: float,
    values: Mapping[str, Any] = _NO_VALUES,
    returning: Sequence[Any],
) -> AcquiredLease | None:
    """Lease a free row, and set other `values` in the same UPDATE; None if the row is leased or does not exist.

    `row` is the condition that selects it. Of two concurrent callers, one gets the lease.
    """
    token = new_id()
    statement = update(table).where(row, is_free(table)).values(**lease_values(token, seconds), **values)
    rows = await uow.rows(statement.returning(*returning))
    return AcquiredLease(token, rows[0]) if rows else None


async def renew(
    uow: UnitOfWork,
    table: type[Leased],
    row: ColumnElement[bool],
    token: UUID,
    *,
    seconds: float,
    values: Mapping[str, Any] = _NO_VALUES,
) -> None:
    """Extend a lease to `seconds` from now, and set other `values` in the same UPDATE. Raises `LeaseLost`."""
    await _change(uow, table, row, token, {**lease_values(token, seconds), **values})


async def release(
    uow: UnitOfWork,
    table: type[Leased],
    row: ColumnElement[bool],
    token: UUID,
    *,
    values: Mapping[str, Any] = _NO_VALUES,
) -> None:
    """End a lease, and set other `values` in the same UPDATE. Raises `LeaseLost`."""
    await _change(uow, table, row, token, {**RELEASED, **values})


async def _change(
    uow: UnitOfWork, table: type[Leased], row: ColumnElement[bool], token: UUID, values: Mapping[str, Any]
) -> None:
    changed = await uow.execute(update(table).where(row, is_held(table, token)).values(**values))
    if not changed.rowcount:
        raise LeaseLost
