"""That the migrations make what the models, the SQL files and the policies say, and what is said when they do not."""

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

# What somebody may do to a database by hand, and how the sentence about it begins.
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
    """What has drifted in a database where the owner has run the statements."""
    url = servers.database_url(servers.postgres.migrator_url, await copy_template(servers))
    owner = await asyncpg.connect(url.replace("+asyncpg", "", 1))
    try:
        for statement in statements:
            await owner.execute(statement)
    finally:
        await owner.close()
    return [each.sentence for each in await migration.as_migrator(url, drift.differences)]


def changed(monkeypatch: pytest.MonkeyPatch, folder: Path, **texts: str | None) -> None:
    """Let the functions' files be these in place of those in the tree; None for one that is gone."""
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


async def test_the_migrations_make_what_the_files_and_the_models_say(servers: Servers) -> None:
    """Tables with columns, constraints and indexes; functions, triggers, policies and privileges."""
    assert await differences(servers) == []


async def test_looking_for_drift_changes_nothing(servers: Servers) -> None:
    """It is rolled back: what was different still is."""
    url = servers.database_url(servers.postgres.migrator_url, await copy_template(servers))
    owner = await asyncpg.connect(url.replace("+asyncpg", "", 1))
    try:
        await owner.execute("DROP POLICY tenant ON lists")
        twice = await migration.as_migrator(url, lambda connection: [drift.differences(connection) for _ in range(2)])
        assert [len(each) for each in twice] == [1, 1]
        assert await owner.fetchval("SELECT count(*) FROM pg_proc WHERE proname = $1", FUNCTION) == 1
    finally:
        await owner.close()


async def test_what_was_changed_in_the_database_is_found(servers: Servers) -> None:
    """Each change gives one sentence, which names the object and says what to do."""
    said = await differences(servers, *CHANGES)
    for expected in CHANGES.values():
        assert len([sentence for sentence in said if re.search(expected, sentence)]) == 1, (expected, said)
    assert len(said) == len(CHANGES)


async def test_a_changed_file_without_a_migration_is_found(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a database that was migrated before the file changed."""
    changed(monkeypatch, tmp_path, **{FUNCTION: file(FUNCTION).replace("'pending', ", "")})
    (sentence,) = await differences(servers)
    assert sentence.startswith(f"function system.{FUNCTION}(uuid,integer) differs from migrations/functions/")


async def test_a_changed_declaration_without_a_migration_is_found(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists as if the app only read them, by another column: policy and privileges have to follow."""
    monkeypatch.setattr(ContactList, "__row_security__", organization_rows("SELECT", key="id"))
    said = await differences(servers)
    assert [each.partition(" is ")[0].partition(" differs ")[0] for each in said] == [
        "policy tenant on lists",
        *(f"privileges {each} of nudge_app on lists" for each in ("INSERT", "UPDATE")),
    ]


def test_a_migration_loads_the_text_that_it_was_written_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A changed file stops it with what to do; with the text before put beside it, it loads what it did."""
    before, digest = file(FUNCTION), sql.current()[FUNCTION]
    changed(monkeypatch, tmp_path, **{FUNCTION: before.replace("'pending', ", "")})
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


def test_comments_above_a_function_are_no_change() -> None:
    """They explain it, and are not stored; what is in its body is."""
    text = file(FUNCTION)
    assert sql.digest_of(f"-- Another word.\n{text}") == sql.digest_of(text)
    assert sql.digest_of(text.replace("ai_messages", "ai_message")) != sql.digest_of(text)


def test_every_function_has_a_comment_and_a_fixed_search_path() -> None:
    """A file tells what its function is for; without the path a caller could put tables of its own before ours."""
    for name in sql.current():
        text = file(name)
        assert text.startswith("-- "), name
        assert f"FUNCTION system.{name}(" in text, name
        assert re.search(r"SET search_path = pg_catalog, (public, )?pg_temp\n", text), name
        assert f"REVOKE ALL ON FUNCTION system.{name} FROM PUBLIC;" in text, name
