"""The reads of one operation: side by side while there are connections to spare, one after the other when not."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from core.database.engine import read_side
from core.database.pool import ReadPool
from core.database.prepared import prepare
from core.database.scopes import MAX_BESIDE, ReadScope
from models.contacts import Contact
from runtime import Runtime
from tests import factories
from tests.waiting import PATIENCE_SECONDS, until

if TYPE_CHECKING:
    import asyncpg

HOW_MANY = prepare(select(func.count().label("rows")).select_from(Contact))
FIELDS = 10


class HeldPool(ReadPool):
    """A pool whose reads have their connections and wait until they may go on."""

    def __init__(self, runtime: Runtime, size: int) -> None:
        own = read_side(runtime.engine).pool
        assert own is not None
        super().__init__(own.connect, size=size, timeout_seconds=PATIENCE_SECONDS)
        self.may_go_on = asyncio.Event()
        self.running = self.most = 0

    async def fetch_sql(self, sql: str, arguments: Sequence[Any]) -> "list[asyncpg.Record]":
        """Count those that hold a connection."""
        connection = await self.acquire()
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.may_go_on.wait()
            return await connection.fetch(sql, arguments)
        finally:
            self.running -= 1
            self.release(connection)


async def scope_of(runtime: Runtime, pool: ReadPool, contacts: int) -> ReadScope:
    """The reads of an organisation with so many contacts."""
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
    """The same read in so many fields at once."""
    found = await asyncio.gather(*(scope.rows(HOW_MANY) for _ in range(times)))
    return [rows[0][0] for rows in found]


@pytest.mark.parametrize(("size", "at_once"), [(20, 1 + MAX_BESIDE), (4, 2), (2, 1), (1, 1)])
async def test_reads_of_an_operation_take_what_others_leave(runtime: Runtime, size: int, at_once: int) -> None:
    """Four at most, and none beside the first once half of the connections are in use."""
    pool = HeldPool(runtime, size)
    scope = await scope_of(runtime, pool, 3)
    reading = asyncio.create_task(counts(scope, FIELDS))
    await soon(lambda: pool.running == at_once)
    await asyncio.sleep(0.05)
    assert pool.running == at_once
    pool.may_go_on.set()
    assert await reading == [3] * FIELDS
    assert scope.beside == 0
    await pool.aclose()


async def test_an_operation_of_many_fields_does_not_hold_up_another(runtime: Runtime) -> None:
    """With one connection, the one read of another operation comes right after the first of the many."""
    pool = HeldPool(runtime, 1)
    many, one = await scope_of(runtime, pool, 3), await scope_of(runtime, pool, 1)
    ended: list[int] = []

    async def note(scope: ReadScope) -> None:
        ended.extend(await counts(scope, 1))

    tasks = [asyncio.create_task(note(many)) for _ in range(FIELDS)]
    await soon(lambda: pool.running == 1)
    tasks.append(asyncio.create_task(note(one)))
    await soon(lambda: len(pool.waiting) == 1)
    pool.may_go_on.set()
    await asyncio.gather(*tasks)
    assert ended == [3, 1] + [3] * (FIELDS - 1)
    await pool.aclose()


async def test_a_read_that_fails_beside_others_leaves_its_place(runtime: Runtime) -> None:
    """However often it happens, the next reads go side by side again."""
    pool = HeldPool(runtime, 20)
    scope = await scope_of(runtime, pool, 2)
    for _ in range(MAX_BESIDE + 1):
        reading = asyncio.create_task(counts(scope, FIELDS))
        await soon(lambda: pool.running == 1 + MAX_BESIDE)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    pool.may_go_on.set()
    assert await counts(scope, FIELDS) == [2] * FIELDS
    assert (pool.most, scope.beside) == (1 + MAX_BESIDE, 0)
    await pool.aclose()
