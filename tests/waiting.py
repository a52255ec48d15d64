"""Wait for what comes in its own time: as long as a busy machine may take, and no longer than it does."""

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy import func, select, text

from core.unit_of_work import UnitOfWork
from runtime import Runtime

WAIT_SECONDS = 60.0


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    """Look until it holds; fail when it does not within a minute."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not await holds():  # noqa: ASYNC110 - what is looked at rings no bell
            await asyncio.sleep(0.01)


async def waits_for(runtime: Runtime, uow: UnitOfWork) -> bool:
    """Whether another transaction waits for a lock of this one."""
    [[holder]] = await uow.rows(select(func.pg_backend_pid()))
    waiting = (
        select(func.count()).select_from(text("pg_stat_activity")).where(text(":holder = ANY(pg_blocking_pids(pid))"))
    )
    [[count]] = await runtime.system.rows(waiting, {"holder": holder})
    return bool(count)
