"""A process that is stopped within a transaction keeps its locks for a limited time."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from sqlalchemy import select, text, update

from models.accounts import Organization
from runtime import Runtime, secret
from tests import factories
from tests.statements import statements
from tests.waiting import until

ROOT = Path(__file__).parents[2]
# Alone it is eight times as long. A busy machine may be too slow to take its locks within the shorter ones.
IDLE_SECONDS = (0.25, 1.0, 4.0)


@asynccontextmanager
async def stopped_process(runtime: Runtime, organization_id: UUID) -> AsyncIterator[None]:
    """A process that was stopped while it held locks; killed at the end of the block."""
    for idle_seconds in IDLE_SECONDS:
        process = await process_with_locks(runtime, organization_id, idle_seconds)
        try:
            assert process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), 60)
            if line == b"holding\n":
                os.kill(process.pid, signal.SIGSTOP)
                yield
                return
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
    raise AssertionError("no process comes to hold its locks")


async def process_with_locks(
    runtime: Runtime, organization_id: UUID, idle_seconds: float
) -> asyncio.subprocess.Process:
    """A process that has taken its locks, and reported it."""
    environment = {
        **os.environ,
        "HELD_IDLE": str(idle_seconds),
        "HELD_DATABASE": secret(runtime.settings.database.url),
        "HELD_REDIS": secret(runtime.settings.redis.url),
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.tenancy.stopped",
        str(organization_id),
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def test_the_locks_of_a_stopped_process_are_released(runtime: Runtime) -> None:
    """Its change is rolled back and its row is free; the advisory lock is free soon after."""
    actor = await factories.organization(runtime)
    organization_id = actor.organization_id
    async with stopped_process(runtime, organization_id), asyncio.timeout(60):
        async with runtime.work.begin(actor) as uow:
            names = await uow.rows(select(Organization.name).where(Organization.id == organization_id))
            await uow.execute(update(Organization).values(name=names[0].name))
        await until(lambda: advisory_lock_is_free(runtime, str(organization_id)))
    [row] = await runtime.reads(actor.tenant).rows(select(Organization.name))
    assert row.name != "Held by a stopped process"


async def advisory_lock_is_free(runtime: Runtime, name: str) -> bool:
    """Whether no other process holds the advisory lock."""
    async with runtime.work.advisory_lock(name) as locked:
        return locked


async def test_the_idle_limit_is_set_with_the_tenant(runtime: Runtime) -> None:
    """It is part of the statement that sets the tenant, ends with the transaction, and is not set for reads."""
    actor = await factories.organization(runtime)
    query = text("SELECT current_setting('idle_in_transaction_session_timeout')")
    with statements(runtime) as queries:
        async with runtime.work.begin(actor) as uow:
            assert (await uow.connection.execute(query)).scalar_one() == "15s"
    assert len(queries) == 2
    async with runtime.engine.connect() as connection:
        assert (await connection.execute(query)).scalar_one() == "0"


async def test_an_advisory_lock_has_eight_times_the_idle_limit(runtime: Runtime) -> None:
    """The connection with the lock is idle while other connections do the work."""
    with statements(runtime) as queries:
        async with runtime.work.advisory_lock("test") as locked:
            assert locked
    _, parameters = queries[0]
    assert f"{8 * 15_000}ms" in parameters
