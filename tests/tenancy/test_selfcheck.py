"""A process refuses to start with a database whose policies would have no effect."""

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from core import selfcheck
from core.errors import UnsafeDatabase
from runtime import Runtime
from tests.conftest import Servers, copy_template


def engine_of(url: str) -> AsyncEngine:
    """An engine of any role."""
    return create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1))


async def test_the_app_s_role_is_accepted(runtime: Runtime) -> None:
    """With the migrated database there is no obstacle."""
    await selfcheck.check(runtime.engine)


async def test_functions_of_an_administrator_are_ignored(servers: Servers) -> None:
    """Functions of the database's administrator, and those of an extension, do not stop the process."""
    database = await copy_template(servers)
    admin = await asyncpg.connect(servers.database_url(servers.postgres.admin_url, database))
    try:
        await admin.execute("CREATE FUNCTION helper() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    finally:
        await admin.close()
    engine = engine_of(servers.database_url(servers.postgres.app_url, database))
    try:
        await selfcheck.check(engine)
    finally:
        await engine.dispose()


async def test_superusers_and_owners_are_refused(servers: Servers) -> None:
    """The superuser and the migrator are refused as the role of the process."""
    database = await copy_template(servers)
    for role_url, message in ((servers.postgres.admin_url, "superuser"), (servers.postgres.migrator_url, "owns")):
        engine = engine_of(servers.database_url(role_url, database))
        try:
            with pytest.raises(UnsafeDatabase, match=message):
                await selfcheck.check(engine)
        finally:
            await engine.dispose()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("ALTER TABLE contacts DISABLE ROW LEVEL SECURITY", "contacts lacks ENABLE"),
        ("ALTER TABLE contacts NO FORCE ROW LEVEL SECURITY", "contacts lacks FORCE"),
        ("DROP POLICY tenant ON templates", "templates lacks a policy"),
        (
            "GRANT EXECUTE ON FUNCTION system.open_replies(uuid, integer) TO PUBLIC",
            r"PUBLIC may execute system\.open_replies\(.*\): run `nudge migrate`",
        ),
        (
            """
            CREATE FUNCTION open_to_all() RETURNS integer LANGUAGE sql AS 'SELECT 1';
            ALTER FUNCTION open_to_all() OWNER TO nudge_migrator;
            GRANT EXECUTE ON FUNCTION open_to_all() TO PUBLIC
            """,
            r"PUBLIC may execute open_to_all\(\)",
        ),
        (
            "REVOKE EXECUTE ON FUNCTION system.open_replies(uuid, integer) FROM nudge_app",
            r"the role may not execute system\.open_replies\(",
        ),
        ("CREATE TABLE extra (organization_id uuid)", "extra lacks ENABLE and FORCE and a policy"),
    ],
)
async def test_tables_without_protection_are_named(servers: Servers, damage: str, message: str) -> None:
    """Each way to lose a policy stops the process, with the table's name."""
    database = await copy_template(servers)
    admin = await asyncpg.connect(servers.database_url(servers.postgres.admin_url, database))
    try:
        await admin.execute(damage)
    finally:
        await admin.close()
    engine = engine_of(servers.database_url(servers.postgres.app_url, database))
    try:
        with pytest.raises(UnsafeDatabase, match=message):
            await selfcheck.check(engine)
    finally:
        await engine.dispose()
