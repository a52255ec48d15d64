"""The reads of one operation: concurrent while half of the pool is left for others, else one after the other."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from core.database.engine import read_side
from core.database.pool import ReadPool
from core.database.prepared import prepare
from core.database.scopes import MAX_CONCURRENT_READS, ReadScope
from models.contacts import Contact
from runtime import Runtime
from tests import factories
from tests.waiting import WAIT_SECONDS, until

if TYPE_CHECKING:
    import asyncpg

HOW_MANY = prepare(select(func.count().label("rows")).select_from(Contact))
FIELDS = 10


class HeldPool(ReadPool):
    """A pool whose reads have their connections and wait until they may go on."""

    def __init__(self, runtime: Runtime, size: int) -> None:
        own = read_side(runtime.engine).pool
        assert own is not None
        super().__init__(own.connect, size=size, timeout_seconds=WAIT_SECONDS)
        self.may_go_on = asyncio.Event()
        self.held: list[asyncio.Event] = []
        self.running = self.most = 0

    async def fetch_sql(self, sql: str, arguments: Sequence[Any]) -> "list[asyncpg.Record]":
        """Count those that hold a connection."""
        connection = await self.acquire()
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self._held()
            return await connection.fetch(sql, arguments)
        finally:
            self.running -= 1
            self.release(connection)

    async def _held(self) -> None:
        own = asyncio.Event()
        self.held.append(own)
        waits = [asyncio.create_task(each.wait()) for each in (own, self.may_go_on)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def one_may_go_on(self) -> None:
        """Let the read go on that has waited the longest."""
        self.held.pop(0).set()


async def scope_of(runtime: Runtime, pool: ReadPool, contacts: int) -> ReadScope:
    """The reads of an organization with so many contacts."""
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, contacts)
    scope = runtime.reads(actor.tenant)
    scope.pool = pool
    return scope


async def soon(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""

    async def check() -> bool:
        return holds()

    await until(check)


async def counts(scope: ReadScope, times: int) -> list[int]:
    """The same read in that many fields, concurrently."""
    results = await asyncio.gather(*(scope.rows(HOW_MANY) for _ in range(times)))
    return [rows[0][0] for rows in results]


async def open_all(pool: HeldPool) -> None:
    """Open every connection of a pool, as it is after some load."""
    connections = [await pool.acquire() for _ in range(pool.size)]
    for connection in connections:
        pool.release(connection)


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize(("size", "at_once"), [(20, MAX_CONCURRENT_READS), (4, 2), (2, 1), (1, 1)])
async def test_reads_of_an_operation_leave_half_of_the_pool(
    runtime: Runtime, size: int, at_once: int, *, warm: bool
) -> None:
    """At most four concurrent reads, and only one when half of the connections are in use, open or not."""
    pool = HeldPool(runtime, size)
    if warm:
        await open_all(pool)
    scope = await scope_of(runtime, pool, 3)
    reading = asyncio.create_task(counts(scope, FIELDS))
    await soon(lambda: pool.running == at_once)
    await asyncio.sleep(0.05)
    assert pool.running == at_once
    pool.may_go_on.set()
    assert await reading == [3] * FIELDS
    assert (scope.running, len(scope.waiting)) == (0, 0)
    await pool.aclose()


async def test_reads_that_wait_start_as_others_end(runtime: Runtime) -> None:
    """The concurrency stays the same until the last read."""
    pool = HeldPool(runtime, 20)
    scope = await scope_of(runtime, pool, 3)
    reading = asyncio.create_task(counts(scope, FIELDS))
    for done in range(FIELDS):
        await soon(lambda done=done: len(pool.held) == min(MAX_CONCURRENT_READS, FIELDS - done))  # type: ignore[misc]
        pool.one_may_go_on()
    assert await reading == [3] * FIELDS
    await pool.aclose()


async def test_wide_operations_leave_connections_to_others(runtime: Runtime) -> None:
    """With three operations of one tenant with ten fields each, the only read of another starts immediately."""
    pool = HeldPool(runtime, 10)
    await open_all(pool)
    wide = [await scope_of(runtime, pool, 3) for _ in range(3)]
    reading = [asyncio.create_task(counts(scope, FIELDS)) for scope in wide]
    await soon(lambda: pool.running == 6)  # the first takes four, and each of the others one
    await asyncio.sleep(0.05)
    before = pool.running
    other = asyncio.create_task(counts(await scope_of(runtime, pool, 1), 1))
    await soon(lambda: pool.running == before + 1)
    assert (before, len(pool.waiting)) == (6, 0)
    pool.may_go_on.set()
    assert await other == [1]
    assert await asyncio.gather(*reading) == [[3] * FIELDS] * 3
    await pool.aclose()


async def test_other_statements_run_one_at_a_time(runtime: Runtime) -> None:
    """They take SQLAlchemy's connections, which transactions need; each is executed among prepared ones."""
    pool = HeldPool(runtime, 20)
    scope = await scope_of(runtime, pool, 3)
    prepared = asyncio.create_task(counts(scope, 2))
    await soon(lambda: pool.running == 2)
    made_up = [asyncio.create_task(scope.rows(select(Contact.id))) for _ in range(3)]
    more = asyncio.create_task(counts(scope, 2))
    await soon(lambda: len(scope.waiting) == 5)
    pool.may_go_on.set()
    assert await prepared == await more == [3, 3]
    assert [len(rows) for rows in await asyncio.gather(*made_up)] == [3, 3, 3]
    assert (scope.running, len(scope.waiting)) == (0, 0)
    await pool.aclose()


async def test_an_operation_of_many_fields_does_not_hold_up_another(runtime: Runtime) -> None:
    """With one connection, the only read of another operation runs directly after the first of the many."""
    pool = HeldPool(runtime, 1)
    many, one = await scope_of(runtime, pool, 3), await scope_of(runtime, pool, 1)
    sizes: list[int] = []

    async def note(scope: ReadScope) -> None:
        sizes.extend(await counts(scope, 1))

    tasks = [asyncio.create_task(note(many)) for _ in range(FIELDS)]
    await soon(lambda: pool.running == 1)
    tasks.append(asyncio.create_task(note(one)))
    await soon(lambda: len(pool.waiting) == 1)
    pool.may_go_on.set()
    await asyncio.gather(*tasks)
    assert sizes == [3, 1] + [3] * (FIELDS - 1)
    await pool.aclose()


async def test_a_read_that_fails_beside_others_leaves_its_place(runtime: Runtime) -> None:
    """However often it happens, the next reads run concurrently again."""
    pool = HeldPool(runtime, 20)
    scope = await scope_of(runtime, pool, 2)
    for _ in range(MAX_CONCURRENT_READS):
        reading = asyncio.create_task(counts(scope, FIELDS))
        await soon(lambda: pool.running == MAX_CONCURRENT_READS)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    pool.may_go_on.set()
    assert await counts(scope, FIELDS) == [2] * FIELDS
    assert (pool.most, scope.running) == (MAX_CONCURRENT_READS, 0)
    await pool.aclose()
