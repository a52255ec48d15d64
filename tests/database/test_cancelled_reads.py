"""Reads that end before their statement: it is cancelled too, and its slot in the pool is free only after that."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from sqlalchemy import func, literal_column, select
from structlog.testing import capture_logs

import core.database.pool
from core.database.engine import create_engine, dispose, read_side
from core.database.pool import ReadPool
from core.database.prepared import compile_select
from tests.conftest import Servers

SIZE = 2
LIMIT_SECONDS = 60.0
SLEEPING = compile_select(select(func.pg_sleep(literal_column("600")).label("nothing")))
PID = compile_select(select(func.pg_backend_pid().label("pid")))


@pytest.fixture(autouse=True)
def long_close_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the server enough time to end a statement, also on a busy machine."""
    monkeypatch.setattr(core.database.pool, "CLOSE_SECONDS", LIMIT_SECONDS)


class Backends:
    """The server processes of a pool: their present number, and the maximum at one time."""

    def __init__(self, admin: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.admin = admin
        self.lock = asyncio.Lock()
        self.pids: list[int] = []
        self.maximum = 0

    async def count(self, condition: str = "true") -> int:
        """The number of processes that meet a condition on `pg_stat_activity`."""
        text = f"SELECT count(*) FROM pg_stat_activity WHERE pid = any($1) AND {condition}"  # noqa: S608, our own
        async with self.lock:
            return int(await self.admin.fetchval(text, self.pids))

    async def until(self, condition: str, expected: int) -> None:
        """Wait until `expected` processes meet the condition."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while await self.count(condition) != expected:  # noqa: ASYNC110, the server does not notify
                await asyncio.sleep(0.02)

    async def until_asleep(self, expected: int) -> None:
        """Wait until `expected` processes run the statement that sleeps."""
        await self.until("state = 'active' AND query LIKE '%pg_sleep(600)%'", expected)


@asynccontextmanager
async def watched(servers: Servers, *, statement_seconds: float) -> AsyncIterator[tuple[ReadPool, Backends]]:
    """A pool of two connections, and its server processes; at the end, those that still run are terminated."""
    admin = await asyncpg.connect(servers.postgres.admin_url)
    backends = Backends(admin)
    url = servers.database_url(servers.postgres.app_url, "postgres")
    engine = create_engine(url, pool_size=SIZE, statement_timeout_seconds=statement_seconds)
    app_pool = read_side(engine).pool
    assert app_pool is not None
    connect_app = app_pool.connect

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        connection = await connect_app()
        backends.pids.append(connection.get_server_pid())
        backends.maximum = max(backends.maximum, await backends.count())
        return connection

    pool = ReadPool(connect, size=SIZE, timeout_seconds=LIMIT_SECONDS)
    try:
        yield pool, backends
    finally:
        await pool.aclose()
        await dispose(engine)
        await admin.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = any($1)", backends.pids)
        await admin.close()


async def read_twice(pool: ReadPool) -> list[int]:
    """The processes that answer two concurrent reads."""
    results = await asyncio.gather(pool.fetch(PID, {}), pool.fetch(PID, {}))
    return [row["pid"] for (row,) in results]


async def cancel_reads(pool: ReadPool, backends: Backends, count: int) -> None:
    """Begin reads that sleep, and cancel them when their statements run."""
    reads = [asyncio.create_task(pool.fetch(SLEEPING, {})) for _ in range(count)]
    await backends.until_asleep(count)
    for task in reads:
        task.cancel()
    results = await asyncio.gather(*reads, return_exceptions=True)
    assert [type(error) for error in results] == [asyncio.CancelledError] * count


async def test_a_statement_ends_with_its_cancelled_read(servers: Servers) -> None:
    """The caller gets its error immediately; the next read waits for the slot, so backends never outnumber slots."""
    async with watched(servers, statement_seconds=LIMIT_SECONDS) as (pool, backends):
        await cancel_reads(pool, backends, SIZE)
        assert pool.statistics().busy == SIZE
        assert not set(await read_twice(pool)) & set(backends.pids[:SIZE])
        await backends.until_asleep(0)
        assert backends.maximum <= SIZE


async def test_a_statement_ends_when_its_read_times_out(servers: Servers) -> None:
    """The statement of a read that times out is cancelled, and the slot is in use until then."""
    async with watched(servers, statement_seconds=6.0) as (pool, backends):
        reads = [asyncio.create_task(pool.fetch(SLEEPING, {})) for _ in range(SIZE)]
        await backends.until_asleep(SIZE)
        results = await asyncio.gather(*reads, return_exceptions=True)
        assert [type(error) for error in results] == [TimeoutError] * SIZE
        assert not set(await read_twice(pool)) & set(backends.pids[:SIZE])
        await backends.until_asleep(0)
        assert backends.maximum <= SIZE


async def test_a_pool_that_closes_waits_for_statements_to_end(servers: Servers) -> None:
    """After `aclose` the server has none of its connections, and every slot is free."""
    async with watched(servers, statement_seconds=LIMIT_SECONDS) as (pool, backends):
        await cancel_reads(pool, backends, SIZE)
        await pool.aclose()
        assert await backends.count() == 0
        assert (pool.free_slots, pool.closing) == (SIZE, set())


async def test_a_pool_closes_although_the_server_does_not_respond(servers: Servers) -> None:
    """An unused connection that the server does not close is dropped; the other one is closed normally."""
    async with watched(servers, statement_seconds=LIMIT_SECONDS) as (pool, backends):
        stopped_backend, other = await read_twice(pool)
        os.kill(stopped_backend, signal.SIGSTOP)
        try:
            with capture_logs() as entries:
                await pool.aclose()
        finally:
            os.kill(stopped_backend, signal.SIGCONT)
        assert [entry["error"].partition(" ")[0] for entry in entries] == ["TimeoutError"]
        await backends.until(f"pid = {other}", 0)
        assert (pool.free_slots, pool.free) == (SIZE, [])


async def test_a_slot_is_freed_although_the_statement_cannot_be_cancelled(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without time to wait for the server, the connection is dropped."""
    monkeypatch.setattr(core.database.pool, "CLOSE_SECONDS", 0.0)
    async with watched(servers, statement_seconds=LIMIT_SECONDS) as (pool, backends):
        await cancel_reads(pool, backends, SIZE)
        assert not set(await read_twice(pool)) & set(backends.pids[:SIZE])
