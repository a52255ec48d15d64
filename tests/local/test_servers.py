import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from local.folder import LocalError, read_values, secret
from local.servers import (
    PostgresServer,
    ValkeyServer,
    create_database,
    create_roles,
    start_postgres,
    start_valkey,
)
from tests.local.waiting import is_running, until

HOLDER = """
import sys, time
from pathlib import Path
from local.servers import start_postgres, start_valkey
home = Path(sys.argv[1])
print(start_postgres(home, durable=False).pid, start_valkey(home).pid, flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def postgres(home: Path) -> Iterator[PostgresServer]:
    server = start_postgres(home, durable=False)
    asyncio.run(create_nudge_database(server))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def valkey(home: Path) -> Iterator[ValkeyServer]:
    server = start_valkey(home)
    yield server
    server.stop()


async def create_nudge_database(server: PostgresServer) -> None:
    for _ in range(2):  # idempotent
        await create_roles(
            server.admin_url,
            migrator_password=secret(server.home, "nudge_migrator"),
            app_password=secret(server.home, "nudge_app"),
        )
        await create_database(server.admin_url)


async def query(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_roles_have_only_the_privileges_they_need(postgres: PostgresServer) -> None:
    """The app owns nothing and cannot bypass Row Level Security; the migrator creates; the definer cannot log in."""
    attributes = (
        "SELECT json_object_agg(rolname, array[rolsuper, rolbypassrls, rolcreaterole, rolcanlogin]) "
        "FROM pg_roles WHERE rolname LIKE 'nudge%'"
    )
    assert json.loads(str(await query(postgres.admin_url, attributes))) == {
        "nudge_app": [False, False, False, True],
        "nudge_migrator": [False, False, False, True],
        "nudge_definer": [False, False, False, False],
    }
    await query(postgres.migrator_url, "CREATE TABLE owned_by_migrator (a int)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await query(postgres.app_url, "CREATE TABLE owned_by_app (a int)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await query(postgres.app_url, "SELECT count(*) FROM owned_by_migrator")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await query(postgres.app_url, "SET ROLE nudge_definer")


async def test_the_migrator_can_give_a_function_to_the_definer(postgres: PostgresServer) -> None:
    """A function that the migrator has created runs as the definer after a change of owner."""
    await query(
        postgres.migrator_url,
        "CREATE FUNCTION who() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user::text'",
    )
    await query(postgres.migrator_url, "ALTER FUNCTION who() OWNER TO nudge_definer")
    assert await query(postgres.app_url, "SELECT who()") == "nudge_definer"


async def test_the_database_is_utf8_with_the_builtin_locale_and_checksums(postgres: PostgresServer) -> None:
    """Sort order and text functions are the same on every machine, because the locale is built into PostgreSQL."""
    properties = await query(
        postgres.app_url,
        "SELECT concat_ws(' ', pg_encoding_to_char(encoding), datlocprovider, datlocale, "
        "current_setting('data_checksums'), current_setting('server_version_num')::int / 10000) "
        "FROM pg_database WHERE datname = current_database()",
    )
    assert properties == "UTF8 b C.UTF-8 on 18"


async def test_a_wrong_password_is_refused(postgres: PostgresServer) -> None:
    """A password is required even on this machine, also for the superuser."""
    with pytest.raises(asyncpg.InvalidPasswordError):
        await query(f"postgresql://postgres:wrong@127.0.0.1:{postgres.port}/postgres", "SELECT 1")


async def test_postgres_recovers_from_a_crash_and_restarts(postgres: PostgresServer) -> None:
    """Data and port stay the same after `kill` and `start`, and after `restart`."""
    await query(postgres.migrator_url, "CREATE TABLE stored AS SELECT 7 AS seven")
    port, pid = postgres.port, postgres.pid
    postgres.kill()
    assert not postgres.is_alive()
    postgres.start()
    postgres.restart()
    assert postgres.port == port
    assert postgres.pid != pid
    assert await query(postgres.migrator_url, "SELECT seven FROM stored") == 7


async def test_valkey_keeps_its_data_over_a_restart(valkey: ValkeyServer) -> None:
    """Data is still stored after a clean restart, on the same port."""
    async with Redis.from_url(valkey.url) as client:
        await client.set("greeting", "hello")
    valkey.restart()
    async with Redis.from_url(valkey.url) as client:
        assert await client.get("greeting") == b"hello"
        assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "noeviction"


async def test_valkey_restarts_after_a_crash(valkey: ValkeyServer) -> None:
    """It can be killed and started again, and requires its password."""
    valkey.kill()
    assert not valkey.is_alive()
    valkey.start()
    async with Redis.from_url(f"redis://:wrong@127.0.0.1:{valkey.port}/0") as client:
        with pytest.raises(AuthenticationError):
            await client.ping()


def test_ports_are_stored_and_another_is_chosen_if_in_use(tmp_path: Path) -> None:
    """A later start uses the same port, unless another process uses it."""
    server = start_valkey(tmp_path)
    first = server.port
    server.stop()
    server = start_valkey(tmp_path)
    assert server.port == first
    server.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", first))
        other.listen()
        server = start_valkey(tmp_path)
        assert server.port != first
        server.stop()
        with pytest.raises(LocalError, match=f"did not start on port {first}"):
            start_valkey(tmp_path, port=first)


def test_secrets_are_for_their_owner_only(home: Path, postgres: PostgresServer, valkey: ValkeyServer) -> None:
    """Passwords and ports are stored in files that only their owner can read."""
    assert postgres.port == read_values(home, "servers")["postgres_port"]
    assert valkey.port == read_values(home, "servers")["valkey_port"]
    for name in ("secrets.json", "servers.json", "valkey/valkey.conf"):
        assert (home / name).stat().st_mode & 0o777 == 0o600
    assert not (home / "postgres.password").exists()


def test_data_of_another_version_is_refused_with_advice(tmp_path: Path) -> None:
    """A data folder of an older PostgreSQL is not changed, and named in the message."""
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(LocalError, match="created by PostgreSQL 17"):
        start_postgres(tmp_path)


def test_servers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    """SIGKILL to the process that started them ends both servers, and a new start finds the data complete."""
    parent = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert all(is_running(pid) for pid in pids)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    start_postgres(tmp_path, durable=False).stop()  # waits for the one that is still shutting down
    until(lambda: not any(is_running(pid) for pid in pids))
