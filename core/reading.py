"""Reads of statements that are built once: straight to asyncpg, over connections handed on in the order of asking.

SQLAlchemy stays the language of the statements, the types and the rows; what it spends on each execution (a look
into its caches, a greenlet, a cursor, a description of the result) is spent once for each statement. Its pool lets a
newcomer take a connection before those who wait for one, so that under load the unlucky wait ten times as long.
"""

import asyncio
import json
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
from sqlalchemy import Row, Select
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.engine import result_tuple
from sqlalchemy.exc import DBAPIError

from core.telemetry import described, logger

if TYPE_CHECKING:
    from asyncpg.prepared_stmt import PreparedStatement

DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call]

MOST_PREPARED = 400
ENDING_SECONDS = 5.0

log = logger(__name__)

Processor = Callable[[Any], Any]
Watcher = Callable[[str, Sequence[Any]], None]
Connect = Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]
GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.InternalClientError,
    OSError,
)
"""What a connection that is old shows: the server was restarted, or the tables have changed under it."""


def is_gone(error: Exception) -> bool:
    """Whether another connection may do better.

    Not after a timeout, though it is an `OSError`. asyncpg's own errors about arguments are `ValueError`s, too.
    """
    if isinstance(error, TimeoutError):
        return False
    return isinstance(error, GONE) or (
        isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A statement as asyncpg takes it, and how its parameters go in and its rows come out."""

    sql: str
    pick: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    processors: tuple[tuple[int, Processor], ...]
    defaults: Mapping[str, Any]
    columns: tuple[Processor | None, ...] | None
    row: Callable[[Iterable[Any]], Row[*tuple[Any, ...]]]

    def arguments(self, given: Mapping[str, Any]) -> Sequence[Any]:
        """The values in the statement's order; raises `KeyError` for one that has none."""
        picked = self.pick({**self.defaults, **given} if self.defaults else given)
        if not self.processors:
            return picked
        values = list(picked)
        for index, process in self.processors:
            values[index] = process(values[index])
        return values

    def values(self, records: Sequence[asyncpg.Record]) -> Sequence[Iterable[Any]]:
        """The values of rows, as SQLAlchemy's types have them."""
        columns = self.columns
        if columns is None:
            return records
        return [
            [each if process is None else process(each) for process, each in zip(columns, record, strict=True)]
            for record in records
        ]

    def rows(self, records: Sequence[asyncpg.Record]) -> list[Row[*tuple[Any, ...]]]:
        """Rows as SQLAlchemy gives them."""
        return [self.row(values) for values in self.values(records)]


def ready(statement: Select[*tuple[Any, ...]]) -> Ready | None:
    """The statement made ready; None for one whose text depends on its parameters, such as `IN` with a list."""
    compiled = statement.compile(dialect=DIALECT)
    if compiled.literal_execute_params or compiled.post_compile_params:
        return None
    binds = compiled.binds
    order = compiled.positiontup or ()
    selected = statement.selected_columns
    columns = tuple(column.type.dialect_impl(DIALECT).result_processor(DIALECT, None) for column in selected)
    processors = [binds[name].type.dialect_impl(DIALECT).bind_processor(DIALECT) for name in order]
    return Ready(
        sql=str(compiled),
        pick=picker(order),
        processors=tuple((index, process) for index, process in enumerate(processors) if process is not None),
        defaults={name: bind.effective_value for name, bind in binds.items() if not bind.required},
        columns=columns if any(columns) else None,
        row=result_tuple(selected.keys()),
    )


def picker(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """A function that gives the values of these names as a tuple."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: tuple(values[name] for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadStatistics:
    """Connections that serve a read, those that are free, and reads that wait for one."""

    busy: int
    free: int
    waiting: int


class Lease:
    """A connection with the statements that are prepared on it: those that ran last, 400 at most."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.connection = connection
        self.statements: OrderedDict[str, PreparedStatement[asyncpg.Record]] = OrderedDict()

    async def fetch(self, sql: str, arguments: Sequence[Any]) -> list[asyncpg.Record]:
        """The rows of a statement, prepared at its first use."""
        statement = self.statements.get(sql)
        if statement is None:
            # Behind a pooler two clients' statements of one name could meet on one connection.
            statement = await self.connection.prepare(sql, name=f"nudge_{uuid4().hex}")
            self.statements[sql] = statement
            if len(self.statements) > MOST_PREPARED:
                self.statements.popitem(last=False)  # asyncpg closes it when nobody holds it any more
        else:
            self.statements.move_to_end(sql)
        return await statement.fetch(*arguments)

    async def close(self, seconds: float) -> None:
        """Close the connection; asyncpg drops one that does not close in time, so that it is gone either way."""
        try:
            await self.connection.close(timeout=seconds)
        except Exception as error:  # noqa: BLE001 - told, and nothing is left to be done
            log.warning("a connection was dropped, its statement may run on", error=described(error))


class ReadPool:
    """Connections for reads, opened when they are needed; who asks first is served first."""

    def __init__(self, connect: Connect, *, size: int, patience_seconds: float) -> None:
        self.connect = connect
        self.patience_seconds = patience_seconds
        self.size = self.places = size
        self.free: list[Lease] = []
        self.waiting: deque[tuple[asyncio.Future[Lease | None], float]] = deque()
        self.timer: asyncio.TimerHandle | None = None  # of the one who has waited the longest, or somebody before
        self.watchers: list[Watcher] = []
        self.ending: set[asyncio.Task[None]] = set()

    async def rows(self, statement: Ready, given: Mapping[str, Any]) -> list[Row[*tuple[Any, ...]]]:
        """The rows of a read, see `records`."""
        return statement.rows(await self.records(statement, given))

    async def records(self, statement: Ready, given: Mapping[str, Any]) -> list[asyncpg.Record]:
        """The rows of a read. Reads are safe: one whose connection turns out to be old runs again, once, on another.

        Raises `DBAPIError`, and `TimeoutError` when no connection is free in time or the statement takes too long.
        """
        arguments = statement.arguments(given)
        try:
            try:
                return await self.fetch(statement.sql, arguments)
            except Exception as error:
                if not is_gone(error):
                    raise
                self.renew()
                return await self.fetch(statement.sql, arguments)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            # With neither the statement nor its parameters: they are tenants' data, and errors are logged.
            raise DBAPIError(
                None, None, error, hide_parameters=True, connection_invalidated=is_gone(error)
            ) from error

    async def fetch(self, sql: str, arguments: Sequence[Any]) -> list[asyncpg.Record]:
        """Run a statement on the next free connection."""
        for watch in self.watchers:
            watch(sql, arguments)
        lease = await self.take()
        try:
            records = await lease.fetch(sql, arguments)
        except (TimeoutError, asyncio.CancelledError):
            self.end(lease)
            raise
        except BaseException as error:
            if isinstance(error, asyncpg.PostgresError | ValueError) and not is_gone(error):
                self.give(lease)  # it was the statement that was refused
            else:
                lease.connection.terminate()
                self.give(None)
            raise
        self.give(lease)
        return records

    def end(self, lease: Lease) -> None:
        """Close a connection whose statement may still run, in the background: its reader has no time for that."""
        task = asyncio.create_task(self.ended(lease))
        self.ending.add(task)
        task.add_done_callback(self.ending.discard)

    async def ended(self, lease: Lease) -> None:
        """Close a connection, and give its place back when the server has ended the statement.

        asyncpg has asked it to; dropped earlier, a connection takes that request with it, and the statement runs on.
        """
        try:
            await lease.close(ENDING_SECONDS)
        finally:
            self.give(None)

    async def take(self) -> Lease:
        """A connection of one's own, until it is given back."""
        while self.free:
            lease = self.free.pop()
            if not lease.connection.is_closed():
                return lease
            self.places += 1
        if self.places:
            self.places -= 1
            return await self.opened()
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Lease | None] = loop.create_future()
        self.waiting.append((waiter, loop.time() + self.patience_seconds))
        if self.timer is None:
            self.timer = loop.call_later(self.patience_seconds, self.lose_patience)
        try:
            given = await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.give(waiter.result())
            raise
        return given or await self.opened()

    def lose_patience(self) -> None:
        """End the wait of those who were not served in time, and look again when it is the next one's turn."""
        loop = asyncio.get_running_loop()
        while self.waiting and (self.waiting[0][0].done() or self.waiting[0][1] <= loop.time()):
            waiter, _ = self.waiting.popleft()
            if not waiter.done():
                waiter.set_exception(TimeoutError("no connection to the database became free in time"))
        self.timer = loop.call_at(self.waiting[0][1], self.lose_patience) if self.waiting else None

    async def opened(self) -> Lease:
        """A new connection, in a place that was taken for it."""
        try:
            return Lease(await self.connect())
        except BaseException:
            self.give(None)
            raise

    def give(self, lease: Lease | None) -> None:
        """Hand a connection, or with None the place of one that is no more, to whoever has waited the longest."""
        while self.waiting:
            waiter, _ = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(lease)
                return
        if lease is None:
            self.places += 1
        else:
            self.free.append(lease)

    def renew(self) -> None:
        """Close the connections that nobody uses: they are as old as the one that failed."""
        for lease in self.free:
            lease.connection.terminate()
        self.places += len(self.free)
        self.free.clear()

    def statistics(self) -> ReadStatistics:
        """What there is at this moment."""
        return ReadStatistics(
            busy=self.size - self.places - len(self.free),
            free=len(self.free),
            waiting=sum(not waiter.done() for waiter, _ in self.waiting),
        )

    async def aclose(self) -> None:
        """Close the connections that nobody uses any more, those with a statement that is being ended included."""
        if self.timer is not None and not self.waiting:
            self.timer.cancel()
            self.timer = None
        leases, self.free = self.free, []
        self.places += len(leases)
        await asyncio.gather(*(lease.close(1.0) for lease in leases))
        while self.ending:
            await asyncio.wait(self.ending)


async def prepare_types(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Let JSON columns come and go as SQLAlchemy's types have them: a text in, a value out.

    Times come as texts too: Python reads one in a third of the time that asyncpg takes to put one together. They must
    be ISO texts, so the session's DateStyle must be ISO; their offset is that of its TimeZone. A time that Python has
    no value for (before the year 1, after 9999, or infinity) fails the read with a `ValueError`. asyncpg's own codec
    fails for years out of range too, but gives infinity as the last (or the first) moment that Python has.
    """
    decoders = {"json": json.loads, "jsonb": json.loads, "timestamptz": datetime.fromisoformat}
    for name, decoder in decoders.items():
        await connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=decoder, format="text")
