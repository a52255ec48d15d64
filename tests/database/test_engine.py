"""The connections of a process: so many as are configured, and no more."""

import asyncio
from contextlib import AsyncExitStack

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.database.engine import create_engine, dispose
from tests.conftest import Servers, copy_template


async def select_one(engine: AsyncEngine) -> int:
    """The answer to a statement on another connection."""
    async with engine.connect() as connection:
        return int(await connection.scalar(text("SELECT 1")) or 0)


async def test_an_engine_opens_no_more_connections_than_its_pool_has(servers: Servers) -> None:
    """Further requests wait for a released connection, so that all processes stay within the server's limit."""
    url = servers.database_url(servers.postgres.app_url, await copy_template(servers))
    engine = create_engine(url, pool_size=2, statement_timeout_seconds=30)
    try:
        async with AsyncExitStack() as stack:
            first, _ = [await stack.enter_async_context(engine.connect()) for _ in range(2)]
            waiting = asyncio.create_task(select_one(engine))
            await asyncio.wait([waiting], timeout=0.2)
            assert not waiting.done()
            await first.close()
            assert await waiting == 1
    finally:
        await dispose(engine)
