"""An engine of the app's role, and the pool that its reads go through."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

import asyncpg
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from core import urls
from core.database.pool import ReadPool, set_codecs

CONNECT_SECONDS = 10.0
POOL_TIMEOUT_SECONDS = 10.0


@dataclass(slots=True)
class ReadSide:
    """What an engine's reads go through: itself in autocommit, as each read is one statement, and the pool.

    Only engines of `create_engine` have a pool; without one SQLAlchemy runs prepared statements, too.
    """

    engine: AsyncEngine
    pool: ReadPool | None = None


_read_sides: WeakKeyDictionary[AsyncEngine, ReadSide] = WeakKeyDictionary()


def create_engine(url: str, *, pool_size: int, statement_timeout_seconds: float) -> AsyncEngine:
    """An engine of the app's role. A pooler in transaction mode will do: our settings end with the transaction.

    Of the session, reads need what it is opened with: DateStyle ISO (without it times cannot be read, see
    `set_codecs`) and TimeZone UTC (times come with its offset). Behind a pooler that does not keep the two for
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
        pool_timeout=POOL_TIMEOUT_SECONDS,
        hide_parameters=True,  # they are tenants' data, and errors are logged
        # Behind a pooler two clients' statements of one name could meet on one connection.
        connect_args={**options, "prepared_statement_name_func": lambda: f"nudge_{uuid4().hex}"},
    )

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(**options)
        try:
            await set_codecs(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    read_side(engine).pool = ReadPool(connect, size=pool_size, timeout_seconds=POOL_TIMEOUT_SECONDS)
    return engine


async def dispose(engine: AsyncEngine) -> None:
    """Close the connections of an engine, and those of its reads."""
    pool = read_side(engine).pool
    if pool is not None:
        await pool.aclose()
    await engine.dispose()


def read_side(engine: AsyncEngine) -> ReadSide:
    """The read side of an engine, the same at each call."""
    found = _read_sides.get(engine)
    if found is None:
        found = _read_sides[engine] = ReadSide(engine.execution_options(isolation_level="AUTOCOMMIT"))
    return found
