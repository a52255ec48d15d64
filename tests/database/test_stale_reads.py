"""Reads that are not prepared, on connections that the server has ended, and those that it refuses."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import event, func, literal_column, select
from sqlalchemy.exc import DBAPIError

from core.access.actor import user_actor
from core.access.permissions import Role
from core.database.engine import create_engine, dispose, read_side
from core.database.scopes import ReadScope
from core.ids import new_id
from tests.conftest import Servers
from tests.waiting import WAIT_SECONDS


@pytest.fixture
async def reads(servers: Servers) -> AsyncIterator[ReadScope]:
    """The reads of a tenant, on one connection."""
    url = servers.database_url(servers.postgres.app_url, "postgres")
    engine = create_engine(url, pool_size=1, statement_timeout_seconds=WAIT_SECONDS)
    yield ReadScope(read_side(engine), user_actor(new_id(), new_id(), Role.OWNER).tenant)
    await dispose(engine)


async def pid(reads: ReadScope) -> int:
    """The server process that answers."""
    ((backend,),) = await reads.rows(select(func.pg_backend_pid()))
    return int(backend)


@pytest.mark.parametrize("wait", [0.0, 0.1], ids=["noticed while it runs", "noticed before"])
async def test_a_read_whose_connection_died_is_run_on_another(
    reads: ReadScope, servers: Servers, wait: float
) -> None:
    """After a restart of the server, or of its connections, no caller gets an error."""
    before = await pid(reads)
    admin = await asyncpg.connect(servers.postgres.admin_url)
    assert await admin.fetchval("SELECT pg_terminate_backend($1)", before)
    await asyncio.sleep(wait)
    after = await pid(reads)
    await admin.close()
    assert after != before
    assert await pid(reads) == after


async def test_a_read_that_is_refused_is_run_once(reads: ReadScope) -> None:
    """It would be refused on any other connection, so this connection stays in use."""
    sent: list[str] = []
    before = await pid(reads)
    event.listen(reads.engine.sync_engine, "before_cursor_execute", lambda *arguments: sent.append(arguments[2]))
    with pytest.raises(DBAPIError, match="division by zero"):
        await reads.rows(select(literal_column("1 / 0").label("n")))
    assert len(sent) == 1
    assert await pid(reads) == before
