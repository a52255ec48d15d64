"""A separate process that opens a transaction, reports it, and then waits, so that a test can stop it there."""

import asyncio
import os
import sys
from uuid import UUID

from sqlalchemy import update

from core.access.actor import system_actor
from core.database.engine import create_engine
from core.pubsub import Publisher
from core.queue import Queue
from core.unit_of_work import Work
from models.accounts import Organization


async def hold_locks(work: Work, organization_id: UUID) -> None:
    """Take an advisory lock, lock the organization's row, and wait."""
    async with work.advisory_lock(str(organization_id)) as locked, work.begin(system_actor(organization_id)) as uow:
        result = await uow.execute(
            update(Organization).where(Organization.id == organization_id).values(name="Held by a stopped process")
        )
        assert locked
        assert result.rowcount == 1
        sys.stdout.write("holding\n")
        sys.stdout.flush()
        # The event loop is blocked, so that no statement follows, as in a stopped process.
        sys.stdin.read()


async def main() -> None:
    """Hold the locks that the arguments name."""
    engine = create_engine(os.environ["HELD_DATABASE"], pool_size=2, statement_timeout_seconds=60)
    redis_url = os.environ["HELD_REDIS"]
    idle_seconds = float(os.environ["HELD_IDLE"])
    await hold_locks(
        Work(engine, Queue(redis_url), Publisher(redis_url), idle_seconds=idle_seconds), UUID(sys.argv[1])
    )


if __name__ == "__main__":
    asyncio.run(main())
