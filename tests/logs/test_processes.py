"""Real processes log no secret and no personal data in any kind of failure."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp import web
from pydantic import SecretStr
from sqlalchemy import update

from core.configuration import variable
from local.folder import free_port
from models.campaigns import CampaignStatus
from models.contacts import Contact
from runtime import Runtime, running
from services.campaigns.lifecycle import change_status
from services.conversations import changing
from settings import Settings
from tests import factories
from tests.conftest import Servers, copy_template, settings_for
from tests.graphql.test_process import environment
from tests.logs import bugs
from tests.logs.markers import Markers
from tests.logs.requests import LOG_IN, Client, fresh_connections, send_failing_messages, send_failing_requests
from tests.outages import Relay
from tests.properties import faults_only
from tests.realtime.valkey_server import ValkeyServer
from tests.waiting import WAIT_SECONDS, until

ROOT = Path(__file__).parents[2]


@dataclass(slots=True, kw_only=True)
class Program:
    """A running process and its output so far."""

    process: asyncio.subprocess.Process
    output: bytearray = field(default_factory=bytearray)

    @property
    def text(self) -> str:
        """The output as text."""
        return self.output.decode(errors="replace")

    async def read(self) -> None:
        """Read the output until the process ends."""
        assert self.process.stdout is not None
        while part := await self.process.stdout.read(65_536):
            self.output += part

    async def has_logged(self, phrase: str) -> bool:
        """Whether the output contains the phrase."""
        return phrase in self.text


@asynccontextmanager
async def started(code: str, *arguments: str, variables: dict[str, str]) -> AsyncIterator[Program]:
    """A running program. At the end of the block it gets SIGTERM, and SIGKILL if that does not end it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        *arguments,
        cwd=ROOT,
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    program = Program(process=process)
    reading = asyncio.create_task(program.read())
    try:
        yield program
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait([reading], timeout=WAIT_SECONDS)
    except BaseException:
        sys.stderr.write(program.text)
        raise
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


def variables_of(settings: Settings, markers: Markers, mode: str, **changes: str) -> dict[str, str]:
    """The environment of a process, with a marker for every secret and the lowest log level."""
    values = environment(
        settings,
        NUDGE_ENVIRONMENT=mode,
        NUDGE_LOG_LEVEL="DEBUG",
        NUDGE_API__PUBLIC_URL="https://mail.example.org",
        NUDGE_POSTMARK__SENDER="news@sender.example",
        NUDGE_POSTMARK__SERVER_TOKEN=markers.postmark_token,
        NUDGE_POSTMARK__WEBHOOK_PASSWORD=markers.webhook_password,
        NUDGE_LLM__API_KEY=markers.llm_key,
        NUDGE_SECURITY__SECRET_KEY=markers.secret_key,
        NUDGE_METRICS__TOKEN=markers.metrics_token,
        NUDGE_SENDING__SWEEP_SECONDS="0.2",
        OPENAI_LOG="debug",
        PYTHONASYNCIODEBUG="1",
    )
    return values | changes


def secrets_of(settings: Settings, servers: Servers) -> list[str]:
    """The secrets of a process that are not markers: the database's password and the signing key."""
    key = settings.auth.signing_key
    assert key is not None
    password = servers.postgres.app_url.partition("://")[2].partition(":")[2].partition("@")[0]
    assert len(password) > 10
    return [password, *[line for line in key.get_secret_value().splitlines() if not line.startswith("-")]]


@dataclass(slots=True, kw_only=True)
class Backends:
    """PostgreSQL behind a relay, a Redis, and markers. The runtime connects without the relay."""

    servers: Servers
    settings: Settings
    valkey: ValkeyServer
    runtime: Runtime
    markers: Markers
    relay: Relay


@pytest.fixture
async def backends(servers: Servers, tmp_path: Path) -> AsyncIterator[Backends]:
    valkey = ValkeyServer(tmp_path)
    await valkey.start()
    relay = Relay(host="127.0.0.1", port=servers.postgres.port)
    await relay.open()
    settings_of_database = settings_for(servers, await copy_template(servers))
    redis = type(settings_of_database.redis).model_validate({"url": valkey.url})
    through = {
        name: SecretStr(url.get_secret_value().replace(f":{servers.postgres.port}/", f":{relay.own_port}/"))
        for name, url in (
            ("url", settings_of_database.database.url),
            ("migrator_url", settings_of_database.database.migrator_url),
        )
        if url is not None
    }
    settings = settings_of_database.model_copy(
        update={"redis": redis, "database": settings_of_database.database.model_copy(update=through)}
    )
    async with running(settings_of_database.model_copy(update={"redis": redis})) as runtime:
        markers = Markers(others=secrets_of(settings, servers))
        yield Backends(
            servers=servers, settings=settings, valkey=valkey, runtime=runtime, markers=markers, relay=relay
        )
    valkey.kill()
    relay.disconnect()


def expect_clean(markers: Markers, text: str) -> None:
    """No marker was logged, and the logging itself did not fail."""
    assert markers.find_in(text) == []
    assert "--- Logging error ---" not in text


def lines_of(text: str) -> list[dict[str, object]]:
    """The output of production mode: each line is JSON."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("mode", ["development", "production"])
async def test_failing_api_logs_no_markers(backends: Backends, mode: str) -> None:
    """Bugs in a field, a webhook, a page and over a WebSocket; refusals; then no database and no Redis."""
    markers, runtime = backends.markers, backends.runtime
    actor = await factories.organization(runtime)
    token = factories.token(runtime, actor)
    markers.others.append(token)
    port = free_port()
    variables = variables_of(backends.settings, markers, mode, NUDGE_API__PORT=str(port))
    async with started(bugs.API, "api", variables=variables) as program, fresh_connections() as session:
        client = Client(session, f"http://127.0.0.1:{port}", markers, token)
        await until(client.is_ready)
        await send_failing_requests(client)
        await send_failing_messages(client)
        backends.relay.disconnect()
        assert await client.execute(LOG_IN, email=markers.address, password=markers.password) in {200, 503}
        assert await client.execute("{ viewer { role } }") in {200, 503}
        assert await client.webhook(Details=markers.payload) == 503
        assert await client.get("/readyz") == 503
        backends.valkey.kill()
        assert await client.execute("{ viewer { role } }") in {200, 503}
        await until(lambda: program.has_logged("PostgreSQL does not answer"))
    expect_clean(markers, program.text)
    assert program.text.count("Exception in ASGI application") == 2
    if mode == "production":
        expect_tracebacks(lines_of(program.text))
    else:
        assert program.text.count("\n") < 1_000


def expect_tracebacks(lines: list[dict[str, object]]) -> None:
    """Uvicorn's errors have a traceback as text, the path without the token, and the request's id."""
    page, webhook = sorted(
        (line for line in lines if line["event"] == "Exception in ASGI application"),
        key=lambda line: str(line["path"]),
    )
    assert (page["path"], webhook["path"]) == ("/u/…", "/webhooks/postmark")
    for line, kind in ((page, "KeyError"), (webhook, "RuntimeError")):
        trace = str(line["exception"])
        assert trace.startswith("Traceback (most recent call last):\n")
        assert trace.endswith(f"\n{kind}")
        assert "routes/" in trace
        assert len(trace) < 9_000
        assert len(str(line["request_id"])) == 32
    (field,) = [line for line in lines if line["event"] == "a field failed" and line["path"] == "/graphql"][:1]
    assert field["field"] == ["createContact"]
    assert "RuntimeError" in str(field["exception"])


@asynccontextmanager
async def echoing() -> AsyncIterator[str]:
    """A failing vendor whose error responses repeat the request."""

    async def respond(request: web.Request) -> web.Response:
        text = f"{dict(request.headers)} {await request.text()}"
        return web.json_response({"ErrorCode": 300, "Message": text, "error": {"message": text}}, status=422)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", respond)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def create_work(backends: Backends) -> UUID:
    """Start a campaign to a contact with a marker's address, and a reply to a prompt with a marker.

    Returns:
        The id of the campaign.
    """
    runtime, markers = backends.runtime, backends.markers
    actor = await factories.organization(runtime)
    (contact_id,) = await factories.contacts(runtime, actor, 1)
    campaign_id = await factories.campaign(runtime, actor)
    async with runtime.work.begin(actor) as uow:
        address = {"email": markers.address, "email_norm": markers.address}
        await uow.execute(update(Contact).where(Contact.id == contact_id).values(**address))
        conversation = await changing.start(uow, title=None)
        await changing.send(uow, conversation.id, markers.prompt)
    async with runtime.work.begin(actor) as uow:
        await change_status(uow, campaign_id, CampaignStatus.PREPARING, from_header=factories.FROM)
    return campaign_id


@pytest.mark.parametrize(
    ("vendors", "mode"),
    [
        ("echo", "development"),
        ("unreachable", "production"),
        *faults_only(("echo", "production"), ("unreachable", "development")),
    ],
)
async def test_failing_worker_logs_no_markers(backends: Backends, mode: str, vendors: str) -> None:
    """Bugs in jobs, in the sweeper and in tasks that are never awaited; vendors that echo or are unreachable."""
    markers = backends.markers
    await create_work(backends)
    async with echoing() as url:
        base = url if vendors == "echo" else f"http://127.0.0.1:{free_port()}"
        variables = variables_of(
            backends.settings, markers, mode, NUDGE_POSTMARK__BASE_URL=base, NUDGE_LLM__BASE_URL=f"{base}/api/v1"
        )
        code = bugs.WORKER.replace("MARKER", repr(markers.body))
        async with started(code, "worker", variables=variables) as program:
            await until(lambda: program.has_logged("task failed"))
            await until(lambda: program.has_logged("Task exception was never retrieved"))
            await until(lambda: program.has_logged("Exception in callback"))
            await until(lambda: program.has_logged("reply failed"))
            await until(
                lambda: program.has_logged("campaign finished" if vendors == "echo" else "provider request failed")
            )
            backends.relay.disconnect()
            await until(lambda: program.has_logged("sweep failed"))
            backends.valkey.kill()
            await until(
                lambda: program.has_logged("task=consumer" if mode == "development" else '"task": "consumer"')
            )
    expect_clean(markers, program.text)
    if mode == "production":
        lines = lines_of(program.text)
        assert all(line["level"] and line["timestamp"] for line in lines)
        assert any("KeyError" in str(line.get("exception")) for line in lines)


INVALID = {
    ("database", "url"): "mysql://user:{}@host/x",
    ("redis", "url"): "http://:{}@host",
    ("auth", "signing_key"): "{}",
    ("security", "secret_key"): "{:.30}",
    ("database", "pool_size"): "{}",
    ("api", "public_url"): "http://user:{}@host",
}


@pytest.mark.parametrize("invalid", [INVALID, {("api", "trusted_proxies"): "{}"}], ids=["values", "no JSON"])
@pytest.mark.parametrize("mode", ["production", *faults_only("development")])
async def test_invalid_settings(backends: Backends, mode: str, invalid: dict[tuple[str, str], str]) -> None:
    """An invalid setting is reported by its variable, without the value."""
    markers = backends.markers
    changes = {variable(*path): template.format(markers.password) for path, template in invalid.items()}
    variables = variables_of(backends.settings, markers, mode, **changes)
    async with started("import cli; cli.main()", "api", variables=variables) as program:
        await asyncio.wait_for(program.process.wait(), WAIT_SECONDS)
    expect_clean(markers, program.text)
    assert program.process.returncode == 2
    assert [path for path in invalid if variable(*path) not in program.text] == []


@pytest.mark.parametrize("mode", ["production", *faults_only("development")])
@pytest.mark.parametrize("command", ["api", "worker", "migrate"])
async def test_refused_database_password(backends: Backends, mode: str, command: str) -> None:
    """A wrong password, of the app's role or the owner's, is not logged; the command ends with an error."""
    markers = backends.markers
    changes = {}
    for name in ("url", "migrator_url"):
        value = getattr(backends.settings.database, name).get_secret_value()
        head, _, tail = value.partition("@")
        changes[variable("database", name)] = f"{head.rpartition(':')[0]}:{markers.password}@{tail}"
    variables = variables_of(backends.settings, markers, mode, **changes)
    async with started("import cli; cli.main()", command, variables=variables) as program:
        await asyncio.wait_for(program.process.wait(), WAIT_SECONDS)
    assert program.process.returncode not in {0, None}
    expect_clean(markers, program.text)


@pytest.mark.parametrize("mode", ["production", *faults_only("development")])
async def test_crash_at_startup(backends: Backends, mode: str) -> None:
    """A bug at startup is logged without its values, and the process ends with an error."""
    markers = backends.markers
    variables = variables_of(backends.settings, markers, mode, NUDGE_API__PORT=str(free_port()))
    code = bugs.CRASH.replace("MARKER", repr(markers.body))
    async with started(code, "api", variables=variables) as program:
        await asyncio.wait_for(program.process.wait(), WAIT_SECONDS)
    assert program.process.returncode == 1
    expect_clean(markers, program.text)
    assert "process ended by an uncaught error" in program.text
    assert "RuntimeError" in program.text
