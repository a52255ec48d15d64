"""How statements run: reads of a tenant, calls of SECURITY DEFINER functions, transactions."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar, TypeVarTuple

from sqlalchemy import ColumnElement, Row, Select, Text, bindparam, func, select, true
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.selectable import TypedReturnsRows

from core.access.tenant import Tenant
from core.database.engine import ReadSide, read_side
from core.database.pool import ReadPool
from core.database.prepared import PreparedSelect, prepared_selects
from core.database.tenant import set_tenant, with_tenant

Ts = TypeVarTuple("Ts")
R = TypeVar("R", bound=tuple[Any, ...])
# The server ends the session of a process that stops, or loses its network, within a transaction: locks are released.
IDLE_SECONDS = 15.0
MAX_CONCURRENT_READS = 4
"""Concurrent reads of one operation."""


def _idle_timeout() -> ColumnElement[str]:
    """The setting with which the server ends the session if the transaction is idle for too long.

    Set for the transaction only, because a setting of the session would be lost behind a pooler.
    """
    return func.set_config("idle_in_transaction_session_timeout", bindparam("idle", type_=Text), true()).label("idle")


BEGIN_WITHOUT_TENANT = select(_idle_timeout())
BEGIN_WITH_TENANT = set_tenant().add_columns(_idle_timeout())


class Reader(Protocol):
    """Runs reads for a service: a `ReadScope` or a `UnitOfWork`."""

    @property
    def tenant(self) -> Tenant:
        """The caller, as Row Level Security sees them."""

    async def rows(self, statement: Select[*Ts], parameters: dict[str, Any] | None = None) -> Sequence[Row[*Ts]]:
        """All rows of a SELECT."""

    async def rows_as(
        self, row: type[R], statement: Select[*tuple[Any, ...]], parameters: dict[str, Any] | None = None
    ) -> list[R]:
        """All rows of a SELECT, as tuples of the class `row`: `tuple`, or a named tuple of the columns."""


async def first(reads: Reader, statement: Select[*Ts], parameters: dict[str, Any] | None = None) -> Row[*Ts] | None:
    """The first row of a SELECT, or None."""
    rows = await reads.rows(statement, parameters)
    return rows[0] if rows else None


class ReadScope:
    """The reads of one GraphQL operation, each statement in one round trip.

    Prepared statements of sibling fields run concurrently, on at most 4 connections, as long as half of the pool is
    unused; otherwise one at a time, as other statements always do. So an operation with many fields does not slow
    down other operations.
    """

    def __init__(self, side: ReadSide, tenant: Tenant) -> None:
        self.engine = side.engine
        self.pool = side.pool
        self.tenant = tenant
        self.running = 0
        self.waiting: deque[tuple[asyncio.Future[None], ReadPool | None]] = deque()

    async def rows(self, statement: Select[*Ts], parameters: dict[str, Any] | None = None) -> Sequence[Row[*Ts]]:
        """All rows of a SELECT, under the tenant's policies."""
        prepared = prepared_selects.get(statement) if self.pool is not None else None
        records = await self._fetch(prepared, statement, parameters)
        return records if prepared is None else prepared.rows(records)

    async def rows_as(
        self, row: type[R], statement: Select[*tuple[Any, ...]], parameters: dict[str, Any] | None = None
    ) -> list[R]:
        """All rows of a SELECT, under the tenant's policies, as tuples of the class `row`."""
        prepared = prepared_selects.get(statement) if self.pool is not None else None
        records = await self._fetch(prepared, statement, parameters)
        return as_tuples(row, records if prepared is None else prepared.values(records))

    async def _fetch(
        self,
        prepared: PreparedSelect | None,
        statement: Select[*tuple[Any, ...]],
        parameters: dict[str, Any] | None,
    ) -> Sequence[Any]:
        """Run a read; returns asyncpg's records for a prepared statement, otherwise SQLAlchemy's rows."""
        tenant = self.tenant.parameters
        bound = parameters | tenant if parameters else tenant
        pool = None if prepared is None else self.pool
        if self.running and (self.waiting or not self._may_start(pool)):
            await self._wait_to_start(pool)
        else:
            self.running += 1
        try:
            if prepared is not None and pool is not None:
                return await pool.fetch(prepared, bound)
            return await _execute_read(self.engine, with_tenant(statement), bound)
        finally:
            self._end()

    def _may_start(self, pool: ReadPool | None) -> bool:
        """Whether a read may start now: on the read pool with other reads, otherwise only alone."""
        return not self.running or (pool is not None and self.running < MAX_CONCURRENT_READS and pool.has_spare)

    async def _wait_to_start(self, pool: ReadPool | None) -> None:
        """Wait until the read may start, and count it as running."""
        ready = asyncio.get_running_loop().create_future()
        self.waiting.append((ready, pool))
        try:
            await ready
        except asyncio.CancelledError:
            if ready.done() and not ready.cancelled():
                self._end()
            raise

    def _end(self) -> None:
        """Count a read as ended, and start the waiting reads that may run, in order."""
        self.running -= 1
        while self.waiting:
            ready, pool = self.waiting[0]
            if not ready.done():
                if not self._may_start(pool):
                    return
                self.running += 1
                ready.set_result(None)
            self.waiting.popleft()


def as_tuples(row: type[R], records: Sequence[Any]) -> list[R]:
    """The rows as tuples of the class; raises `TypeError` if a named tuple has another number of fields."""
    if records and len(records[0]) != len(getattr(row, "_fields", records[0])):
        raise TypeError(f"{row.__name__} does not have {len(records[0])} fields")
    new = tuple.__new__
    return [new(row, each) for each in records]


class SystemScope:
    """Calls of SECURITY DEFINER functions, which see all tenants and return ids, flags, counts or a waiting time."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = read_side(engine).engine

    async def rows(
        self, statement: TypedReturnsRows[*Ts], parameters: dict[str, Any] | None = None
    ) -> Sequence[Row[*Ts]]:
        """All rows of a statement, without a tenant."""
        async with self.engine.connect() as connection:
            result = await connection.execute(statement, parameters or {})
            return result.all()


async def _execute_read(
    engine: AsyncEngine, statement: Select[*Ts], parameters: Mapping[str, Any]
) -> Sequence[Row[*Ts]]:
    """Run a read; retry it once if the connection was stale, as after a restart of the server."""
    try:
        async with engine.connect() as connection:
            return (await connection.execute(statement, parameters)).all()
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
    async with engine.connect() as connection:
        return (await connection.execute(statement, parameters)).all()


@asynccontextmanager
async def transaction(
    engine: AsyncEngine, tenant: Tenant | None, *, idle_seconds: float = IDLE_SECONDS
) -> AsyncIterator[AsyncConnection]:
    """Open a transaction for a tenant or without one, which the server ends if it is idle for `idle_seconds`."""
    async with engine.connect() as connection, connection.begin():
        idle = {"idle": f"{round(idle_seconds * 1_000)}ms"}
        if tenant is None:
            await connection.execute(BEGIN_WITHOUT_TENANT, idle)
        else:
            await connection.execute(BEGIN_WITH_TENANT, tenant.parameters | idle)
        yield connection


@asynccontextmanager
async def savepoint(connection: AsyncConnection) -> AsyncIterator[None]:
    """Open a savepoint: if the block raises, only its own changes are rolled back."""
    async with connection.begin_nested():
        yield
