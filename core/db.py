"""Access to PostgreSQL. Every statement runs under a tenant; what no tenant owns goes through definer functions."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Container, Hashable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, TypeVarTuple
from uuid import uuid4
from weakref import WeakKeyDictionary

import asyncpg
from asyncpg import PostgresError
from sqlalchemy import (
    URL,
    ColumnElement,
    Function,
    Row,
    Select,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    null,
    select,
    true,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.sql.selectable import TypedReturnsRows

from core import urls
from core.access.tenant import Tenant
from core.reading import ReadPool, Ready, prepare_types, ready

Ts = TypeVarTuple("Ts")
R = TypeVar("R", bound=tuple[Any, ...])
CONNECT_SECONDS = 10.0
MOST_SHAPES = 200
PATIENCE_SECONDS = 10.0
AWAY_CLASSES = frozenset({"08", "53", "57"})
CANCELLED = "57014"
# Data exception, integrity constraint violation, syntax error or access rule violation.
REFUSED_CLASSES = frozenset({"22", "23", "42"})
# A process that is stopped, or cut off, within a transaction must not keep its locks: the server ends the session.
IDLE_SECONDS = 15.0


def create_engine(url: str, *, pool_size: int, statement_timeout_seconds: float) -> AsyncEngine:
    """An engine of the app's role. A pooler in transaction mode will do: settings of ours end with the transaction.

    Of the session, reads need what it is opened with: DateStyle ISO (without it times cannot be read, see
    `prepare_types`) and TimeZone UTC (times come with its offset). Behind a pooler that does not keep the two for
    each of its clients, they must be the role's own.
    """
    options: dict[str, Any] = {
        # asyncpg reads the URL itself: SQLAlchemy would hand it options, such as sslmode, that it has in URLs alone.
        "dsn": urls.dsn(url),
        "timeout": CONNECT_SECONDS,
        # asyncpg cancels what takes longer: a setting of the session would not pass a pooler.
        "command_timeout": statement_timeout_seconds,
        "server_settings": {"application_name": "nudge", "TimeZone": "UTC", "DateStyle": "ISO"},
    }
    engine = create_async_engine(
        URL.create("postgresql+asyncpg", database=urls.database_name(url)),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=PATIENCE_SECONDS,
        hide_parameters=True,  # they are tenants' data, and errors are logged
        # Behind a pooler two clients' statements of one name could meet on one connection.
        connect_args={**options, "prepared_statement_name_func": lambda: f"nudge_{uuid4().hex}"},
    )

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(**options)
        try:
            await prepare_types(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    reading(engine).pool = ReadPool(connect, size=pool_size, patience_seconds=PATIENCE_SECONDS)
    return engine


async def dispose(engine: AsyncEngine) -> None:
    """Close the connections of an engine, and those of its reads."""
    pool = reading(engine).pool
    if pool is not None:
        await pool.aclose()
    await engine.dispose()


def ends_when_idle() -> ColumnElement[str]:
    """What makes the server end the session when the transaction is silent for too long.

    It holds for the transaction alone, as a setting of the session would not pass a pooler.
    """
    return func.set_config("idle_in_transaction_session_timeout", bindparam("idle", type_=Text), true()).label("idle")


def set_tenant() -> Select[str, str, str]:
    """The statement that seats a tenant until the end of the transaction."""
    return select(
        set_locally("app.organization_id", "tenant_organization").label("organization"),
        set_locally("app.user_id", "tenant_user").label("user"),
        set_locally("app.role", "tenant_role").label("role"),
    )


def set_locally(setting: str, parameter: str) -> Function[str]:
    """A call that gives a setting the parameter's value until the end of the transaction."""
    return func.set_config(literal_column(f"'{setting}'"), bindparam(parameter, type_=Text), true())


NOTHING: ColumnElement[int] = literal_column("0")
OPEN_UNSEATED = select(ends_when_idle())
OPEN_SEATED = set_tenant().add_columns(ends_when_idle())
seated_forms: dict[Select[*tuple[Any, ...]], Select[*tuple[Any, ...]]] = {}
ready_forms: dict[Select[*tuple[Any, ...]], Ready | None] = {}


@dataclass(slots=True)
class Reading:
    """What an engine's reads go through: it without transactions, as each read is one statement, and the pool."""

    engine: AsyncEngine
    pool: ReadPool | None = None


readings: WeakKeyDictionary[AsyncEngine, Reading] = WeakKeyDictionary()


def kept(statement: Select[*Ts]) -> Select[*Ts]:
    """The statement, made ready once and for all: for those that are built once and run often, with parameters.

    SQLAlchemy prepares the same statement object once; a new one each time costs as much again as running it.
    """
    seated_forms[statement] = form = seated(statement)
    ready_forms[statement] = ready(form)
    return statement


class Shapes:
    """Statements that differ in the columns they read, as clients select them; each kept once it was asked for twice.

    There are as many as clients think of, and each takes milliseconds to build: columns that nobody has asked for
    of late are read among all others, by a statement that stays. Of the narrow ones the 200 asked for last stay.
    """

    def __init__(self) -> None:
        self.whole: dict[Hashable, Select[*tuple[Any, ...]]] = {}
        self.narrow: OrderedDict[Hashable, Select[*tuple[Any, ...]]] = OrderedDict()
        self.once: OrderedDict[Hashable, None] = OrderedDict()

    def get(
        self,
        form: Hashable,
        build: Callable[..., Select[*tuple[Any, ...]]],
        *columns: frozenset[str] | None,
    ) -> Select[*tuple[Any, ...]]:
        """The statement that `build` makes of the columns, or of None for each set of them: with all there are.

        The two have rows of the same length. Whatever else tells statements apart stands in `form`, of which there
        are as many as the code has.
        """
        shape = (form, columns)
        found = self.narrow.get(shape)
        if found is not None:
            self.narrow.move_to_end(shape)
            return found
        if any(each is not None for each in columns) and self.asked_again(shape):
            return self.keep(shape, build(*columns))
        found = self.whole.get(form)
        if found is None:
            found = self.whole[form] = kept(build(*(None for _ in columns)))
        return found

    def asked_again(self, shape: Hashable) -> bool:
        """Whether the shape was asked for before, among the last 200 that have been once."""
        if shape in self.once:
            del self.once[shape]
            return True
        self.once[shape] = None
        if len(self.once) > MOST_SHAPES:
            self.once.popitem(last=False)
        return False

    def keep(self, shape: Hashable, statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
        """The statement, kept in the place of the one that was not asked for the longest."""
        self.narrow[shape] = kept(statement)
        if len(self.narrow) > MOST_SHAPES:
            _, oldest = self.narrow.popitem(last=False)
            seated_forms.pop(oldest, None)
            ready_forms.pop(oldest, None)
        return statement


def only(
    columns: Iterable[ColumnElement[Any]], wanted: Container[str] | None, unread: str = "unread"
) -> list[ColumnElement[Any]]:
    """The columns, with NULL of its type in the place of each that is not among the wanted ones; None wants all.

    The names of NULLs begin with `unread`: a statement must not use one twice.
    """
    return [
        column
        if wanted is None or column.key in wanted
        else cast(null(), column.type).label(f"{unread}_{column.key}")
        for column in columns
    ]


def reading(engine: AsyncEngine) -> Reading:
    """What the reads of the engine go through."""
    found = readings.get(engine)
    if found is None:
        found = readings[engine] = Reading(engine.execution_options(isolation_level="AUTOCOMMIT"))
    return found


def seated(statement: Select[*Ts]) -> Select[*Ts]:
    """The statement with the tenant's settings in the same round trip.

    The read depends laterally on the sub-select that calls set_config, so PostgreSQL evaluates the settings first.
    Were it not to, the policies would see no tenant and return no rows: it fails closed. The OFFSETs keep the
    planner from pulling a sub-select up, as it may then scan one side of a join before the tenant is seated.
    """
    tenant = set_tenant().offset(NOTHING).subquery("tenant")
    inner = select(statement.subquery("read")).where(tenant.c.organization.is_not(None)).offset(NOTHING)
    rows = inner.correlate(tenant).lateral("rows")
    return select(rows).select_from(tenant.join(rows, true()))


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
    """The reads of one GraphQL operation: one connection at a time, each statement one round trip.

    Sibling fields run concurrently while a connection serves one statement at a time, hence the lock.
    """

    def __init__(self, through: Reading, tenant: Tenant) -> None:
        self.engine = through.engine
        self.pool = through.pool
        self.tenant = tenant
        self.lock = asyncio.Lock()

    async def rows(self, statement: Select[*Ts], parameters: dict[str, Any] | None = None) -> Sequence[Row[*Ts]]:
        """Every row of a select, under the tenant's policies."""
        form = ready_forms.get(statement)
        found = await self.read(form, statement, parameters)
        return form.rows(found) if form is not None and self.pool is not None else found

    async def rows_as(
        self, row: type[R], statement: Select[*tuple[Any, ...]], parameters: dict[str, Any] | None = None
    ) -> list[R]:
        """Every row of a select, under the tenant's policies, as a tuple, or as the named one of its columns."""
        form = ready_forms.get(statement)
        found = await self.read(form, statement, parameters)
        return as_tuples(row, form.values(found) if form is not None and self.pool is not None else found)

    async def read(
        self, form: Ready | None, statement: Select[*tuple[Any, ...]], parameters: dict[str, Any] | None
    ) -> Sequence[Any]:
        """What the driver gives for a statement that is kept, and what SQLAlchemy gives for any other."""
        tenant = self.tenant.parameters
        given = parameters | tenant if parameters else tenant
        await self.lock.acquire()
        try:
            if form is not None and self.pool is not None:
                return await self.pool.records(form, given)
            slow = seated_forms[statement] if statement in seated_forms else seated(statement)
            return await read(self.engine, slow, given)
        finally:
            self.lock.release()


def as_tuples(row: type[R], found: Sequence[Any]) -> list[R]:
    """The rows as tuples of the class; raises `TypeError` for a named one of more or fewer columns."""
    if found and len(found[0]) != len(getattr(row, "_fields", found[0])):
        raise TypeError(f"{row.__name__} is no row of {len(found[0])} columns")
    new = tuple.__new__
    return [new(row, each) for each in found]


class SystemScope:
    """Calls of the definer functions, which see across tenants and return ids only."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = reading(engine).engine

    async def rows(
        self, statement: TypedReturnsRows[*Ts], parameters: dict[str, Any] | None = None
    ) -> Sequence[Row[*Ts]]:
        """Every row of a statement, under no tenant."""
        async with self.engine.connect() as connection:
            result = await connection.execute(statement, parameters or {})
            return result.all()


async def read(engine: AsyncEngine, statement: Select[*Ts], parameters: Mapping[str, Any]) -> Sequence[Row[*Ts]]:
    """Run a read, once more when its connection turns out to be dead: the server was restarted; reads are safe."""
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
            await connection.execute(OPEN_UNSEATED, idle)
        else:
            await connection.execute(OPEN_SEATED, tenant.parameters | idle)
        yield connection


@asynccontextmanager
async def savepoint(connection: AsyncConnection) -> AsyncIterator[None]:
    """A part of a transaction that is undone by itself when it raises; what came before it stays."""
    async with connection.begin_nested():
        yield


def is_away(error: BaseException) -> bool:
    """Whether an error says that the server did not answer or let us in, as opposed to what it thinks of a statement.

    Before a connection stands, asyncpg's own errors and those of the network come through as they are.
    """
    match error:
        case DBAPIError():
            return error.connection_invalidated or is_away_state(getattr(error.orig, "sqlstate", None))
        case PostgresError():
            return is_away_state(error.sqlstate)
        case OSError():
            return error.filename is None  # a connection refused or timed out; with a name it is about a file
    return isinstance(error, PoolTimeout)


def is_away_state(sqlstate: str | None) -> bool:
    """Whether a state is of the classes connection exception, no resources, operator intervention."""
    return sqlstate is not None and sqlstate[:2] in AWAY_CLASSES and sqlstate != CANCELLED


def is_refused(error: BaseException) -> bool:
    """Whether the server would say the same again: it is the statement or its values that it does not take."""
    state = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    return isinstance(state, str) and state[:2] in REFUSED_CLASSES
