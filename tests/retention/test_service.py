"""Deleting expired rows, and keeping all others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from asyncpg import Connection
from sqlalchemy import insert, select, update
from sqlalchemy.engine import make_url

from core.access.actor import Actor
from core.ids import new_id
from jobs import run
from models.accounts import RefreshToken, UserSession
from models.idempotency import IdempotencyKey
from runtime import Runtime
from services.retention import delete_expired
from tests import factories
from tests.conftest import Servers

NOW = datetime.now(UTC)
LONG_AGO, LATELY, LATER = NOW - timedelta(days=31), NOW - timedelta(days=29), NOW + timedelta(days=1)


def id_of(moment: datetime) -> UUID:
    """An id that was generated at a time."""
    return UUID(int=int(moment.timestamp() * 1000) << 80 | new_id().int & (1 << 80) - 1)


async def key(runtime: Runtime, owner: Actor, name: str, expires_at: datetime) -> None:
    """An idempotency key."""
    async with runtime.work.begin(owner) as uow:
        await uow.execute(
            insert(IdempotencyKey).values(
                organization_id=owner.organization_id,
                key=name,
                operation="op",
                arguments_hash=b"",
                result={},
                expires_at=expires_at,
            )
        )


async def session(runtime: Runtime, owner: Actor, *, expires_at: datetime, ended_at: datetime | None) -> UUID:
    """A session with one unused refresh token."""
    session_id = new_id()
    of_organization = {"organization_id": owner.organization_id}
    async with runtime.work.begin(owner) as uow:
        await uow.execute(
            insert(UserSession).values(
                id=session_id, user_id=owner.user_id, expires_at=expires_at, ended_at=ended_at, **of_organization
            )
        )
        await uow.execute(
            insert(RefreshToken).values(fingerprint=session_id.bytes, session_id=session_id, **of_organization)
        )
    return session_id


async def test_only_expired_rows_are_deleted(fresh_runtime: Runtime) -> None:
    """Keys after 24 hours, sessions and used tokens after 30 days, of all organizations, page by page."""
    runtime = fresh_runtime
    expected: dict[str, set[Any]] = {"sessions": set(), "tokens": set()}
    owners = [await factories.organization(runtime) for _ in range(2)]
    for owner in owners:
        for number in range(3):
            await key(runtime, owner, f"old {number}", NOW - timedelta(minutes=1))
        await key(runtime, owner, "new", LATER)
        await session(runtime, owner, expires_at=LONG_AGO, ended_at=None)
        await session(runtime, owner, expires_at=LATER, ended_at=LONG_AGO)
        lasting = [
            await session(runtime, owner, expires_at=LATELY, ended_at=None),
            await session(runtime, owner, expires_at=LATER, ended_at=LATELY),
            await session(runtime, owner, expires_at=LATER, ended_at=None),
            await session(runtime, owner, expires_at=LATER, ended_at=None),
        ]
        expected["sessions"] |= {*lasting, factories.session_id_of(owner)}
        expected["tokens"] |= {session_id.bytes for session_id in lasting[:3]}
        async with runtime.work.begin(owner) as uow:
            for session_id, used_at in ((lasting[3], LONG_AGO), (lasting[2], LATELY)):
                await uow.execute(
                    update(RefreshToken).where(RefreshToken.session_id == session_id).values(used_at=used_at)
                )
    assert await delete_expired(runtime.system, page_size=1, max_pages=1) == (3, True)
    assert (await delete_expired(runtime.system, page_size=2)).rows >= 2 * (3 + 2 + 1) - 3
    assert (await delete_expired(runtime.system)).rows == 0
    remaining: dict[str, set[Any]] = {"keys": set(), "sessions": set(), "tokens": set()}
    for owner in owners:
        reads = runtime.reads(owner.tenant)
        assert [row[0] for row in await reads.rows(select(IdempotencyKey.key))] == ["new"]
        remaining["sessions"] |= {row[0] for row in await reads.rows(select(UserSession.id))}
        remaining["tokens"] |= {row[0] for row in await reads.rows(select(RefreshToken.fingerprint))}
    assert remaining["sessions"] == expected["sessions"]
    assert remaining["tokens"] == expected["tokens"]


@asynccontextmanager
async def superuser(servers: Servers, runtime: Runtime) -> AsyncIterator[Connection]:
    """A connection to the runtime's database that bypasses all policies."""
    url = runtime.settings.database.url
    assert url is not None
    database = make_url(url.get_secret_value()).database
    connection = await asyncpg.connect(servers.postgres.admin_url, database=database)
    try:
        yield connection
    finally:
        await connection.close()


async def test_old_events_are_deleted_if_applied_or_out_of_attempts(servers: Servers, fresh_runtime: Runtime) -> None:
    """Events that wait to be applied stay, however old; so do recent ones."""
    runtime = fresh_runtime
    owner = await factories.organization(runtime)
    arrivals = [
        ("applied", owner.organization_id, LONG_AGO, LONG_AGO, 1),
        ("applied lately", owner.organization_id, LATELY, LATELY, 1),
        ("waiting", owner.organization_id, LONG_AGO, None, 1),
        ("given up", None, LONG_AGO, None, 20),
        ("unattributed", None, LONG_AGO, None, 19),
    ]
    async with superuser(servers, runtime) as connection:
        await connection.executemany(
            "INSERT INTO webhook_inbox "
            "(id, provider, dedupe_key, organization_id, received_at, applied_at, attempts) "
            "VALUES ($1, 'postmark', $2, $3, $4, $5, $6)",
            [(id_of(arrival[2]), *arrival) for arrival in arrivals],
        )
        assert (await delete_expired(runtime.system)).rows == 2
        left = await connection.fetch("SELECT dedupe_key FROM webhook_inbox")
    assert {row[0] for row in left} == {"applied lately", "unattributed", "waiting"}


async def test_policies_limit_the_functions_role(servers: Servers, fresh_runtime: Runtime) -> None:
    """The functions' role can delete an expired key, and no other row of any table."""
    owner = await factories.organization(fresh_runtime)
    await key(fresh_runtime, owner, "old", LONG_AGO)
    await key(fresh_runtime, owner, "new", LATER)
    async with superuser(servers, fresh_runtime) as connection:
        await connection.execute("SET ROLE nudge_definer")
        assert await connection.execute("DELETE FROM idempotency_keys") == "DELETE 1"
        assert await connection.execute("DELETE FROM user_sessions") == "DELETE 0"
        for table in ("contacts", "email_deliveries", "audit_events", "users"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"DELETE FROM {table}")  # noqa: S608 - the names above


async def test_a_worker_deletes_expired_rows_on_its_own(fresh_runtime: Runtime) -> None:
    """The sweeper of a new worker process deletes expired rows without a request."""
    owner = await factories.organization(fresh_runtime)
    await key(fresh_runtime, owner, "old", LONG_AGO)
    stopping = asyncio.Event()
    worker = asyncio.create_task(run(fresh_runtime, stopping))
    reads = fresh_runtime.reads(owner.tenant)
    async with asyncio.timeout(60):
        while await reads.rows(select(IdempotencyKey.key)):  # noqa: ASYNC110 - the database is polled
            await asyncio.sleep(0.02)
    stopping.set()
    await worker
