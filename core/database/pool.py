"""Connections for reads, handed on in the order of asking: straight to asyncpg, one statement each.

SQLAlchemy's pool lets a newcomer take a connection before those who wait for one, so that under load the unlucky wait
ten times as long.
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
    """Connections that serve a read, those that are free, and reads that wait for one."""

    busy: int
    free: int
    waiting: int


class PooledConnection:
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
            if len(self.statements) > MAX_PREPARED:
                self.statements.popitem(last=False)  # asyncpg closes it when nobody holds it any more
        else:
            self.statements.move_to_end(sql)
        return await statement.fetch(*arguments)

    async def close(self, seconds: float) -> None:
        """Close the connection; asyncpg drops one that does not close in time, so that it is gone either way."""
        try:
            await self.connection.close(timeout=seconds)
        except Exception as error:  # noqa: BLE001 - told, and nothing is left to be done
            log.warning("a connection was dropped, its statement may run on", error=describe_error(error))


class ReadPool:
    """Connections for reads, opened when they are needed; who asks first is served first."""

    def __init__(self, connect: Connect, *, size: int, timeout_seconds: float) -> None:
        self.connect = connect
        self.timeout_seconds = timeout_seconds
        self.size = self.free_slots = size
        self.free: list[PooledConnection] = []
        self.waiting: deque[tuple[asyncio.Future[PooledConnection | None], float]] = deque()
        self.timer: asyncio.TimerHandle | None = None  # of the one who has waited the longest, or somebody before
        self.observers: list[StatementObserver] = []
        self.closing: set[asyncio.Task[None]] = set()

    async def fetch(self, statement: PreparedSelect, given: Mapping[str, Any]) -> list[asyncpg.Record]:
        """The records of a read, for `PreparedSelect.rows` or `.values`.

        Reads are safe: one whose connection turns out to be stale runs again, once, on another.
        Raises `DBAPIError`, and `TimeoutError` when no connection is free in time or the statement takes too long.
        """
        arguments = statement.arguments(given)
        try:
            try:
                return await self.fetch_sql(statement.sql, arguments)
            except Exception as error:
                if not is_stale(error):
                    raise
                self._close_free()
                return await self.fetch_sql(statement.sql, arguments)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            # With neither the statement nor its parameters: they are tenants' data, and errors are logged.
            raise DBAPIError(
                None, None, error, hide_parameters=True, connection_invalidated=is_stale(error)
            ) from error

    async def fetch_sql(self, sql: str, arguments: Sequence[Any]) -> list[asyncpg.Record]:
        """Run a statement on the next free connection."""
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
                self.release(connection)  # it was the statement that was refused
            else:
                connection.connection.terminate()
                self.release(None)
            raise
        self.release(connection)
        return records

    def _close_in_background(self, connection: PooledConnection) -> None:
        """Close a connection whose statement may still run, in the background: its reader has no time for that."""
        task = asyncio.create_task(self._close_and_release(connection))
        self.closing.add(task)
        task.add_done_callback(self.closing.discard)

    async def _close_and_release(self, connection: PooledConnection) -> None:
        """Close a connection, and release its slot when the server has ended the statement.

        asyncpg has asked it to; a connection that is dropped earlier takes that request with it, and the statement
        runs on.
        """
        try:
            await connection.close(CLOSE_SECONDS)
        finally:
            self.release(None)

    async def acquire(self) -> PooledConnection:
        """A connection for the caller alone, until it is released; in the order of asking."""
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
            given = await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release(waiter.result())
            raise
        return given or await self._open()

    def _expire_waiters(self) -> None:
        """Time out those who have waited too long, and set the timer for the next one."""
        loop = asyncio.get_running_loop()
        while self.waiting and (self.waiting[0][0].done() or self.waiting[0][1] <= loop.time()):
            waiter, _ = self.waiting.popleft()
            if not waiter.done():
                waiter.set_exception(TimeoutError("no connection to the database became free in time"))
        self.timer = loop.call_at(self.waiting[0][1], self._expire_waiters) if self.waiting else None

    async def _open(self) -> PooledConnection:
        """A new connection, in a slot that was taken for it."""
        try:
            return PooledConnection(await self.connect())
        except BaseException:
            self.release(None)
            raise

    def release(self, pooled: PooledConnection | None) -> None:
        """Hand a connection, or with None the slot of one that is closed, to whoever has waited the longest."""
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
        """Close the free connections: they are as old as the one that failed."""
        for pooled in self.free:
            pooled.connection.terminate()
        self.free_slots += len(self.free)
        self.free.clear()

    @property
    def has_spare(self) -> bool:
        """Whether more than half of the connections serve nobody."""
        return len(self.free) + self.free_slots > self.size // 2

    def statistics(self) -> PoolStatistics:
        """What there is at this moment."""
        return PoolStatistics(
            busy=self.size - self.free_slots - len(self.free),
            free=len(self.free),
            waiting=sum(not waiter.done() for waiter, _ in self.waiting),
        )

    async def aclose(self) -> None:
        """Close the connections that nobody uses any more, those with a statement that is being ended included."""
        if self.timer is not None and not self.waiting:
            self.timer.cancel()
            self.timer = None
        unused, self.free = self.free, []
        self.free_slots += len(unused)
        await asyncio.gather(*(pooled.close(1.0) for pooled in unused))
        while self.closing:
            await asyncio.wait(self.closing)


async def set_codecs(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Let JSON columns come and go as SQLAlchemy's types have them: a text in, a value out.

    Times come as texts too: Python reads one in a third of the time that asyncpg takes to put one together. They must
    be ISO texts, so the session's DateStyle must be ISO; their offset is that of its TimeZone. A time that Python has
    no value for (before the year 1, after 9999, or infinity) fails the read with a `ValueError`. asyncpg's own codec
    fails for years out of range too, but gives infinity as the last (or the first) moment that Python has.
    """
    decoders = {"json": json.loads, "jsonb": json.loads, "timestamptz": datetime.fromisoformat}
    for name, decoder in decoders.items():
        await connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=decoder, format="text")
