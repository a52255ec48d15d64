"""A process that is stopped within a transaction keeps its locks for a while, and not for ever."""

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
    """A process that has been stopped while it held locks; killed when the block ends."""
    for idle_seconds in IDLE_SECONDS:
        process = await holding(runtime, organization_id, idle_seconds)
        try:
            assert process.stdout is not None
            said = await asyncio.wait_for(process.stdout.readline(), 60)
            if said == b"holding\n":
                os.kill(process.pid, signal.SIGSTOP)
                yield
                return
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
    raise AssertionError("no process comes to hold its locks")


async def holding(runtime: Runtime, organization_id: UUID, idle_seconds: float) -> asyncio.subprocess.Process:
    """A process that takes its locks, and says so."""
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


async def test_a_stopped_process_lets_its_locks_go(runtime: Runtime) -> None:
    """Its change is undone and its row free again; and whoever wants to work alone may do so soon."""
    actor = await factories.organization(runtime)
    organization_id = actor.organization_id
    async with stopped_process(runtime, organization_id), asyncio.timeout(60):
        async with runtime.work.begin(actor) as uow:
            names = await uow.rows(select(Organization.name).where(Organization.id == organization_id))
            await uow.execute(update(Organization).values(name=names[0].name))
        await until(lambda: may_work_alone(runtime, str(organization_id)))
    [row] = await runtime.reads(actor.tenant).rows(select(Organization.name))
    assert row.name != "Held by a stopped process"


async def may_work_alone(runtime: Runtime, name: str) -> bool:
    """Whether nobody else is at the named work."""
    async with runtime.work.advisory_lock(name) as alone:
        return alone


async def test_the_limit_is_the_transactions_and_costs_nothing(runtime: Runtime) -> None:
    """It comes with the statement that seats the tenant, ends with the transaction, and reads do without."""
    actor = await factories.organization(runtime)
    shown = text("SELECT current_setting('idle_in_transaction_session_timeout')")
    with statements(runtime) as seen:
        async with runtime.work.begin(actor) as uow:
            assert (await uow.connection.execute(shown)).scalar_one() == "15s"
    assert len(seen) == 2
    async with runtime.engine.connect() as connection:
        assert (await connection.execute(shown)).scalar_one() == "0"


async def test_who_works_alone_has_eight_times_as_long(runtime: Runtime) -> None:
    """The connection with the lock is silent while another one works, transaction by transaction."""
    with statements(runtime) as seen:
        async with runtime.work.advisory_lock("what nobody else is at") as alone:
            assert alone
    _, parameters = seen[0]
    assert f"{8 * 15_000}ms" in parameters
