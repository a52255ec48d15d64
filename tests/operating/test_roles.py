"""`nudge roles create`: with an administrator's URL it makes a database that `nudge migrate` and the app can use."""

import re
from collections.abc import AsyncIterator, Iterator
from io import StringIO
from pathlib import Path

import asyncpg
import pytest
from dotenv import dotenv_values

from core import migration, revisions, selfcheck
from core.database.engine import create_engine
from core.errors import ServerUnusable, UnsafeDatabase
from core.servers import operator_errors
from local import provisioning
from local.folder import LocalError
from local.roles import close_databases, create_database, create_roles, other_databases, provision, scram_verifier
from local.servers import PostgresServer, start_postgres
from tests.operating.commands import assert_refused, nudge

ADMINISTRATOR = "administrator"
ADMINISTRATOR_PASSWORD = "administrator-of-the-server"
ATTRIBUTES = (
    "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolreplication, rolcanlogin "
    "FROM pg_roles WHERE rolname LIKE 'nudge_%' ORDER BY rolname"
)
CLEAN_UP = """
DROP DATABASE IF EXISTS nudge;
DROP DATABASE IF EXISTS other;
DROP ROLE IF EXISTS nudge_app;
DROP ROLE IF EXISTS nudge_migrator;
DROP ROLE IF EXISTS nudge_definer;
DROP ROLE IF EXISTS administrator;
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL server without our roles."""
    started = start_postgres(tmp_path_factory.mktemp("administered"), durable=False)
    yield started
    started.stop()


@pytest.fixture(autouse=True)
async def clean_up(server: PostgresServer) -> AsyncIterator[None]:
    """Drop the roles and databases that a test has created."""
    yield
    for statement in CLEAN_UP.strip().splitlines():
        await fetch(server.admin_url, statement)


async def fetch(url: str, statement: str, *, password: str | None = None) -> list[asyncpg.Record]:
    """The rows of a statement; `password` is for a URL without one."""
    connection = await asyncpg.connect(url.replace("+asyncpg", "", 1), password=password)
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()


async def administrator(server: PostgresServer) -> str:
    """An administrator as on managed servers: may create roles and databases, but is not a superuser."""
    await fetch(
        server.admin_url,
        f"CREATE ROLE {ADMINISTRATOR} LOGIN CREATEROLE CREATEDB PASSWORD '{ADMINISTRATOR_PASSWORD}'",
    )
    return f"postgresql://{ADMINISTRATOR}:{ADMINISTRATOR_PASSWORD}@127.0.0.1:{server.port}/postgres"


async def provision_from(admin: str, *, app: str | None = None, migrator: str | None = None) -> provisioning.Result:
    """As `nudge roles create` does."""
    plan = provisioning.wanted(app_url=app, migrator_url=migrator)
    with operator_errors("NUDGE_DATABASE__ADMIN_URL", admin):
        return await provisioning.run(admin, plan, renew=False)


def urls_in(output: str) -> dict[str, str]:
    """The lines of the .env file that a command printed."""
    return {name: str(value) for name, value in dotenv_values(stream=StringIO(output)).items()}


async def test_from_nothing_to_a_migrated_database(server: PostgresServer, tmp_path: Path) -> None:
    """The printed URLs are sufficient for `nudge migrate`, and the app's role passes the self-check."""
    result = await nudge("roles", "create", folder=tmp_path, NUDGE_DATABASE__ADMIN_URL=server.admin_url)
    assert result.code == 0, result.err
    urls = urls_in(result.out)
    assert set(urls) == {"NUDGE_DATABASE__URL", "NUDGE_DATABASE__MIGRATOR_URL"}
    for url in urls.values():
        password = re.search(r":([0-9a-f]{48})@", url)
        assert password is not None
        assert password[1] not in result.err
    migrated = await nudge("migrate", folder=tmp_path, **urls)
    assert (migrated.code, migrated.out) == (0, "The database is up to date.\n"), migrated.err
    await check_roles(server, urls["NUDGE_DATABASE__URL"])


async def test_an_administrator_need_not_be_a_superuser(server: PostgresServer) -> None:
    """CREATEROLE and CREATEDB are enough, also for a second run, and the administrator does not stay a member."""
    admin = await administrator(server)
    urls = (await provision_from(admin)).urls
    again = await provision_from(admin)
    assert again.urls == {}
    await migration.upgrade(urls["migrator_url"])
    await check_roles(server, urls["url"])


@pytest.mark.parametrize("there", [(), ("nudge_definer",), ("nudge_app",)])
async def test_migrations_need_every_role(server: PostgresServer, there: tuple[str, ...]) -> None:
    """A database on a server that lacks one of our roles is refused before anything is created in it."""
    admin = await administrator(server)
    for role in there:
        await fetch(server.admin_url, f"CREATE ROLE {role}")
        await fetch(server.admin_url, f"GRANT {role} TO {ADMINISTRATOR}")
    await fetch(server.admin_url, f"CREATE DATABASE other OWNER {ADMINISTRATOR}")
    url = admin.replace("/postgres", "/other").replace("postgresql:", "postgresql+asyncpg:")
    with pytest.raises(UnsafeDatabase, match="nudge_definer or nudge_app does not exist: run `nudge roles create`"):
        await migration.upgrade(url)
    [[tables]] = await fetch(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    assert tables == 0


@pytest.mark.parametrize(
    ("missing", "message"),
    [("SET", "may not become nudge_definer"), ("CREATE", "may not create in this database")],
)
async def test_migrations_need_the_privileges_of_the_owner(
    server: PostgresServer, missing: str, message: str
) -> None:
    """Both roles exist, but the one that migrates may not use them as it must."""
    admin = await administrator(server)
    for role in ("nudge_definer", "nudge_app"):
        await fetch(server.admin_url, f"CREATE ROLE {role}")
    can_set = str(missing != "SET").upper()
    await fetch(server.admin_url, f"GRANT nudge_definer TO {ADMINISTRATOR} WITH SET {can_set}")
    owner = f" OWNER {ADMINISTRATOR}" if missing != "CREATE" else ""
    await fetch(server.admin_url, f"CREATE DATABASE other{owner}")
    url = admin.replace("/postgres", "/other").replace("postgresql:", "postgresql+asyncpg:")
    with pytest.raises(UnsafeDatabase, match=message):
        await migration.upgrade(url)


async def check_roles(server: PostgresServer, app_url: str) -> None:
    """Check that the roles have exactly the required attributes, and that the app passes the self-check."""
    engine = create_engine(app_url, pool_size=1, statement_timeout_seconds=30)
    try:
        await selfcheck.check(engine)
        await revisions.check(engine, reset_advice=None)
    finally:
        await engine.dispose()
    roles = await fetch(server.admin_url, ATTRIBUTES)
    assert [list(row.values()) for row in roles] == [[False] * 5 + [able] for able in (True, False, True)]
    members = await fetch(
        server.admin_url,
        "SELECT roleid::regrole::text, member::regrole::text, inherit_option, set_option FROM pg_auth_members "
        "WHERE roleid::regrole::text LIKE 'nudge%' AND (inherit_option OR set_option)",
    )
    assert [tuple(row) for row in members] == [("nudge_definer", "nudge_migrator", False, True)]
    configured = await fetch(server.admin_url, "SELECT rolconfig FROM pg_roles WHERE rolname = 'nudge_app'")
    assert configured[0][0] == ["jit=off"]


async def test_a_second_run_changes_nothing(server: PostgresServer) -> None:
    """It keeps both passwords, prints no URL, and reports the existing roles."""
    first = await provision_from(server.admin_url)
    query = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE 'nudge_%' ORDER BY 1"
    before = await fetch(server.admin_url, query)
    again = await provision_from(server.admin_url)
    assert again.urls == {}
    assert "The role nudge_app exists and keeps its password." in again.report
    assert await fetch(server.admin_url, query) == before
    for url in first.urls.values():
        assert len(await fetch(url, "SELECT 1")) == 1


async def test_new_passwords_only_on_request(server: PostgresServer, tmp_path: Path) -> None:
    """After `--new-passwords` the old URLs are refused and the printed ones work."""
    first = urls_in((await nudge("roles", "create", folder=tmp_path, NUDGE_DATABASE__ADMIN_URL=server.admin_url)).out)
    renewed = await nudge(
        "roles", "create", "--new-passwords", folder=tmp_path, NUDGE_DATABASE__ADMIN_URL=server.admin_url
    )
    for name, url in urls_in(renewed.out).items():
        assert len(await fetch(url, "SELECT 1")) == 1
        with pytest.raises(asyncpg.InvalidPasswordError):
            await fetch(first[name], "SELECT 1")


async def test_given_passwords_are_set_and_never_printed(server: PostgresServer, tmp_path: Path) -> None:
    """Passwords from the URLs are neither in the output nor in the server's log, even if it logs every statement."""
    await fetch(server.admin_url, "ALTER SYSTEM SET log_statement = 'all'")
    await fetch(server.admin_url, "SELECT pg_reload_conf()")
    at = f"127.0.0.1:{server.port}/other"
    secret = "s3cret~of the%app"
    variables = {
        "NUDGE_DATABASE__ADMIN_URL": server.admin_url,
        "NUDGE_DATABASE__URL": f"postgresql://nudge_app:s3cret~of%20the%25app@{at}",
        "NUDGE_DATABASE__MIGRATOR_URL": f"postgresql://nudge_migrator:s3cret-of-the-owner@{at}",
    }
    result = await nudge("roles", "create", folder=tmp_path, **variables)
    assert (result.code, result.out) == (0, ""), result.err
    assert (await nudge("migrate", folder=tmp_path, **variables)).code == 0
    assert len(await fetch(f"postgresql://nudge_app@{at}", "SELECT 1", password=secret)) == 1
    log = (server.home / "logs" / "postgres.log").read_text()
    assert "ALTER ROLE nudge_app PASSWORD" in log
    for text in (result.err, log):
        assert "s3cret" not in text
        assert ADMINISTRATOR_PASSWORD not in text
    await fetch(server.admin_url, "ALTER SYSTEM RESET log_statement")
    await fetch(server.admin_url, "SELECT pg_reload_conf()")


async def test_roles_with_too_many_attributes_are_repaired(server: PostgresServer) -> None:
    """Roles that were created by hand lose attributes that they must not have."""
    await fetch(server.admin_url, "CREATE ROLE nudge_app SUPERUSER CREATEDB NOLOGIN")
    await fetch(server.admin_url, "CREATE ROLE nudge_definer LOGIN BYPASSRLS")
    result = await provision(server.admin_url, passwords={})
    assert any("altered the role nudge_app: NOSUPERUSER, NOCREATEDB, LOGIN" in step for step in result.steps)
    rows = await fetch(server.admin_url, ATTRIBUTES)
    assert [list(row.values()) for row in rows] == [[False] * 5 + [able] for able in (True, False, True)]
    assert set(result.generated) == {"nudge_migrator"}  # the app's role exists and keeps its password


async def test_other_databases_are_reported_to_the_administrator(server: PostgresServer) -> None:
    """The app's role may connect wherever PUBLIC may: the report has these databases and the REVOKE statements."""
    report = " ".join((await provision_from(server.admin_url)).report)
    assert "nudge_app may also connect to postgres, template1" in report
    assert "REVOKE CONNECT ON DATABASE template1 FROM PUBLIC;" in report
    await close_databases(server.admin_url, "postgres", "template1")
    try:
        assert await other_databases(server.admin_url) == []
    finally:
        for name in ("postgres", "template1"):
            await fetch(server.admin_url, f"GRANT CONNECT ON DATABASE {name} TO PUBLIC")


async def test_an_existing_database_is_used_or_refused_for_its_encoding(server: PostgresServer) -> None:
    """A database of an administrator gets the right privileges; with another encoding than UTF8 it is refused."""
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


@pytest.mark.parametrize(("variables", "message"), REFUSED)
async def test_errors_are_one_sentence(server: PostgresServer, variables: dict[str, str], message: str) -> None:
    """For a wrong administrator's URL or invalid URLs the reason, without the passwords."""
    urls = {
        name: url.format(at=f"127.0.0.1:{server.port}", admin=server.admin_url) for name, url in variables.items()
    }
    with pytest.raises((LocalError, ServerUnusable), match=message) as raised:
        await provision_from(**urls)
    assert "secret" not in str(raised.value)


async def test_without_an_administrators_url_and_a_terminal_the_command_fails(tmp_path: Path) -> None:
    """It exits with 2 and the variable's name."""
    assert_refused(await nudge("roles", "create", folder=tmp_path), "Missing: NUDGE_DATABASE__ADMIN_URL")


async def test_an_administrator_without_createrole_is_refused(server: PostgresServer) -> None:
    """The message has PostgreSQL's reason, and no role is created."""
    await administrator(server)
    await fetch(server.admin_url, f"ALTER ROLE {ADMINISTRATOR} NOCREATEROLE")
    url = f"postgresql://{ADMINISTRATOR}:{ADMINISTRATOR_PASSWORD}@127.0.0.1:{server.port}/postgres"
    with pytest.raises(ServerUnusable, match=r"the role lacks a privilege.*permission denied to create role"):
        await provision_from(url)
    assert await fetch(server.admin_url, "SELECT FROM pg_roles WHERE rolname LIKE 'nudge_%'") == []


async def test_an_older_postgresql_is_refused(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is created."""
    monkeypatch.setattr("local.roles.MIN_POSTGRES_VERSION", 190_000)
    with pytest.raises(LocalError, match="this server is 18"):
        await provision_from(server.admin_url)
    assert await fetch(server.admin_url, "SELECT FROM pg_roles WHERE rolname LIKE 'nudge_%'") == []


def test_a_verifier_has_postgresqls_form() -> None:
    """It has the parts of a SCRAM verifier, with a random salt."""
    one, other = scram_verifier("secret"), scram_verifier("secret")
    assert one != other
    assert re.fullmatch(r"SCRAM-SHA-256\$4096:[\w+/]{22}==\$[\w+/]{43}=:[\w+/]{43}=", one)
