"""A database at a revision that is unknown to this version, newer or older."""

import asyncio
import json
import shlex
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

import development
from core import migration, revisions
from core.errors import UnsafeDatabase
from core.readiness import Readiness, readiness
from local.folder import free_port
from runtime import check_servers, running
from settings import Settings
from tests.conftest import Servers, copy_template, settings_for
from tests.operating.commands import SERVING, assert_refused, nudge

OLD_CHAIN = "0008"
OTHER_BRANCH = "2026_12_02_other_branch"
NEWER = "2999_01_01_newer"


async def at_revision(servers: Servers, revision: str) -> str:
    """The name of a migrated database whose stored revision is this one."""
    database = await copy_template(servers)
    await fetch_value(
        servers, database, "UPDATE alembic_version SET version_num = $1 RETURNING version_num", revision
    )
    return database


async def fetch_value(servers: Servers, database: str, statement: str, *values: str) -> str | None:
    """The first value of a statement run as the superuser."""
    connection = await asyncpg.connect(servers.database_url(servers.postgres.admin_url, database))
    try:
        value: str | None = await connection.fetchval(statement, *values)
        return value
    finally:
        await connection.close()


async def migrate(servers: Servers, database: str, *, reset_advice: str | None = None) -> None:
    """As `nudge migrate` does."""
    url = servers.database_url(servers.postgres.migrator_url, database)
    await migration.upgrade(url, reset_advice=reset_advice)


async def test_in_development_each_command_prints_how_to_start_over(servers: Servers, tmp_path: Path) -> None:
    """Each command exits with 2 and one sentence, and does not change the database."""
    database = await at_revision(servers, OLD_CHAIN)

    async def refused(verb: str) -> None:
        result = await nudge(
            verb,
            folder=tmp_path,
            **SERVING,
            NUDGE_ENVIRONMENT="development",
            NUDGE_HOME=str(tmp_path / verb),
            NUDGE_DATABASE__URL=servers.database_url(servers.postgres.app_url, database),
            NUDGE_DATABASE__MIGRATOR_URL=servers.database_url(servers.postgres.migrator_url, database),
            NUDGE_REDIS__URL=servers.valkey.url,
            NUDGE_API__PORT=str(free_port()),
            NUDGE_SANDBOX__PORT=str(free_port()),
        )
        assert_refused(
            result,
            f"The database is at revision {OLD_CHAIN}, which this version does not know",
            "to start over, name an empty database in NUDGE_DATABASE__URL and NUDGE_DATABASE__MIGRATOR_URL",
        )

    await asyncio.gather(*(refused(verb) for verb in ("dev", "migrate", "api", "worker", "seed")))
    assert await fetch_value(servers, database, "SELECT version_num FROM alembic_version") == OLD_CHAIN
    assert await fetch_value(servers, database, "SELECT to_regclass('campaigns')::text") == "campaigns"


@pytest.mark.parametrize("revision", [OLD_CHAIN, OTHER_BRANCH, NEWER])
async def test_in_development_no_unknown_revision_is_served(servers: Servers, revision: str) -> None:
    """Including a later one, which in production would be of a newer version: here it is of another branch."""
    database = await at_revision(servers, revision)
    document = settings_for(servers, database).model_dump() | {"environment": "development", "_env_file": None}
    with pytest.raises(UnsafeDatabase, match=rf"at revision {revision}, .*; to start over, "):
        await check_servers(Settings.model_validate(document))


def test_the_data_of_nudge_dev_is_moved_and_never_deleted(tmp_path: Path) -> None:
    """The printed command moves it, any number of times; for another server there is no data to move."""
    settings = Settings.model_validate({"_env_file": None, "environment": "development", "home": tmp_path})
    own, other = "postgresql://nudge_app:x@127.0.0.1:5999/nudge", "postgresql://nudge_app:x@127.0.0.1:5432/nudge"
    assert "name an empty database" in str(development.reset_advice(settings, own))
    (tmp_path / "servers.json").write_text(json.dumps({"postgres_port": 5999}))
    for number in (1, 2):
        (tmp_path / "postgres").mkdir()
        (tmp_path / "postgres" / "PG_VERSION").write_text(str(number))
        assert "name an empty database" in str(development.reset_advice(settings, other))
        advice = str(development.reset_advice(settings, own))
        assert advice.startswith("stop `nudge dev`, move its data (`mv ")
        subprocess.run(shlex.split(advice.split("`")[3]), check=True)
        assert (tmp_path / f"postgres.{number}" / "PG_VERSION").read_text() == str(number)


async def test_a_newer_version_has_migrated(servers: Servers) -> None:
    """A serving process continues until it is replaced; `nudge migrate` fails. In development it is a branch."""
    database = await at_revision(servers, NEWER)
    with pytest.raises(UnsafeDatabase, match=rf"at revision {NEWER}, .* a newer version of NudgeCampaign .*install"):
        await migrate(servers, database)
    settings = settings_for(servers, database)
    await check_servers(settings)
    async with running(settings) as runtime:
        assert await readiness(runtime.engine, runtime.cache, runtime.supervisors) == (None, None)
    with pytest.raises(UnsafeDatabase, match="another branch or an older version made it; to start over, do so"):
        await migrate(servers, database, reset_advice="do so")


@pytest.mark.parametrize("revision", [OLD_CHAIN, "2026_01_01_withdrawn"])
async def test_a_withdrawn_version_has_migrated(servers: Servers, revision: str) -> None:
    """Without an upgrade path nothing serves or migrates, and no instance is ready."""
    database = await at_revision(servers, revision)
    message = rf"at revision {revision}, .*: no release made it, or one that this version cannot upgrade from"

    async def refused(work: Callable[[], Awaitable[None]]) -> None:
        with pytest.raises(UnsafeDatabase, match=message):
            await work()

    await refused(lambda: migrate(servers, database))
    await refused(lambda: check_servers(settings_for(servers, database)))
    assert (await ready(servers, database)).failure == (
        f"database: at revision {revision}, this version needs {revisions.head()}"
    )


async def test_a_database_of_an_older_version(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is about to serve names both revisions and the command to run."""
    monkeypatch.setattr(revisions, "known", lambda: {"2026_12_02_next": True, "2026_12_01_foundation": False})
    database = await copy_template(servers)
    message = r"is at revision 2026_12_01_foundation, this version needs 2026_12_02_next: run `nudge migrate`"
    with pytest.raises(UnsafeDatabase, match=message):
        await check_servers(settings_for(servers, database))
    assert "at revision 2026_12_01_foundation" in str((await ready(servers, database)).failure)


async def ready(servers: Servers, database: str) -> Readiness:
    """The readiness of an instance on this database."""
    async with running(settings_for(servers, database)) as runtime:
        return await readiness(runtime.engine, runtime.cache, runtime.supervisors)
