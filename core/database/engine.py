"""The engine of the app's database role, and the connection pool for its reads."""

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
    """How an engine reads: prepared statements on the pool, others on the engine in autocommit (one statement each).

    Only engines made by `create_engine` have a pool; without a pool the engine runs prepared statements as well.
    """

    engine: AsyncEngine
    pool: ReadPool | None = None


_read_sides: WeakKeyDictionary[AsyncEngine, ReadSide] = WeakKeyDictionary()


def create_engine(url: str, *, pool_size: int, statement_timeout_seconds: float) -> AsyncEngine:
    """An engine for the app's role. Works behind a pooler in transaction mode: settings end with the transaction.

    Reads rely on two settings of the session: DateStyle ISO (see `set_codecs`) and TimeZone UTC (the offset of
    times). If a pooler does not keep them for each client, they must be set for the role.
    """
    options: dict[str, Any] = {
        # asyncpg parses the URL itself: it accepts options such as sslmode only in URLs, not from SQLAlchemy.
        "dsn": urls.dsn(url),
        "timeout": CONNECT_SECONDS,
        # asyncpg cancels statements that take longer; a setting of the session would be lost behind a pooler.
        "command_timeout": statement_timeout_seconds,
        "server_settings": {"application_name": "nudge", "TimeZone": "UTC", "DateStyle": "ISO"},
    }
    engine = create_async_engine(
        URL.create("postgresql+asyncpg", database=urls.database_name(url)),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        hide_parameters=True,  # parameters are tenants' data, and errors are logged
        # Unique names, because behind a pooler statements of several clients share a connection.
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
    """Close all connections of an engine and of its read pool."""
    pool = read_side(engine).pool
    if pool is not None:
        await pool.aclose()
    await engine.dispose()


def read_side(engine: AsyncEngine) -> ReadSide:
    """The read side of an engine, created at the first call."""
    side = _read_sides.get(engine)
    if side is None:
        side = _read_sides[engine] = ReadSide(engine.execution_options(isolation_level="AUTOCOMMIT"))
    return side
