"""The migrations create what the models, SQL files and policies declare; differences are reported."""

import re
from pathlib import Path

import asyncpg
import pytest

from core import migration
from migrations import drift, sql
from models.lists import ContactList
from models.row_security import organization_rows
from tests.conftest import Servers, copy_template

FUNCTION = "open_replies"
FIRST_UUID = (
    "CREATE OR REPLACE FUNCTION system.first_uuid(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE "
    "SET search_path = pg_catalog, pg_temp AS 'SELECT uuidv7()'"
)

# Manual changes of a database, and how the sentence about each begins.
CHANGES = {
    "CREATE FUNCTION system.extra() RETURNS integer LANGUAGE sql AS 'SELECT 1'": (
        r"^function system\.extra\(\) is in the database, and not in migrations/functions/: add it there, or drop"
    ),
    FIRST_UUID: r"^function system\.first_uuid\(.*\) differs from migrations/functions/: make it so",
    "ALTER FUNCTION system.ensure_partitions() RESET search_path": r"^function system\.ensure_partitions\(\) differs",
    "REVOKE EXECUTE ON FUNCTION system.analyze_deliveries FROM nudge_app": r"^function system\.analyze_deliveries\(",
    "DROP TRIGGER count_on_update ON email_deliveries": (
        r"^trigger count_on_update on .* is in migrations/functions/, and not in the database: make it"
    ),
    "DROP POLICY tenant ON lists": r"^policy tenant on lists is in the models' __row_security__, and not",
    "CREATE POLICY open ON lists TO nudge_app USING (true)": r"^policy open on lists is in the database, and not",
    "ALTER POLICY tenant ON contacts USING (true)": r"^policy tenant on contacts differs from the models'",
    "ALTER TABLE contacts NO FORCE ROW LEVEL SECURITY": r"^security contacts differs",
    "GRANT TRUNCATE ON lists TO nudge_app": r"^privileges TRUNCATE of nudge_app on lists is in the database, and not",
    "REVOKE SELECT (email_norm) ON users FROM nudge_definer": r"^privileges SELECT of .* on users \(email_norm\) is",
    "DROP POLICY tenant ON email_deliveries_default": r"^policy tenant on email_deliveries_default is in the models'",
    "ALTER TABLE users DROP CONSTRAINT ck_users_role": r"^constraint ck_users_role on users is in the models",
    "ALTER TABLE lists ALTER created_at DROP DEFAULT": r"^column lists\.created_at differs from the models:",
    "ALTER TABLE contacts ALTER search_text SET EXPRESSION AS (email)": r"^column contacts\.search_text differs from",
    "DROP INDEX ix_contacts_email_norm": r"^index ix_contacts_email_norm on contacts is in the models, and not",
    "CREATE STATISTICS by_hand (dependencies) ON status, organization_id FROM contacts": (
        r"^statistics by_hand on contacts is in the database, and not in the models"
    ),
    "GRANT DELETE ON users TO nudge_app": r"^privileges DELETE of nudge_app on users is in the database, and not",
    "ALTER TABLE campaign_stats RESET (fillfactor)": r"^table campaign_stats differs from the models",
}


async def differences(servers: Servers, *statements: str) -> list[str]:
    """The drift of a database in which the owner has run the statements."""
    url = servers.database_url(servers.postgres.migrator_url, await copy_template(servers))
    owner = await asyncpg.connect(url.replace("+asyncpg", "", 1))
    try:
        for statement in statements:
            await owner.execute(statement)
    finally:
        await owner.close()
    return [each.sentence for each in await migration.as_migrator(url, drift.differences)]


def change_files(monkeypatch: pytest.MonkeyPatch, folder: Path, **texts: str | None) -> None:
    """Replace the functions' files by these; None for a missing one."""
    for path in sql.FOLDER.glob("*.sql"):
        (folder / path.name).write_text(path.read_text())
    for name, text in texts.items():
        if text is None:
            (folder / f"{name}.sql").unlink()
        else:
            (folder / f"{name}.sql").write_text(text)
    monkeypatch.setattr(sql, "FOLDER", folder)
    monkeypatch.setattr(sql, "SUPERSEDED", folder / "superseded")


def file(name: str) -> str:
    """A function's file."""
    return (sql.FOLDER / f"{name}.sql").read_text()


async def test_the_migrations_create_what_is_declared(servers: Servers) -> None:
    """Tables with columns, constraints and indexes; functions, triggers, policies and privileges."""
    assert await differences(servers) == []


async def test_detecting_drift_changes_nothing(servers: Servers) -> None:
    """It is rolled back, and a second run finds the same differences."""
    url = servers.database_url(servers.postgres.migrator_url, await copy_template(servers))
    owner = await asyncpg.connect(url.replace("+asyncpg", "", 1))
    try:
        await owner.execute("DROP POLICY tenant ON lists")
        twice = await migration.as_migrator(url, lambda connection: [drift.differences(connection) for _ in range(2)])
        assert [len(each) for each in twice] == [1, 1]
        assert await owner.fetchval("SELECT count(*) FROM pg_proc WHERE proname = $1", FUNCTION) == 1
    finally:
        await owner.close()


async def test_changes_in_the_database_are_found(servers: Servers) -> None:
    """Each gives one sentence, which names the object and the next step."""
    sentences = await differences(servers, *CHANGES)
    for expected in CHANGES.values():
        assert len([sentence for sentence in sentences if re.search(expected, sentence)]) == 1, (expected, sentences)
    assert len(sentences) == len(CHANGES)


async def test_a_changed_file_without_a_migration_is_found(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a database that was migrated before the file changed."""
    change_files(monkeypatch, tmp_path, **{FUNCTION: file(FUNCTION).replace("'pending', ", "")})
    (sentence,) = await differences(servers)
    assert sentence.startswith(f"function system.{FUNCTION}(uuid,integer) differs from migrations/functions/")


async def test_a_changed_declaration_without_a_migration_is_found(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table declared read-only for the app, with another tenant column: policy and privileges differ."""
    monkeypatch.setattr(ContactList, "__row_security__", organization_rows("SELECT", key="id"))
    sentences = await differences(servers)
    assert [each.partition(" is ")[0].partition(" differs ")[0] for each in sentences] == [
        "policy tenant on lists",
        *(f"privileges {each} of nudge_app on lists" for each in ("INSERT", "UPDATE")),
    ]


def test_a_migration_loads_the_text_that_it_was_written_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A changed file stops it with the next step; with the previous text as superseded, it loads that."""
    before, digest = file(FUNCTION), sql.current()[FUNCTION]
    change_files(monkeypatch, tmp_path, **{FUNCTION: before.replace("'pending', ", "")})
    with pytest.raises(sql.FunctionChanged, match=rf"superseded/{FUNCTION}\.{digest}\.sql\. Where"):
        sql.text_of(FUNCTION, digest)
    (tmp_path / "superseded").mkdir()
    (tmp_path / "superseded" / f"{FUNCTION}.{digest}.sql").write_text(before)
    assert sql.text_of(FUNCTION, digest) == before
    (tmp_path / f"{FUNCTION}.sql").unlink()
    assert sql.text_of(FUNCTION, digest) == before
    (tmp_path / "superseded" / f"{FUNCTION}.{digest}.sql").unlink()
    with pytest.raises(sql.FunctionChanged, match=rf"is missing, and a migration loads {digest}: run `make"):
        sql.text_of(FUNCTION, digest)


def test_comments_above_a_function_do_not_change_its_digest() -> None:
    """They are not stored in the database; comments in the body are."""
    text = file(FUNCTION)
    assert sql.digest_of(f"-- Another word.\n{text}") == sql.digest_of(text)
    assert sql.digest_of(text.replace("ai_messages", "ai_message")) != sql.digest_of(text)


def test_every_function_has_a_comment_and_a_fixed_search_path() -> None:
    """The comment explains its purpose; without the path a caller could put other tables first."""
    for name in sql.current():
        text = file(name)
        assert text.startswith("-- "), name
        assert f"FUNCTION system.{name}(" in text, name
        assert re.search(r"SET search_path = pg_catalog, (public, )?pg_temp\n", text), name
        assert f"REVOKE ALL ON FUNCTION system.{name} FROM PUBLIC;" in text, name
