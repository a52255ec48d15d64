"""The migrations that `make migration` writes."""

import shutil
import subprocess
from datetime import date
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import DDL, event

from core import migration, revisions
from local.servers import create_database
from migrations import drift, new, sql
from models.senders import SenderConfirmation
from tests.conftest import Servers, copy_template

FUNCTION = "open_replies"


@pytest.fixture
def tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A committed copy of the migrations, which `make migration` uses."""
    copy = tmp_path / "migrations"
    shutil.copytree(revisions.SCRIPTS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    who = ("-c", "user.name=Test", "-c", "user.email=test@nudge.example", "-c", "commit.gpgsign=false")
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "Begin")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(revisions, "SCRIPTS", copy)
    monkeypatch.setattr(new, "ROOT", tmp_path)
    monkeypatch.setattr(sql, "FOLDER", copy / "functions")
    monkeypatch.setattr(sql, "SUPERSEDED", copy / "functions" / "superseded")
    return copy


async def test_a_migration_creates_what_is_missing(servers: Servers, tree: Path) -> None:
    """A table with policies and privileges, a column, a function; the rest is printed. It leaves no other drift."""
    url = servers.database_url(servers.postgres.migrator_url, await copy_template(servers))
    owner = await asyncpg.connect(url.replace("+asyncpg", "", 1))
    try:
        for statement in (
            "DROP TABLE sender_confirmations",
            "ALTER TABLE campaigns DROP COLUMN from_header",
            "DROP FUNCTION system.organizations_with_events",
            "DROP FUNCTION system.count_deliveries_on_update CASCADE",  # and its trigger
            "REVOKE INSERT ON lists FROM nudge_app",
        ):
            await owner.execute(statement)
    finally:
        await owner.close()
    before, checksum = "0123456789ab", sql.current()[FUNCTION]
    name = servers.database_url(servers.postgres.migrator_url, await migrated_copy(servers, url))
    path, left = await migration.as_migrator(
        url, lambda connection: new.script(connection, "Senders again", {FUNCTION: before})
    )
    assert path.parent == tree / "versions"
    up, down = path.read_text().split("def downgrade")
    assert f'sql.load("{FUNCTION}", "{checksum}")' in up
    assert f'sql.load("{FUNCTION}", "{before}")' in down
    (sentence,) = left
    assert sentence.startswith("privileges INSERT of nudge_app on lists is in the models' __row_security__, and not")
    await migration.upgrade(name)
    different = await migration.as_migrator(name, drift.differences)
    assert [each.sentence for each in different] == left


async def test_extended_statistics_must_be_written_by_hand(servers: Servers, tree: Path) -> None:
    """Those of a new table too; otherwise a missing one is noticed only by a slow plan."""
    url = servers.database_url(servers.postgres.migrator_url, await copy_template(servers))
    owner = await asyncpg.connect(url.replace("+asyncpg", "", 1))
    statement = DDL(  # type: ignore[no-untyped-call]
        "CREATE STATISTICS confirmed (dependencies) ON organization_id, sender_id FROM sender_confirmations"
    )
    try:
        await owner.execute("DROP TABLE sender_confirmations; DROP STATISTICS email_deliveries_campaigns")
    finally:
        await owner.close()
    event.listen(SenderConfirmation.__table__, "after_create", statement)
    try:
        path, left = await migration.as_migrator(url, lambda each: new.script(each, "Statistics", {}))
    finally:
        event.remove(SenderConfirmation.__table__, "after_create", statement)
    assert path.parent == tree / "versions"
    assert [sentence.partition(" is in the models, and not")[0] for sentence in left] == [
        "statistics confirmed on sender_confirmations",
        "statistics email_deliveries_campaigns on email_deliveries",
    ]


async def migrated_copy(servers: Servers, url: str) -> str:
    """A migrated copy of the database, including the new migration; its name."""
    name = url.rpartition("/")[2]
    connection = await asyncpg.connect(servers.postgres.admin_url)
    try:
        await connection.execute(f"CREATE DATABASE {name}_copy TEMPLATE {name} OWNER nudge_migrator")
    finally:
        await connection.close()
    return f"{name}_copy"


async def test_the_previous_text_of_a_function_is_stored(servers: Servers, tree: Path) -> None:
    """From the last commit, so that a new database can be migrated; a text that was never committed is not."""
    digest, path = sql.current()[FUNCTION], tree / "functions" / f"{FUNCTION}.sql"
    before = path.read_text()
    path.write_text(before.replace("'pending', ", ""))
    await create_database(servers.postgres.admin_url, "nudge_superseded")
    url = servers.database_url(servers.postgres.migrator_url, "nudge_superseded")
    assert await new.migrated(url) == {FUNCTION: digest}
    assert (tree / "functions" / "superseded" / f"{FUNCTION}.{digest}.sql").read_text() == before
    (difference,) = await migration.as_migrator(url, drift.differences)
    assert difference.name == f"system.{FUNCTION}(uuid,integer)"
    assert not new.supersede(FUNCTION, "0123456789ab")


def test_a_revision_is_later_than_every_other() -> None:
    """By its day, on the same day by its name, else by the next day; within the length of Alembic's column."""
    head = revisions.head()
    assert new.revision_id("Archive: campaigns!", date(2999, 1, 2)) == "2999_01_02_archive_campaigns"
    for message in ("A", "Zebras", "a name of more than thirty-two characters in all"):
        revision = new.revision_id(message, date(2020, 1, 1))
        assert head < revision
        assert len(revision) <= new.MAX_REVISION_LENGTH
