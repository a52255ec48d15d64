"""A first-come, first-served pool of asyncpg connections for reads, each a single statement.

SQLAlchemy's pool may give a connection to a new caller before those that wait for one: under load some waited ten
times as long.
"""

import asyncio
import json
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
from sqlalchemy.exc import DBAPIError

from core.database.errors import is_stale
from core.database.prepared import PreparedSelect
from core.telemetry import describe_error, logger

if TYPE_CHECKING:
    from asyncpg.prepared_stmt import PreparedStatement

MAX_PREPARED = 400
CLOSE_SECONDS = 5.0

log = logger(__name__)

StatementObserver = Callable[[str, Sequence[Any]], None]
Connect = Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatistics:
    """The number of connections in use, of free ones, and of reads that wait for one."""

    busy: int
    free: int
    waiting: int


class PooledConnection:
    """A connection with its prepared statements, at most 400, the least recently used ones evicted."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.connection = connection
        self.statements: OrderedDict[str, PreparedStatement[asyncpg.Record]] = OrderedDict()

    async def fetch(self, sql: str, arguments: Sequence[Any]) -> list[asyncpg.Record]:
        """Run a statement, which is prepared at its first use; returns its records."""
        statement = self.statements.get(sql)
        if statement is None:
            # Unique names, because behind a pooler statements of several clients share a connection.
            statement = await self.connection.prepare(sql, name=f"nudge_{uuid4().hex}")
            self.statements[sql] = statement
            if len(self.statements) > MAX_PREPARED:
                self.statements.popitem(last=False)  # asyncpg closes the statement when it is garbage-collected
        else:
            self.statements.move_to_end(sql)
        return await statement.fetch(*arguments)

    async def close(self, seconds: float) -> None:
        """Close the connection, or drop it if it does not close within `seconds`. Never raises."""
        try:
            await self.connection.close(timeout=seconds)
        except Exception as error:  # noqa: BLE001 - logged; the connection is closed in any case
            log.warning("connection dropped; its statement may still run", error=describe_error(error))


class ReadPool:
    """Connections for reads, opened on demand; callers get them in the order of their calls."""

    def __init__(self, connect: Connect, *, size: int, timeout_seconds: float) -> None:
        self.connect = connect
        self.timeout_seconds = timeout_seconds
        self.size = self.free_slots = size
        self.free: list[PooledConnection] = []
        self.waiting: deque[tuple[asyncio.Future[PooledConnection | None], float]] = deque()
        self.timer: asyncio.TimerHandle | None = None  # for the first waiter, or for an earlier one
        self.observers: list[StatementObserver] = []
        self.closing: set[asyncio.Task[None]] = set()

    async def fetch(self, statement: PreparedSelect, parameters: Mapping[str, Any]) -> list[asyncpg.Record]:
        """Run a read; returns records for `PreparedSelect.rows` or `.values`.

        If the connection is stale, the read is retried once on another. Raises `DBAPIError`, or `TimeoutError` if no
        connection becomes free in time or the statement takes too long.
        """
        arguments = statement.arguments(parameters)
        try:
            try:
                return await self.fetch_sql(statement.sql, arguments)
            except Exception as error:
                if not is_stale(error):
                    raise
                self._close_free()
                return await self.fetch_sql(statement.sql, arguments)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            # Without the statement and its parameters: these are tenants' data, and errors are logged.
            raise DBAPIError(
                None, None, error, hide_parameters=True, connection_invalidated=is_stale(error)
            ) from error

    async def fetch_sql(self, sql: str, arguments: Sequence[Any]) -> list[asyncpg.Record]:
        """Run a statement on the next free connection; returns its records."""
        for observe in self.observers:
            observe(sql, arguments)
        connection = await self.acquire()
        try:
            records = await connection.fetch(sql, arguments)
        except (TimeoutError, asyncio.CancelledError):
            self._close_in_background(connection)
            raise
        except BaseException as error:
            if isinstance(error, asyncpg.PostgresError | ValueError) and not is_stale(error):
                self.release(connection)  # the statement failed, not the connection
            else:
                connection.connection.terminate()
                self.release(None)
            raise
        self.release(connection)
        return records

    def _close_in_background(self, connection: PooledConnection) -> None:
        """Close a connection whose statement may still run, without making its caller wait."""
        task = asyncio.create_task(self._close_and_release(connection))
        self.closing.add(task)
        task.add_done_callback(self.closing.discard)

    async def _close_and_release(self, connection: PooledConnection) -> None:
        """Close a connection gracefully, then release its slot.

        asyncpg has sent a cancel request for the statement. If the connection is dropped before the server has
        handled the request, the statement runs to its end.
        """
        try:
            await connection.close(CLOSE_SECONDS)
        finally:
            self.release(None)

    async def acquire(self) -> PooledConnection:
        """Wait for a connection, first come, first served; the caller must `release` it."""
        while self.free:
            pooled = self.free.pop()
            if not pooled.connection.is_closed():
                return pooled
            self.free_slots += 1
        if self.free_slots:
            self.free_slots -= 1
            return await self._open()
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[PooledConnection | None] = loop.create_future()
        self.waiting.append((waiter, loop.time() + self.timeout_seconds))
        if self.timer is None:
            self.timer = loop.call_later(self.timeout_seconds, self._expire_waiters)
        try:
            connection = await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release(waiter.result())
            raise
        return connection or await self._open()

    def _expire_waiters(self) -> None:
        """Fail the waiters whose timeout has passed, and set the timer for the next one."""
        loop = asyncio.get_running_loop()
        while self.waiting and (self.waiting[0][0].done() or self.waiting[0][1] <= loop.time()):
            waiter, _ = self.waiting.popleft()
            if not waiter.done():
                waiter.set_exception(TimeoutError("no connection to the database became free in time"))
        self.timer = loop.call_at(self.waiting[0][1], self._expire_waiters) if self.waiting else None

    async def _open(self) -> PooledConnection:
        """Open a connection in a slot that is already reserved; releases the slot on failure."""
        try:
            return PooledConnection(await self.connect())
        except BaseException:
            self.release(None)
            raise

    def release(self, pooled: PooledConnection | None) -> None:
        """Give a connection, or with None the slot of a closed one, to the longest waiting caller."""
        while self.waiting:
            waiter, _ = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(pooled)
                return
        if pooled is None:
            self.free_slots += 1
        else:
            self.free.append(pooled)

    def _close_free(self) -> None:
        """Close the free connections, which are probably stale as well."""
        for pooled in self.free:
            pooled.connection.terminate()
        self.free_slots += len(self.free)
        self.free.clear()

    @property
    def has_spare(self) -> bool:
        """Whether more than half of the connections are unused."""
        return len(self.free) + self.free_slots > self.size // 2

    def statistics(self) -> PoolStatistics:
        """The numbers at this moment."""
        return PoolStatistics(
            busy=self.size - self.free_slots - len(self.free),
            free=len(self.free),
            waiting=sum(not waiter.done() for waiter, _ in self.waiting),
        )

    async def aclose(self) -> None:
        """Close the free connections, and wait for those that are being closed."""
        if self.timer is not None and not self.waiting:
            self.timer.cancel()
            self.timer = None
        unused, self.free = self.free, []
        self.free_slots += len(unused)
        await asyncio.gather(*(pooled.close(1.0) for pooled in unused))
        while self.closing:
            await asyncio.wait(self.closing)


async def set_codecs(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Set codecs for JSON as SQLAlchemy's types expect them (text when writing, values when reading), and for times.

    Times are transferred as text, because Python parses ISO text three times as fast as asyncpg decodes its binary
    form. So the session's DateStyle must be ISO; the offset is that of its TimeZone. A time that Python cannot
    represent (before the year 1, after 9999, or infinity) raises `ValueError`. asyncpg's own codec fails for such
    years too, but returns infinity as the last (or first) moment that Python can represent.
    """
    decoders = {"json": json.loads, "jsonb": json.loads, "timestamptz": datetime.fromisoformat}
    for name, decoder in decoders.items():
        await connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=decoder, format="text")
