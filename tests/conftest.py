"""PostgreSQL 18 with a migrated template database, and Valkey, for the whole session.

With `pytest -n`, each worker process is a session: it has servers, databases and folders of its own.
"""

import logging
import os
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import URL, make_url

from core import migration, telemetry
from core.configuration import Environment
from core.security import new_signing_key
from local.servers import PostgresServer, ValkeyServer, create_database, create_roles, start_postgres, start_valkey
from runtime import Runtime, running
from settings import Settings
from tests.client import ApiClient
from tests.clocks import suspend
from tests.logs.leaks import LEAKS
from tests.properties import register_profiles
from tests.serving import Served, served

TEMPLATE = "nudge_template"

MAX_WORKERS = 6  # each starts its own servers, and more of them would slow each other down

TARGETS = ("faults", "soak", "differential")
register_profiles()

# Tests set every variable that they need: the developer's own environment has no effect.
for variable in [name for name in os.environ if name.startswith("NUDGE_")]:
    del os.environ[variable]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many processes `pytest -n auto` starts: one for each core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(cores, MAX_WORKERS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that `make test` skips and no other target runs."""
    unreachable = [item.nodeid for item in items if item.get_closest_marker("slow") and not has_target(item)]
    if unreachable:
        raise pytest.UsageError(f"slow, and no target runs it: mark it as one of {TARGETS} too: {unreachable}")


def has_target(item: pytest.Item) -> bool:
    """Whether a target other than `make test` runs the test."""
    return any(item.get_closest_marker(target) for target in TARGETS)


@pytest.fixture(scope="session", autouse=True)
def suspended_before() -> Iterator[None]:
    """Run the tests as on a host that was suspended for an hour, so that mixing up two clocks makes a test fail."""
    with pytest.MonkeyPatch.context() as patch:
        suspend(patch, 3_600)
        yield


@pytest.fixture(autouse=True)
def no_secret_is_logged() -> Iterator[None]:
    """Fail a test that logs a secret of its settings, a credential or an address, at any level."""
    hook = sys.excepthook
    telemetry.configure("DEBUG", json=False)
    sys.excepthook = hook
    logging.getLogger().handlers = [LEAKS]
    LEAKS.leaks.clear()
    yield
    assert LEAKS.leaks == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """The session's own servers."""

    home: Path
    postgres: PostgresServer
    valkey: ValkeyServer

    def database_url(self, role_url: str, database: str) -> str:
        """The URL of a role, for another database of these servers."""
        return with_database(role_url, database).render_as_string(hide_password=False)


def with_database(url: str, database: str) -> URL:
    """The URL with another database."""
    return make_url(url).set(database=database)


def password(url: str) -> str:
    """The password in a URL."""
    secret = make_url(url).password
    assert secret is not None
    return secret


@pytest.fixture(scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    home = tmp_path_factory.mktemp("servers")
    postgres = start_postgres(home, durable=False)
    valkey = start_valkey(home)
    try:
        await create_roles(
            postgres.admin_url,
            migrator_password=password(postgres.migrator_url),
            app_password=password(postgres.app_url),
        )
        await create_database(postgres.admin_url, TEMPLATE)
        result = Servers(home=home, postgres=postgres, valkey=valkey)
        await migration.upgrade(result.database_url(postgres.migrator_url, TEMPLATE))
        yield result
    finally:
        valkey.stop()
        postgres.stop()


async def copy_template(servers: Servers) -> str:
    """Create a migrated, empty database; returns its name."""
    name = f"nudge_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(servers.postgres.admin_url)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER nudge_migrator")
        await connection.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
        await connection.execute(f"GRANT CONNECT ON DATABASE {name} TO nudge_app")
    finally:
        await connection.close()
    return name


def settings_for(servers: Servers, database: str, *, redis_database: int = 0) -> Settings:
    """Settings of a process that uses these servers."""
    redis = make_url(servers.valkey.url).set(database=str(redis_database)).render_as_string(hide_password=False)
    settings = Settings.model_validate(
        {
            "_env_file": None,
            "environment": Environment.TEST,
            "home": servers.home,
            "database": {
                "url": servers.database_url(servers.postgres.app_url, database),
                "migrator_url": servers.database_url(servers.postgres.migrator_url, database),
            },
            "redis": {"url": redis},
            "auth": {"signing_key": new_signing_key()},
            "security": {"secret_key": secrets.token_hex(32)},
            "postmark": {
                "base_url": "http://127.0.0.1:9",
                "server_token": "test-server-token",
                "webhook_password": "test-webhook-password",
            },
            "llm": {"base_url": "http://127.0.0.1:9/api/v1", "api_key": "test-llm-key"},
        }
    )
    LEAKS.search_for(settings.secrets)
    return settings


@pytest.fixture(scope="session")
async def settings(servers: Servers) -> Settings:
    return settings_for(servers, await copy_template(servers))


@pytest.fixture(scope="session")
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    async with running(settings) as result:
        yield result


@pytest.fixture
async def fresh_runtime(servers: Servers) -> AsyncIterator[Runtime]:
    """A runtime with its own PostgreSQL and Redis databases, for tests that read the rows of all tenants."""
    async with running(settings_for(servers, await copy_template(servers), redis_database=1)) as result:
        yield result


@pytest.fixture(scope="session")
async def api_server(runtime: Runtime) -> AsyncIterator[Served]:
    async with served(runtime) as result:
        yield result


@pytest.fixture(scope="session")
async def api(api_server: Served) -> ApiClient:
    return ApiClient(api_server.url)
