"""Poll for a condition, with a timeout long enough for a busy machine."""

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy import func, select, text

from core.unit_of_work import UnitOfWork
from runtime import Runtime

WAIT_SECONDS = 60.0


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    """Poll a condition until it holds.

    Raises:
        TimeoutError: it does not hold within a minute.
    """
    async with asyncio.timeout(WAIT_SECONDS):
        while not await holds():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


async def blocks_another(runtime: Runtime, uow: UnitOfWork) -> bool:
    """Whether another transaction waits for a lock that this one holds."""
    [[holder]] = await uow.rows(select(func.pg_backend_pid()))
    waiting = (
        select(func.count()).select_from(text("pg_stat_activity")).where(text(":holder = ANY(pg_blocking_pids(pid))"))
    )
    [[count]] = await runtime.system.rows(waiting, {"holder": holder})
    return bool(count)
