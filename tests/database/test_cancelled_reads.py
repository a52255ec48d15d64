"""Reads that end before their statement does: the statement ends too, and its place is not taken before that."""

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
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine, the server has the time to end a statement."""
    monkeypatch.setattr(core.database.pool, "CLOSE_SECONDS", LIMIT_SECONDS)


class Backends:
    """The server's processes that serve a pool: those there are, and the most there have been at a time."""

    def __init__(self, admin: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.admin = admin
        self.asking = asyncio.Lock()
        self.pids: list[int] = []
        self.most = 0

    async def count(self, condition: str = "true") -> int:
        """How many there are of which the condition holds."""
        text = f"SELECT count(*) FROM pg_stat_activity WHERE pid = any($1) AND {condition}"  # noqa: S608, our own
        async with self.asking:
            return int(await self.admin.fetchval(text, self.pids))

    async def until(self, condition: str, wanted: int) -> None:
        """Wait until the condition holds of so many."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while await self.count(condition) != wanted:  # noqa: ASYNC110, it happens in the server
                await asyncio.sleep(0.02)

    async def until_asleep(self, wanted: int) -> None:
        """Wait until so many run the statement that sleeps."""
        await self.until("state = 'active' AND query LIKE '%pg_sleep(600)%'", wanted)


@asynccontextmanager
async def watched(servers: Servers, *, statement_seconds: float) -> AsyncIterator[tuple[ReadPool, Backends]]:
    """A pool of two connections, and what it is for the server. Nothing of it sleeps on at the end."""
    admin = await asyncpg.connect(servers.postgres.admin_url)
    backends = Backends(admin)
    url = servers.database_url(servers.postgres.app_url, "postgres")
    engine = create_engine(url, pool_size=SIZE, statement_timeout_seconds=statement_seconds)
    whole = read_side(engine).pool
    assert whole is not None
    usual = whole.connect

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        connection = await usual()
        backends.pids.append(connection.get_server_pid())
        backends.most = max(backends.most, await backends.count())
        return connection

    pool = ReadPool(connect, size=SIZE, timeout_seconds=LIMIT_SECONDS)
    try:
        yield pool, backends
    finally:
        await pool.aclose()
        await dispose(engine)
        await admin.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = any($1)", backends.pids)
        await admin.close()


async def two_more(pool: ReadPool) -> list[int]:
    """The processes that answer two reads at the same time."""
    found = await asyncio.gather(pool.fetch(PID, {}), pool.fetch(PID, {}))
    return [row["pid"] for (row,) in found]


async def cancelled(pool: ReadPool, backends: Backends, how_many: int) -> None:
    """Begin reads that sleep, and cancel them when their statements run."""
    reads = [asyncio.create_task(pool.fetch(SLEEPING, {})) for _ in range(how_many)]
    await backends.until_asleep(how_many)
    for read in reads:
        read.cancel()
    ended = await asyncio.gather(*reads, return_exceptions=True)
    assert [type(error) for error in ended] == [asyncio.CancelledError] * how_many


async def test_a_statement_ends_with_its_cancelled_read(servers: Servers) -> None:
    """The caller goes at once; who reads next waits for the place, so there are never more backends than places."""
    async with watched(servers, statement_seconds=LIMIT_SECONDS) as (pool, backends):
        await cancelled(pool, backends, SIZE)
        assert pool.statistics().busy == SIZE
        assert not set(await two_more(pool)) & set(backends.pids[:SIZE])
        await backends.until_asleep(0)
        assert backends.most <= SIZE


async def test_a_statement_ends_when_it_takes_too_long(servers: Servers) -> None:
    """A read that times out leaves nothing running behind, and keeps its place until then."""
    async with watched(servers, statement_seconds=6.0) as (pool, backends):
        reads = [asyncio.create_task(pool.fetch(SLEEPING, {})) for _ in range(SIZE)]
        await backends.until_asleep(SIZE)
        ended = await asyncio.gather(*reads, return_exceptions=True)
        assert [type(error) for error in ended] == [TimeoutError] * SIZE
        assert not set(await two_more(pool)) & set(backends.pids[:SIZE])
        await backends.until_asleep(0)
        assert backends.most <= SIZE


async def test_a_pool_that_closes_waits_for_statements_to_end(servers: Servers) -> None:
    """After `aclose` the server has none of its connections any more, and every place is free."""
    async with watched(servers, statement_seconds=LIMIT_SECONDS) as (pool, backends):
        await cancelled(pool, backends, SIZE)
        await pool.aclose()
        assert await backends.count() == 0
        assert (pool.free_slots, pool.closing) == (SIZE, set())


async def test_a_pool_closes_though_the_server_does_not_answer(servers: Servers) -> None:
    """A connection that nobody uses and the server does not close is dropped; the others are closed as usual."""
    async with watched(servers, statement_seconds=LIMIT_SECONDS) as (pool, backends):
        still, other = await two_more(pool)
        os.kill(still, signal.SIGSTOP)
        try:
            with capture_logs() as told:
                await pool.aclose()
        finally:
            os.kill(still, signal.SIGCONT)
        assert [entry["error"].partition(" ")[0] for entry in told] == ["TimeoutError"]
        await backends.until(f"pid = {other}", 0)
        assert (pool.free_slots, pool.free) == (SIZE, [])


async def test_a_place_comes_back_though_the_statement_cannot_be_ended(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When there is no time to wait for the server, the connection is dropped as it is."""
    monkeypatch.setattr(core.database.pool, "CLOSE_SECONDS", 0.0)
    async with watched(servers, statement_seconds=LIMIT_SECONDS) as (pool, backends):
        await cancelled(pool, backends, SIZE)
        assert not set(await two_more(pool)) & set(backends.pids[:SIZE])
