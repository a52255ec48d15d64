"""`nudge roles create`: from an administrator's URL to a database that `nudge migrate` and the app can use."""

import re
from collections.abc import AsyncIterator, Iterator
from io import StringIO
from pathlib import Path

import asyncpg
import pytest
from dotenv import dotenv_values

from core import migration, revisions, selfcheck
from core.database.engine import create_engine
from core.errors import ServerUnusable
from core.servers import operator_errors
from local import provisioning
from local.folder import LocalError
from local.roles import close_databases, create_database, create_roles, other_databases, provision, scram_verifier
from local.servers import PostgresServer, start_postgres
from tests.operating.commands import assert_refused, nudge

ADMINISTRATOR = "keeper"
ADMINISTRATOR_PASSWORD = "keeper-of-the-server"
POWERS = (
    "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolreplication, rolcanlogin "
    "FROM pg_roles WHERE rolname LIKE 'nudge_%' ORDER BY rolname"
)
FORGET = """
DROP DATABASE IF EXISTS nudge;
DROP DATABASE IF EXISTS other;
DROP ROLE IF EXISTS nudge_app;
DROP ROLE IF EXISTS nudge_migrator;
DROP ROLE IF EXISTS nudge_definer;
DROP ROLE IF EXISTS keeper;
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL without any role of ours."""
    started = start_postgres(tmp_path_factory.mktemp("administered"), durable=False)
    yield started
    started.stop()


@pytest.fixture(autouse=True)
async def nothing_of_ours(server: PostgresServer) -> AsyncIterator[None]:
    """Afterwards the server is as it was."""
    yield
    for statement in FORGET.strip().splitlines():
        await fetch(server.admin_url, statement)


async def fetch(url: str, statement: str, *, password: str | None = None) -> list[asyncpg.Record]:
    """The rows of a statement; `password` is one that the URL does not hold."""
    connection = await asyncpg.connect(url.replace("+asyncpg", "", 1), password=password)
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()


async def administrator(server: PostgresServer) -> str:
    """An administrator as managed servers have them: may make roles and databases, and is no superuser."""
    await fetch(
        server.admin_url,
        f"CREATE ROLE {ADMINISTRATOR} LOGIN CREATEROLE CREATEDB PASSWORD '{ADMINISTRATOR_PASSWORD}'",
    )
    return f"postgresql://{ADMINISTRATOR}:{ADMINISTRATOR_PASSWORD}@127.0.0.1:{server.port}/postgres"


async def provisioned(admin: str, *, app: str | None = None, migrator: str | None = None) -> provisioning.Done:
    """As `nudge roles create` does."""
    wanted = provisioning.wanted(app_url=app, migrator_url=migrator)
    with operator_errors("NUDGE_DATABASE__ADMIN_URL", admin):
        return await provisioning.run(admin, wanted, renew=False)


def urls_in(output: str) -> dict[str, str]:
    """The lines of the .env file that a command printed."""
    return {name: str(value) for name, value in dotenv_values(stream=StringIO(output)).items()}


async def test_from_nothing_to_a_migrated_database(server: PostgresServer, tmp_path: Path) -> None:
    """The printed URLs are all that `nudge migrate` needs, and the app's role passes our own check of it."""
    done = await nudge("roles", "create", folder=tmp_path, NUDGE_DATABASE__ADMIN_URL=server.admin_url)
    assert done.code == 0, done.err
    urls = urls_in(done.out)
    assert set(urls) == {"NUDGE_DATABASE__URL", "NUDGE_DATABASE__MIGRATOR_URL"}
    for url in urls.values():
        password = re.search(r":([0-9a-f]{48})@", url)
        assert password is not None
        assert password[1] not in done.err
    migrated = await nudge("migrate", folder=tmp_path, **urls)
    assert (migrated.code, migrated.out) == (0, "The database is up to date.\n"), migrated.err
    await check_roles(server, urls["NUDGE_DATABASE__URL"])


async def test_an_administrator_need_not_be_a_superuser(server: PostgresServer) -> None:
    """CREATEROLE and CREATEDB are enough, the first time and again, and the administrator is left no member."""
    admin = await administrator(server)
    urls = (await provisioned(admin)).urls
    again = await provisioned(admin)
    assert again.urls == {}
    await migration.upgrade(urls["migrator_url"])
    await check_roles(server, urls["url"])


async def check_roles(server: PostgresServer, app_url: str) -> None:
    """The roles can do what they must and no more, and the app passes our own check."""
    engine = create_engine(app_url, pool_size=1, statement_timeout_seconds=30)
    try:
        await selfcheck.check(engine)
        await revisions.check(engine, reset_advice=None)
    finally:
        await engine.dispose()
    roles = await fetch(server.admin_url, POWERS)
    assert [list(row.values()) for row in roles] == [[False] * 5 + [able] for able in (True, False, True)]
    members = await fetch(
        server.admin_url,
        "SELECT roleid::regrole::text, member::regrole::text, inherit_option, set_option FROM pg_auth_members "
        "WHERE roleid::regrole::text LIKE 'nudge%' AND (inherit_option OR set_option)",
    )
    assert [tuple(row) for row in members] == [("nudge_definer", "nudge_migrator", False, True)]
    configured = await fetch(server.admin_url, "SELECT rolconfig FROM pg_roles WHERE rolname = 'nudge_app'")
    assert configured[0][0] == ["jit=off"]


async def test_again_changes_nothing(server: PostgresServer) -> None:
    """A second run keeps both passwords, gives no URL, and says what is there."""
    first = await provisioned(server.admin_url)
    stored = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE 'nudge_%' ORDER BY 1"
    before = await fetch(server.admin_url, stored)
    again = await provisioned(server.admin_url)
    assert again.urls == {}
    assert "The role nudge_app is there and keeps its password." in again.said
    assert await fetch(server.admin_url, stored) == before
    for url in first.urls.values():
        assert len(await fetch(url, "SELECT 1")) == 1


async def test_a_new_password_only_when_asked_for(server: PostgresServer, tmp_path: Path) -> None:
    """`--new-passwords` makes new ones: the old URLs are refused, the printed ones are let in."""
    first = urls_in((await nudge("roles", "create", folder=tmp_path, NUDGE_DATABASE__ADMIN_URL=server.admin_url)).out)
    renewed = await nudge(
        "roles", "create", "--new-passwords", folder=tmp_path, NUDGE_DATABASE__ADMIN_URL=server.admin_url
    )
    for name, url in urls_in(renewed.out).items():
        assert len(await fetch(url, "SELECT 1")) == 1
        with pytest.raises(asyncpg.InvalidPasswordError):
            await fetch(first[name], "SELECT 1")


async def test_given_passwords_are_set_and_nowhere_told(server: PostgresServer, tmp_path: Path) -> None:
    """Passwords from the URLs reach neither the output nor the server's log, even where it logs every statement."""
    await fetch(server.admin_url, "ALTER SYSTEM SET log_statement = 'all'")
    await fetch(server.admin_url, "SELECT pg_reload_conf()")
    at = f"127.0.0.1:{server.port}/other"
    secret = "s3cret~of the%app"
    variables = {
        "NUDGE_DATABASE__ADMIN_URL": server.admin_url,
        "NUDGE_DATABASE__URL": f"postgresql://nudge_app:s3cret~of%20the%25app@{at}",
        "NUDGE_DATABASE__MIGRATOR_URL": f"postgresql://nudge_migrator:s3cret-of-the-owner@{at}",
    }
    done = await nudge("roles", "create", folder=tmp_path, **variables)
    assert (done.code, done.out) == (0, ""), done.err
    assert (await nudge("migrate", folder=tmp_path, **variables)).code == 0
    assert len(await fetch(f"postgresql://nudge_app@{at}", "SELECT 1", password=secret)) == 1
    log = (server.home / "logs" / "postgres.log").read_text()
    assert "ALTER ROLE nudge_app PASSWORD" in log
    for text in (done.err, log):
        assert "s3cret" not in text
        assert ADMINISTRATOR_PASSWORD not in text
    await fetch(server.admin_url, "ALTER SYSTEM RESET log_statement")
    await fetch(server.admin_url, "SELECT pg_reload_conf()")


async def test_roles_that_are_too_strong_are_mended(server: PostgresServer) -> None:
    """Whoever made the roles by hand, and generously, has them as they must be afterwards."""
    await fetch(server.admin_url, "CREATE ROLE nudge_app SUPERUSER CREATEDB NOLOGIN")
    await fetch(server.admin_url, "CREATE ROLE nudge_definer LOGIN BYPASSRLS")
    done = await provision(server.admin_url, passwords={})
    assert any("made the role nudge_app NOSUPERUSER, NOCREATEDB, LOGIN" in step for step in done.steps)
    rows = await fetch(server.admin_url, POWERS)
    assert [list(row.values()) for row in rows] == [[False] * 5 + [able] for able in (True, False, True)]
    assert set(done.made) == {"nudge_migrator"}  # the app's role was there: its password is its owner's to set


async def test_other_databases_are_named_for_the_administrator(server: PostgresServer) -> None:
    """The app's role may connect wherever PUBLIC may: the command says where, and the statement that ends it."""
    said = " ".join((await provisioned(server.admin_url)).said)
    assert "nudge_app may also connect to postgres, template1" in said
    assert "REVOKE CONNECT ON DATABASE template1 FROM PUBLIC;" in said
    await close_databases(server.admin_url, "postgres", "template1")
    try:
        assert await other_databases(server.admin_url) == []
    finally:
        for name in ("postgres", "template1"):
            await fetch(server.admin_url, f"GRANT CONNECT ON DATABASE {name} TO PUBLIC")


async def test_an_existing_database_is_taken_or_refused_for_its_encoding(server: PostgresServer) -> None:
    """One that an administrator made is closed and granted; with another encoding than UTF8 it is refused."""
    await create_roles(server.admin_url, migrator_password="migrator", app_password="app")
    await fetch(server.admin_url, "CREATE DATABASE other TEMPLATE template0")
    await create_database(server.admin_url, "other")
    owner = f"postgresql://nudge_migrator:migrator@127.0.0.1:{server.port}/other"
    await fetch(owner, "CREATE TABLE mine (a integer)")
    await fetch(server.admin_url, "DROP DATABASE other")
    await fetch(server.admin_url, "CREATE DATABASE other TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    with pytest.raises(LocalError, match="LATIN1"):
        await create_database(server.admin_url, "other")


REFUSED: tuple[tuple[dict[str, str], str], ...] = (
    ({"admin": "postgresql://postgres:secret@{at}/postgres"}, "the password is wrong"),
    ({"admin": "postgresql://nobody:secret@{at}/postgres"}, r"NUDGE_DATABASE__ADMIN_URL \(nobody@"),
    ({"admin": "postgresql://postgres:secret@127.0.0.1:1/postgres"}, "nothing listens there"),
    ({"admin": "{admin}", "app": "postgresql://app:secret@{at}/nudge"}, "must name the role nudge_app"),
    (
        {
            "admin": "{admin}",
            "app": "postgresql://nudge_app:secret@{at}/nudge",
            "migrator": "postgresql://nudge_migrator:secret@{at}/news",
        },
        "different databases: news and nudge",
    ),
    ({"admin": "{admin}", "app": "postgresql://nudge_app:%C3%A9@{at}/nudge"}, "printable ASCII"),
)


@pytest.mark.parametrize(("given", "said"), REFUSED)
async def test_what_cannot_be_done_is_one_sentence(server: PostgresServer, given: dict[str, str], said: str) -> None:
    """A wrong administrator's URL, URLs that do not fit: the reason, without the passwords."""
    urls = {name: url.format(at=f"127.0.0.1:{server.port}", admin=server.admin_url) for name, url in given.items()}
    with pytest.raises((LocalError, ServerUnusable), match=said) as raised:
        await provisioned(**urls)
    assert "secret" not in str(raised.value)


async def test_without_an_administrator_s_url_the_command_asks_or_says_so(tmp_path: Path) -> None:
    """There is no terminal to ask on: exit code 2 and the variable's name."""
    assert_refused(await nudge("roles", "create", folder=tmp_path), "Missing: NUDGE_DATABASE__ADMIN_URL")


async def test_one_who_may_not_make_roles_is_told(server: PostgresServer) -> None:
    """A role without CREATEROLE gets PostgreSQL's reason, and nothing is left half-made."""
    await administrator(server)
    await fetch(server.admin_url, f"ALTER ROLE {ADMINISTRATOR} NOCREATEROLE")
    url = f"postgresql://{ADMINISTRATOR}:{ADMINISTRATOR_PASSWORD}@127.0.0.1:{server.port}/postgres"
    with pytest.raises(ServerUnusable, match=r"the role lacks a privilege.*permission denied to create role"):
        await provisioned(url)
    assert await fetch(server.admin_url, "SELECT FROM pg_roles WHERE rolname LIKE 'nudge_%'") == []


async def test_an_older_postgresql_is_refused(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made."""
    monkeypatch.setattr("local.roles.MIN_POSTGRES_VERSION", 190_000)
    with pytest.raises(LocalError, match="and this server is 18"):
        await provisioned(server.admin_url)
    assert await fetch(server.admin_url, "SELECT FROM pg_roles WHERE rolname LIKE 'nudge_%'") == []


def test_a_verifier_is_postgresql_s_own_form() -> None:
    """The parts of a SCRAM verifier, each time with another salt."""
    one, other = scram_verifier("secret"), scram_verifier("secret")
    assert one != other
    assert re.fullmatch(r"SCRAM-SHA-256\$4096:[\w+/]{22}==\$[\w+/]{43}=:[\w+/]{43}=", one)
