"""The environment of a benchmark: its own PostgreSQL and Valkey, a migrated database, and the API as one process."""

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy.engine import make_url

from benchmarks.processes import LOAD_CORE, pinned, serving
from core import migration
from core.ids import decode_global_id, new_id
from core.security import new_secret, new_signing_key
from local.folder import free_port
from local.roles import DATABASE
from local.servers import PostgresServer, create_database, create_roles, start_postgres, start_valkey

SIGN_UP = """mutation ($email: EmailAddress!) { signUp(input: {organizationName: "Bench", email: $email,
  password: "only-for-this-benchmark", fullName: "Bench"}) { accessToken viewer { organization { id } } } }"""
UPSERT = "mutation ($rows: [UpsertContactInput!]!) { upsertContacts(input: {contacts: $rows}) { created } }"
CREATE_CAMPAIGN = """mutation ($name: String!) { createCampaign(input: {name: $name, subject: "Hello",
  htmlContent: "<p>Hello</p>"}) { campaign { id } } }"""
BATCH = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkEnvironment:
    """The running servers, and the environment variables of a process that uses them."""

    home: Path
    postgres: PostgresServer
    redis_url: str
    environment: dict[str, str]

    def log_path(self, name: str) -> Path:
        """The log file of a process."""
        return self.home / "logs" / f"{''.join(filter(str.isalnum, name))}.log"

    @property
    def driver_url(self) -> str:
        """The database URL of the app's role, in the form for drivers other than SQLAlchemy."""
        return self.postgres.app_url.replace("+asyncpg", "")

    async def admin(self, *statements: str) -> None:
        """Run statements as superuser, without Row Level Security."""
        connection = await asyncpg.connect(self.postgres.admin_url, database=DATABASE)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The product's API as a process, and an account in it with its own organization."""

    pid: int
    port: int
    log: Path
    token: str
    organization_id: UUID

    def execute(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The data of an operation, executed as this account."""
        return execute(self.port, query, variables, {"authorization": f"Bearer {self.token}"})


@contextmanager
def start_environment() -> Iterator[BenchmarkEnvironment]:
    """Start PostgreSQL and Valkey on the load's core, with roles and tables; delete all at the end."""
    with tempfile.TemporaryDirectory(prefix="nudge-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)  # PostgreSQL runs as another user when we are root
        with pinned(LOAD_CORE):
            postgres, valkey = start_postgres(home, durable=False), start_valkey(home)
        try:
            asyncio.run(prepare(postgres))
            environment = production(home, postgres.app_url, valkey.url)
            yield BenchmarkEnvironment(home=home, postgres=postgres, redis_url=valkey.url, environment=environment)
        finally:
            valkey.stop()
            postgres.stop()


async def prepare(postgres: PostgresServer) -> None:
    """Create the roles, the database and the tables."""
    await create_roles(
        postgres.admin_url,
        migrator_password=make_url(postgres.migrator_url).password or "",
        app_password=make_url(postgres.app_url).password or "",
    )
    await create_database(postgres.admin_url)
    await migration.upgrade(postgres.migrator_url)


def production(home: Path, database_url: str, redis_url: str) -> dict[str, str]:
    """The environment variables of a production process: the defaults, with a cost budget too large to be used up."""
    return {
        "NUDGE_ENVIRONMENT": "production",
        "NUDGE_HOME": str(home),
        "NUDGE_DATABASE__URL": database_url,
        "NUDGE_REDIS__URL": redis_url,
        "NUDGE_API__PUBLIC_URL": "https://bench.nudge.example",
        "NUDGE_GRAPHQL__COST_PER_MINUTE": "1000000000",
        "NUDGE_AUTH__SIGN_UP": "OPEN",  # closed by default in production
        "NUDGE_AUTH__SIGNING_KEY": new_signing_key(),
        "NUDGE_SECURITY__SECRET_KEY": new_secret(),
        "NUDGE_POSTMARK__BASE_URL": "http://127.0.0.1:9",
        "NUDGE_POSTMARK__SERVER_TOKEN": "bench",
        "NUDGE_POSTMARK__SENDER": "news@bench.nudge.example",
        "NUDGE_POSTMARK__WEBHOOK_PASSWORD": "bench",
        "NUDGE_LLM__BASE_URL": "http://127.0.0.1:9",
        "NUDGE_LLM__API_KEY": "bench",
    }


@contextmanager
def start_api(env: BenchmarkEnvironment, settings: dict[str, str] | None = None) -> Iterator[Api]:
    """Start `nudge api` on the servers' core, as a production process, and sign up an organization."""
    port = free_port()
    environment = {**env.environment, "NUDGE_API__PORT": str(port), **(settings or {})}
    argv = [sys.executable, "-c", "import cli; cli.main()", "api"]
    log = env.log_path("api")
    with serving("the API", argv, environment, port, log=log) as pid:
        account = execute(port, SIGN_UP, {"email": f"{new_id().hex}@bench.example"})["signUp"]
        decoded = decode_global_id(account["viewer"]["organization"]["id"])
        assert decoded is not None
        yield Api(pid=pid, port=port, log=log, token=account["accessToken"], organization_id=decoded[1])


def execute(
    port: int, query: str, variables: dict[str, Any], headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """The data of a GraphQL operation.

    Raises:
        AssertionError: the response has errors.
    """
    all_headers = {"content-type": "application/json", **(headers or {})}
    body = orjson.dumps({"query": query, "variables": variables})
    request = Request(f"http://127.0.0.1:{port}/graphql", body, all_headers)
    try:
        with urlopen(request, timeout=30) as stream:  # noqa: S310 - loopback
            text = stream.read()
    except HTTPError as error:
        text = error.read()
    response: dict[str, Any] = orjson.loads(text)
    assert "errors" not in response, (query, response["errors"])
    data: dict[str, Any] = response["data"]
    return data


def add_contacts(api: Api, how_many: int) -> None:
    """Upsert contacts, a thousand in each call."""
    for start in range(0, how_many, BATCH):
        rows = [
            {"email": f"person{n}@example.com", "firstName": f"First{n % 977}", "lastName": f"Last{n % 1_999}"}
            for n in range(start, start + BATCH)
        ]
        data = api.execute(UPSERT, {"rows": rows})
        assert data["upsertContacts"]["created"] == BATCH


def add_campaign(api: Api, name: str = "Spring") -> str:
    """Create a draft campaign; returns its global id."""
    created: str = api.execute(CREATE_CAMPAIGN, {"name": name})["createCampaign"]["campaign"]["id"]
    return created
