"""Commands whose database or Redis cannot be used: one sentence, exit code 2, no traceback."""

import asyncio
import contextlib
import re
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr
from redis.exceptions import ConnectionError as RedisConnectionError

import cli
from core import migration, revisions, urls
from core.errors import ServerUnusable, UnsafeDatabase
from core.servers import operator_errors
from local.folder import free_port
from local.servers import create_database
from runtime import check_servers
from settings import Settings
from tests.conftest import Servers, copy_template, settings_for
from tests.operating.commands import SERVING, assert_refused, nudge


@pytest.fixture
async def silent() -> AsyncIterator[int]:
    """The port of a server that accepts connections and never answers."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.transport.abort()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a self-signed certificate."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", path, "-out", path.with_suffix(".crt"), "-days", "2", "-subj", "/CN=localhost"),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


async def admin(servers: Servers, database: str, statement: str) -> None:
    """Run a statement as the superuser."""
    connection = await asyncpg.connect(servers.database_url(servers.postgres.admin_url, database))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def settings_with(servers: Servers, url: str, *, redis: str | None = None) -> Settings:
    """Settings of a process with this database and this Redis."""
    document = settings_for(servers, "any").model_dump()
    document["database"]["url"] = url
    document["redis"]["url"] = redis or servers.valkey.url
    return Settings.model_validate({"_env_file": None, **document})


async def migrate(url: str) -> None:
    """As `nudge migrate` does."""
    with operator_errors("NUDGE_DATABASE__MIGRATOR_URL", url):
        await migration.upgrade(url)


async def both_refuse(servers: Servers, url: str, message: str) -> None:
    """Check that serving and migrating refuse the database with this message, in one line."""
    with pytest.raises(ServerUnusable, match=message) as serving:
        await check_servers(settings_with(servers, url))
    with pytest.raises(ServerUnusable, match=message) as migrating:
        await migrate(urls.database_url(SecretStr(url)).get_secret_value())
    for raised, variable in ((serving, "NUDGE_DATABASE__URL ("), (migrating, "NUDGE_DATABASE__MIGRATOR_URL (")):
        assert str(raised.value).startswith(variable)
        assert "\n" not in str(raised.value)
        assert "secret" not in str(raised.value)


async def test_each_command_ends_with_one_sentence(servers: Servers, tmp_path: Path) -> None:
    """All commands that need the database exit with 2 and one line, which does not contain the password."""
    url = f"postgresql://nudge_app:not-this-one@127.0.0.1:{servers.postgres.port}/nudge"
    reason = f"(nudge_app@127.0.0.1:{servers.postgres.port}/nudge): the password is wrong"

    async def refused(verb: str) -> None:
        result = await nudge(
            verb,
            folder=tmp_path,
            **SERVING,
            NUDGE_DATABASE__URL=url,
            NUDGE_DATABASE__MIGRATOR_URL=url,
            NUDGE_REDIS__URL=servers.valkey.url,
            NUDGE_API__PORT=str(free_port()),
        )
        assert_refused(result, "NUDGE_DATABASE__", reason)
        assert "not-this-one" not in result.err

    await asyncio.gather(*(refused(verb) for verb in ("migrate", "api", "worker", "seed")))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://nudge_app:secret@127.0.0.1:1/nudge", "nothing listens there"),
        ("postgresql://nudge_app:secret@db.invalid/nudge", "the host name cannot be resolved"),
        ("postgresql://nudge_app:secret@127.0.0.1:{port}/nowhere", "password is wrong"),
        ("postgresql://nudge_app:{password}@127.0.0.1:{port}/nowhere", "the database does not exist"),
        ("postgresql://nudge_app:{password}@127.0.0.1:{port}/nudge?sslmode=require", "does not use TLS"),
        ("postgresql://nudge_app:{password}@127.0.0.1:{port}/nudge?ssl=verify-full", "sslrootcert|TLS"),
        ("postgresql://nudge_app:{password}@127.0.0.1:{port}/nudge?sslmode=perhaps", "sslmode"),
        ("postgresql://nudge_definer:secret@127.0.0.1:{port}/nudge", "password is wrong|may not log in"),
        ("postgresql://nudge_app@/nudge?host=/nowhere/at/all", "does not exist"),
    ],
)
async def test_a_database_that_cannot_be_reached(servers: Servers, url: str, message: str) -> None:
    """Not running, unknown host, wrong password, no such database, no TLS, no such socket."""
    password = servers.postgres.app_url.split(":")[2].split("@")[0]
    await both_refuse(servers, url.format(port=servers.postgres.port, password=password), message)


async def test_an_untrusted_certificate(servers: Servers, certificate: Path, tmp_path: Path) -> None:
    """The server's certificate is not signed by a trusted authority, or the authority's file is missing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)  # the request for TLS
        writer.write(b"S")
        await writer.drain()
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            await writer.start_tls(context)
        writer.transport.abort()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        at = f"postgresql://nudge_app:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}/nudge"
        other = tmp_path / "authority.crt"
        other.write_text(certificate.with_suffix(".crt").read_text())
        url = f"{at}?sslmode=verify-full&sslrootcert={other}"
        await both_refuse(servers, url, "its TLS certificate is not trusted")
        await both_refuse(servers, f"{at}?sslmode=verify-full&sslrootcert={tmp_path}/none.crt", "sslrootcert")


async def test_a_server_that_does_not_answer(servers: Servers, silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without an answer times out."""
    monkeypatch.setattr("core.database.engine.CONNECT_SECONDS", 0.5)
    monkeypatch.setattr("core.migration.CONNECT_SECONDS", 0.5)
    await both_refuse(servers, f"postgresql://nudge_app:secret@127.0.0.1:{silent}/nudge", "does not answer in time")


async def test_a_database_without_tables(servers: Servers) -> None:
    """A database that was never migrated: the message includes the command to run."""
    await create_database(servers.postgres.admin_url, "nudge_empty")
    url = servers.database_url(servers.postgres.app_url, "nudge_empty")
    with pytest.raises(UnsafeDatabase, match="has not been migrated: run `nudge migrate`"):
        await check_servers(settings_with(servers, url))


@pytest.mark.parametrize(
    ("role", "message"),
    [
        ("nudge_app", "The role nudge_app may not become nudge_definer"),
        ("postgres", "Refusing to migrate as postgres, which bypasses Row Level Security"),
    ],
)
async def test_migrating_as_another_role(servers: Servers, role: str, message: str) -> None:
    """Neither the app's role nor a superuser may migrate; the message names the right role."""
    name = f"nudge_as_{role}"
    await create_database(servers.postgres.admin_url, name)
    urls = {"nudge_app": servers.postgres.app_url, "postgres": servers.postgres.admin_url}
    with pytest.raises(UnsafeDatabase, match=f"{message}.*must name the role nudge_migrator"):
        await migrate(servers.database_url(urls[role], name))


async def test_a_failed_migration_leaves_nothing(servers: Servers) -> None:
    """An error in a late step rolls back the earlier ones: the database stays empty."""
    await create_database(servers.postgres.admin_url, "nudge_blocked")
    await admin(servers, "nudge_blocked", "CREATE SCHEMA system")
    url = servers.database_url(servers.postgres.migrator_url, "nudge_blocked")
    with pytest.raises(ServerUnusable, match=re.escape('(PostgreSQL: schema "system" already exists)')):
        await migrate(url)
    owner = await asyncpg.connect(url.replace("+asyncpg", "", 1))
    try:
        assert await owner.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    finally:
        await owner.close()


async def test_concurrent_migrations(servers: Servers, tmp_path: Path) -> None:
    """Of two concurrent migrations the second waits and finds nothing to do."""
    await create_database(servers.postgres.admin_url, "nudge_twice")
    url = servers.database_url(servers.postgres.migrator_url, "nudge_twice")
    ends = await asyncio.gather(
        *(nudge("migrate", folder=tmp_path, NUDGE_DATABASE__MIGRATOR_URL=url) for _ in range(2))
    )
    assert [(result.code, result.out) for result in ends] == [(0, "The database is up to date.\n")] * 2, ends


async def test_a_redis_that_refuses_the_connection(servers: Servers) -> None:
    """A wrong password, a missing one, no such database: refused without the password in the message."""
    url = servers.database_url(servers.postgres.app_url, await copy_template(servers))
    at = f"127.0.0.1:{servers.valkey.port}"
    for redis, message in (
        (f"redis://:wrong@{at}/0", "the password or user is wrong"),
        (f"redis://{at}/0", "the password or user is wrong"),
        (f"redis://:{servers.valkey.password}@{at}/4711", "Redis refused it"),
    ):
        with pytest.raises(ServerUnusable, match=message) as raised:
            await check_servers(settings_with(servers, url, redis=redis))
        assert str(raised.value).startswith(f"NUDGE_REDIS__URL ({at}/")
        assert servers.valkey.password not in str(raised.value)


async def test_an_unavailable_redis_does_not_prevent_a_start(
    servers: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process can serve without Redis, and logs the reason in one line."""
    url = servers.database_url(servers.postgres.app_url, await copy_template(servers))
    for redis in ("redis://127.0.0.1:1/0", "redis://redis.invalid/0"):
        await check_servers(settings_with(servers, url, redis=redis))
    output = capsys.readouterr()
    assert (output.out + output.err).count("continuing without Redis until it answers") == 2


async def test_a_port_in_use(servers: Servers, tmp_path: Path) -> None:
    """Another program listens there: the message names the variable."""
    url = servers.database_url(servers.postgres.app_url, await copy_template(servers))
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = await nudge(
            "api",
            folder=tmp_path,
            **SERVING,
            NUDGE_DATABASE__URL=url,
            NUDGE_REDIS__URL=servers.valkey.url,
            NUDGE_API__PORT=str(other.getsockname()[1]),
        )
    assert_refused(result, "NUDGE_API__PORT: cannot listen on 127.0.0.1")


async def test_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    """A data folder below a file: the message names the path."""
    file = tmp_path / "file"
    file.write_text("")
    result = await nudge("sandbox", folder=tmp_path, NUDGE_ENVIRONMENT="development", NUDGE_HOME=f"{file}/home")
    assert_refused(result, f"cannot use {file}")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (asyncpg.CannotConnectNowError("the database system is shutting down"), "the server is starting or stopping"),
        (asyncpg.ConnectionDoesNotExistError("connection was closed"), "connection was closed"),
        (ConnectionRefusedError(111, "Connection refused"), "nothing listens there"),
        (RedisConnectionError("Connection closed by server."), "Connection closed by server"),
        (PermissionError(13, "Permission denied", "/somewhere"), "cannot use /somewhere: Permission denied"),
    ],
)
def test_a_server_that_becomes_unavailable_later(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, message: str
) -> None:
    """During a command it is one sentence as well, and exit code 2."""

    def interrupted() -> None:
        raise error

    monkeypatch.setattr(cli, "cli", interrupted)
    with pytest.raises(SystemExit) as excinfo:
        cli.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert excinfo.value.code == 2
    assert message in line


@pytest.mark.parametrize("error", [asyncpg.UndefinedColumnError("no column x"), ValueError("a bug")])
def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """An error of the program itself keeps its traceback."""

    def broken() -> None:
        raise error

    monkeypatch.setattr(cli, "cli", broken)
    with pytest.raises(type(error)):
        cli.main()


async def test_an_older_postgresql_is_refused(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message includes the required version."""
    await create_database(servers.postgres.admin_url, "nudge_old_server")
    monkeypatch.setattr(migration, "MIN_POSTGRES_VERSION", 19)
    with pytest.raises(UnsafeDatabase, match="PostgreSQL 19 or newer is required; this server is 18"):
        await migrate(servers.database_url(servers.postgres.migrator_url, "nudge_old_server"))


async def test_a_folder_with_a_percent_sign(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Alembic's configuration interprets %(name)s, and the folder of an installation may contain it."""
    scripts = tmp_path / "100%(name)s"
    monkeypatch.setattr(revisions, "SCRIPTS", scripts)
    location = await migration.as_migrator(
        servers.database_url(servers.postgres.migrator_url, await copy_template(servers)),
        lambda connection: migration.config(connection).get_main_option("script_location"),
    )
    assert location == str(scripts)
