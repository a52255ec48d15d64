"""Where statements run: reads of a tenant, calls of definer functions, transactions."""

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
# A process that is stopped, or cut off, within a transaction must not keep its locks: the server ends the session.
IDLE_SECONDS = 15.0
MAX_CONCURRENT_READS = 4
"""Of one operation."""


def _idle_timeout() -> ColumnElement[str]:
    """Makes the server end the session when the transaction is silent for too long.

    It holds for the transaction alone, as a setting of the session would not pass a pooler.
    """
    return func.set_config("idle_in_transaction_session_timeout", bindparam("idle", type_=Text), true()).label("idle")


BEGIN_WITHOUT_TENANT = select(_idle_timeout())
BEGIN_WITH_TENANT = set_tenant().add_columns(_idle_timeout())


class Reads(Protocol):
    """What a service needs in order to read: a read scope, or a unit of work."""

    @property
    def tenant(self) -> Tenant:
        """The caller, as Row Level Security sees them."""

    async def rows(self, statement: Select[*Ts], parameters: dict[str, Any] | None = None) -> Sequence[Row[*Ts]]:
        """Every row of a select."""

    async def rows_as(
        self, row: type[R], statement: Select[*tuple[Any, ...]], parameters: dict[str, Any] | None = None
    ) -> list[R]:
        """Every row of a select, as a tuple, or as the named one of its columns."""


async def first(reads: Reads, statement: Select[*Ts], parameters: dict[str, Any] | None = None) -> Row[*Ts] | None:
    """The first row of a select, or None."""
    rows = await reads.rows(statement, parameters)
    return rows[0] if rows else None


class ReadScope:
    """The reads of one GraphQL operation, each statement one round trip.

    Prepared statements of sibling fields run concurrently, on 4 connections at most, while half of the pool is left
    for others; else one at a time, as other statements always do. So an operation of many fields does not hold up
    the others.
    """

    def __init__(self, side: ReadSide, tenant: Tenant) -> None:
        self.engine = side.engine
        self.pool = side.pool
        self.tenant = tenant
        self.running = 0
        self.waiting: deque[tuple[asyncio.Future[None], ReadPool | None]] = deque()

    async def rows(self, statement: Select[*Ts], parameters: dict[str, Any] | None = None) -> Sequence[Row[*Ts]]:
        """Every row of a select, under the tenant's policies."""
        prepared = prepared_selects.get(statement) if self.pool is not None else None
        found = await self._fetch(prepared, statement, parameters)
        return found if prepared is None else prepared.rows(found)

    async def rows_as(
        self, row: type[R], statement: Select[*tuple[Any, ...]], parameters: dict[str, Any] | None = None
    ) -> list[R]:
        """Every row of a select, under the tenant's policies, as a tuple, or as the named one of its columns."""
        prepared = prepared_selects.get(statement) if self.pool is not None else None
        found = await self._fetch(prepared, statement, parameters)
        return as_tuples(row, found if prepared is None else prepared.values(found))

    async def _fetch(
        self,
        prepared: PreparedSelect | None,
        statement: Select[*tuple[Any, ...]],
        parameters: dict[str, Any] | None,
    ) -> Sequence[Any]:
        """The driver's records of a prepared statement, SQLAlchemy's rows of any other."""
        tenant = self.tenant.parameters
        given = parameters | tenant if parameters else tenant
        pool = None if prepared is None else self.pool
        if self.running and (self.waiting or not self._may_start(pool)):
            await self._turn(pool)
        else:
            self.running += 1
        try:
            if prepared is not None and pool is not None:
                return await pool.fetch(prepared, given)
            return await _execute_read(self.engine, with_tenant(statement), given)
        finally:
            self._end()

    def _may_start(self, pool: ReadPool | None) -> bool:
        """Whether a read may start now: on the read pool beside others, else only when none runs."""
        return not self.running or (pool is not None and self.running < MAX_CONCURRENT_READS and pool.has_spare)

    async def _turn(self, pool: ReadPool | None) -> None:
        """Wait until the read may start, and count it as running."""
        turn = asyncio.get_running_loop().create_future()
        self.waiting.append((turn, pool))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._end()
            raise

    def _end(self) -> None:
        """Count a read as ended, and start those that may, in the order of asking."""
        self.running -= 1
        while self.waiting:
            turn, pool = self.waiting[0]
            if not turn.done():
                if not self._may_start(pool):
                    return
                self.running += 1
                turn.set_result(None)
            self.waiting.popleft()


def as_tuples(row: type[R], found: Sequence[Any]) -> list[R]:
    """The rows as tuples of the class; raises `TypeError` for a named one of more or fewer columns."""
    if found and len(found[0]) != len(getattr(row, "_fields", found[0])):
        raise TypeError(f"{row.__name__} is no row of {len(found[0])} columns")
    new = tuple.__new__
    return [new(row, each) for each in found]


class SystemScope:
    """Calls of the definer functions, which see across tenants and return ids only."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = read_side(engine).engine

    async def rows(
        self, statement: TypedReturnsRows[*Ts], parameters: dict[str, Any] | None = None
    ) -> Sequence[Row[*Ts]]:
        """Every row of a statement, under no tenant."""
        async with self.engine.connect() as connection:
            result = await connection.execute(statement, parameters or {})
            return result.all()


async def _execute_read(
    engine: AsyncEngine, statement: Select[*Ts], parameters: Mapping[str, Any]
) -> Sequence[Row[*Ts]]:
    """Run a read, once more when its connection turns out to be stale: the server was restarted; reads are safe."""
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
    """A transaction of the tenant (or of none), ended by the server after so long a silence. For the unit of work."""
    async with engine.connect() as connection, connection.begin():
        idle = {"idle": f"{round(idle_seconds * 1_000)}ms"}
        if tenant is None:
            await connection.execute(BEGIN_WITHOUT_TENANT, idle)
        else:
            await connection.execute(BEGIN_WITH_TENANT, tenant.parameters | idle)
        yield connection


@asynccontextmanager
async def savepoint(connection: AsyncConnection) -> AsyncIterator[None]:
    """A part of a transaction that is undone by itself when it raises; what came before it stays."""
    async with connection.begin_nested():
        yield
