"""The migrations: upgrade, downgrade, and upgrade again."""

import re

import asyncpg
import pytest
from alembic import command

from core import migration, revisions
from migrations import drift
from tests.conftest import Servers, copy_template

MAX_REVISION_LENGTH = 32  # Alembic's column
# What a downgrade to nothing leaves: the table of the revision, which is Alembic's.
LEFT = """
    SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('public', 'system') AND c.relname NOT LIKE 'alembic_version%'
    UNION ALL SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname IN ('public', 'system')
    UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = 'system'
    UNION ALL SELECT 'a default privilege' FROM pg_default_acl
    UNION ALL SELECT format('a privilege of %s', a.grantee::regrole) FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.relname = 'alembic_version' AND a.grantee <> c.relowner
"""


@pytest.mark.parametrize("down_to", [*list(revisions.known())[1:], "base"])
async def test_upgrades_work_after_a_downgrade(servers: Servers, down_to: str) -> None:
    """A downgrade leaves nothing that prevents the upgrade; there is no drift at the end."""
    url = servers.database_url(servers.postgres.migrator_url, await copy_template(servers))
    await migration.check(url)
    await migration.as_migrator(url, lambda connection: command.downgrade(migration.config(connection), down_to))
    if down_to == "base":
        owner = await asyncpg.connect(url.replace("+asyncpg", "", 1))
        try:
            assert [row[0] for row in await owner.fetch(LEFT)] == []
        finally:
            await owner.close()
    await migration.upgrade(url)
    await migration.check(url)
    assert await migration.as_migrator(url, drift.differences) == []


def test_there_is_one_head_and_each_revision_has_a_date() -> None:
    """With two heads, after a merge of branches, set the `down_revision` of the later one to the earlier one.

    A revision begins with its day, which `core.revisions` compares, and is the name of its file.
    """
    assert [revision for revision, is_newest in revisions.known().items() if is_newest] == [revisions.head()]
    assert list(revisions.known()) == sorted(revisions.known(), reverse=True)  # from the newest
    for revision in revisions.known():
        assert re.fullmatch(r"20\d\d_[01]\d_[0-3]\d_[a-z0-9_]+", revision), revision
        assert len(revision) <= MAX_REVISION_LENGTH, revision
        assert (revisions.SCRIPTS / "versions" / f"{revision}.py").exists(), revision
