"""Real processes, each kind of failure, values planted everywhere: none of them is ever written."""

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
from services.campaigns.lifecycle import move
from services.conversations import changing
from settings import Settings
from tests import factories
from tests.conftest import Servers, copy_template, settings_for
from tests.graphql.test_process import environment
from tests.logs import bugs
from tests.logs.planting import Planted
from tests.logs.requests import LOG_IN, Client, fresh_connections, misuse, misuse_socket
from tests.properties import later
from tests.realtime.valkey_server import ValkeyServer
from tests.waiting import WAIT_SECONDS, until

ROOT = Path(__file__).parents[2]


@dataclass(slots=True, kw_only=True)
class Program:
    """A running process, and what it has written so far."""

    process: asyncio.subprocess.Process
    written: bytearray = field(default_factory=bytearray)

    @property
    def text(self) -> str:
        """Its output."""
        return self.written.decode(errors="replace")

    async def read(self) -> None:
        """Take its output in until it ends."""
        assert self.process.stdout is not None
        while part := await self.process.stdout.read(65_536):
            self.written += part

    async def says(self, words: str) -> bool:
        """Whether it has written the words."""
        return words in self.text


@asynccontextmanager
async def started(code: str, *arguments: str, variables: dict[str, str]) -> AsyncIterator[Program]:
    """A program with its arguments, ended with the block: by SIGTERM, and only then by force."""
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


def variables_of(settings: Settings, planted: Planted, mode: str, **changed: str) -> dict[str, str]:
    """The settings of a process, with planted values for every secret, at the most talkative level."""
    planted_values = environment(
        settings,
        NUDGE_ENVIRONMENT=mode,
        NUDGE_LOG_LEVEL="DEBUG",
        NUDGE_API__PUBLIC_URL="https://mail.example.org",
        NUDGE_POSTMARK__SENDER="news@sender.example",
        NUDGE_POSTMARK__SERVER_TOKEN=planted.postmark_token,
        NUDGE_POSTMARK__WEBHOOK_PASSWORD=planted.webhook_password,
        NUDGE_LLM__API_KEY=planted.llm_key,
        NUDGE_SECURITY__SECRET_KEY=planted.secret_key,
        NUDGE_METRICS__TOKEN=planted.metrics_token,
        NUDGE_SENDING__SWEEP_SECONDS="0.2",
        OPENAI_LOG="debug",
        PYTHONASYNCIODEBUG="1",
    )
    return planted_values | changed


def secrets_of(settings: Settings, servers: Servers) -> list[str]:
    """The secrets that a process has beside the planted ones: the database's password and the signing key."""
    key = settings.auth.signing_key
    assert key is not None
    password = servers.postgres.app_url.partition("://")[2].partition(":")[2].partition("@")[0]
    assert len(password) > 10
    return [password, *[line for line in key.get_secret_value().splitlines() if not line.startswith("-")]]


@dataclass(slots=True, kw_only=True)
class Stage:
    """A database behind a relay, a Redis, and values to plant. The runtime goes past the relay."""

    servers: Servers
    settings: Settings
    valkey: ValkeyServer
    runtime: Runtime
    planted: Planted

    relay: "Relay"

    async def lose_database(self) -> None:
        """Cut every connection of the process to the database, and take no more."""
        await self.relay.close()


@dataclass(slots=True, kw_only=True)
class Relay:
    """What stands between a process and PostgreSQL, and can be taken away."""

    target: int
    server: asyncio.Server | None = None
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def open(self) -> int:
        """Begin to take connections; the port."""
        self.server = await asyncio.start_server(self.pass_on, "127.0.0.1", 0)
        return int(self.server.sockets[0].getsockname()[1])

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass both directions of a connection on until one of them ends."""
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self.writers += [writer, there_writer]
        await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer), return_exceptions=True)

    async def close(self) -> None:
        """Cut every connection, and refuse new ones."""
        if self.server is not None:
            self.server.close()
        for writer in self.writers:
            writer.transport.abort()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on."""
    while part := await reader.read(65_536):
        writer.write(part)
    writer.close()


@pytest.fixture
async def stage(servers: Servers, tmp_path: Path) -> AsyncIterator[Stage]:
    valkey = ValkeyServer(tmp_path)
    await valkey.start()
    relay = Relay(target=servers.postgres.port)
    port = await relay.open()
    found = settings_for(servers, await copy_template(servers))
    redis = type(found.redis).model_validate({"url": valkey.url})
    through = {
        name: SecretStr(url.get_secret_value().replace(f":{servers.postgres.port}/", f":{port}/"))
        for name, url in (("url", found.database.url), ("migrator_url", found.database.migrator_url))
        if url is not None
    }
    settings = found.model_copy(update={"redis": redis, "database": found.database.model_copy(update=through)})
    async with running(found.model_copy(update={"redis": redis})) as runtime:
        planted = Planted(others=secrets_of(settings, servers))
        yield Stage(servers=servers, settings=settings, valkey=valkey, runtime=runtime, planted=planted, relay=relay)
    valkey.kill()
    await relay.close()


def expect_clean(planted: Planted, text: str) -> None:
    """Nothing planted was written, and no error was swallowed by the logging itself."""
    assert planted.found_in(text) == []
    assert "--- Logging error ---" not in text


def lines_of(text: str) -> list[dict[str, object]]:
    """Production's output: JSON on every line."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("mode", ["development", "production"])
async def test_an_api_in_trouble(stage: Stage, mode: str) -> None:
    """Bugs in a field, a webhook, a page and over a websocket; refusals; then the database and Redis away."""
    planted, runtime = stage.planted, stage.runtime
    actor = await factories.organization(runtime)
    token = factories.token(runtime, actor)
    planted.others.append(token)
    port = free_port()
    variables = variables_of(stage.settings, planted, mode, NUDGE_API__PORT=str(port))
    async with started(bugs.API, "api", variables=variables) as program, fresh_connections() as session:
        client = Client(session, f"http://127.0.0.1:{port}", planted, token)
        await until(client.answers)
        await misuse(client)
        await misuse_socket(client)
        await stage.lose_database()
        assert await client.ask(LOG_IN, email=planted.address, password=planted.password) in {200, 503}
        assert await client.ask("{ viewer { role } }") in {200, 503}
        assert await client.webhook(Details=planted.payload) == 503
        assert await client.get("/readyz") == 503
        stage.valkey.kill()
        assert await client.ask("{ viewer { role } }") in {200, 503}
        await until(lambda: program.says("PostgreSQL does not answer"))
    expect_clean(planted, program.text)
    assert program.text.count("Exception in ASGI application") == 2
    if mode == "production":
        expect_useful(lines_of(program.text))
    else:
        assert program.text.count("\n") < 1_000


def expect_useful(lines: list[dict[str, object]]) -> None:
    """An error of uvicorn's has its traceback as text, the path without the token, and the request's id."""
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
    """A vendor that is in trouble, and repeats in its answers whatever it got."""

    async def answer(request: web.Request) -> web.Response:
        text = f"{dict(request.headers)} {await request.text()}"
        return web.json_response({"ErrorCode": 300, "Message": text, "error": {"message": text}}, status=422)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def work_to_do(stage: Stage) -> UUID:
    """A campaign to a planted contact that is to be sent, and a question with planted words; the campaign."""
    runtime, planted = stage.runtime, stage.planted
    actor = await factories.organization(runtime)
    (contact_id,) = await factories.contacts(runtime, actor, 1)
    campaign_id = await factories.campaign(runtime, actor)
    async with runtime.work.begin(actor) as uow:
        address = {"email": planted.address, "email_norm": planted.address}
        await uow.execute(update(Contact).where(Contact.id == contact_id).values(**address))
        conversation = await changing.start(uow, title=None)
        await changing.send(uow, conversation.id, planted.prompt)
    async with runtime.work.begin(actor) as uow:
        await move(uow, campaign_id, CampaignStatus.PREPARING, from_header=factories.FROM)
    return campaign_id


@pytest.mark.parametrize(
    ("vendors", "mode"),
    [
        ("echo", "development"),
        ("away", "production"),
        *later(("echo", "production"), ("away", "development")),
    ],
)
async def test_a_worker_in_trouble(stage: Stage, mode: str, vendors: str) -> None:
    """Bugs in jobs, in the sweeper and in tasks nobody looks at; vendors that repeat what they got or are away."""
    planted = stage.planted
    await work_to_do(stage)
    async with echoing() as url:
        base = url if vendors == "echo" else f"http://127.0.0.1:{free_port()}"
        variables = variables_of(
            stage.settings, planted, mode, NUDGE_POSTMARK__BASE_URL=base, NUDGE_LLM__BASE_URL=f"{base}/api/v1"
        )
        code = bugs.WORKER.replace("PLANTED", repr(planted.body))
        async with started(code, "worker", variables=variables) as program:
            await until(lambda: program.says("task failed"))
            await until(lambda: program.says("Task exception was never retrieved"))
            await until(lambda: program.says("Exception in callback"))
            await until(lambda: program.says("reply failed"))
            await until(lambda: program.says("campaign finished" if vendors == "echo" else "provider request failed"))
            await stage.lose_database()
            await until(lambda: program.says("sweep failed"))
            stage.valkey.kill()
            await until(lambda: program.says("task=consumer" if mode == "development" else '"task": "consumer"'))
    expect_clean(planted, program.text)
    if mode == "production":
        lines = lines_of(program.text)
        assert all(line["level"] and line["timestamp"] for line in lines)
        assert any("KeyError" in str(line.get("exception")) for line in lines)


BAD = {
    ("database", "url"): "mysql://user:{}@host/x",
    ("redis", "url"): "http://:{}@host",
    ("auth", "signing_key"): "{}",
    ("security", "secret_key"): "{:.30}",
    ("database", "pool_size"): "{}",
    ("api", "public_url"): "http://user:{}@host",
}


@pytest.mark.parametrize("bad", [BAD, {("api", "trusted_proxies"): "{}"}], ids=["values", "no JSON"])
@pytest.mark.parametrize("mode", ["production", *later("development")])
async def test_bad_settings(stage: Stage, mode: str, bad: dict[tuple[str, str], str]) -> None:
    """A value that does not fit is named by its variable and not repeated."""
    planted = stage.planted
    changed = {variable(*path): template.format(planted.password) for path, template in bad.items()}
    variables = variables_of(stage.settings, planted, mode, **changed)
    async with started("import cli; cli.main()", "api", variables=variables) as program:
        await asyncio.wait_for(program.process.wait(), WAIT_SECONDS)
    expect_clean(planted, program.text)
    assert program.process.returncode == 2
    assert [path for path in bad if variable(*path) not in program.text] == []


@pytest.mark.parametrize("mode", ["production", *later("development")])
@pytest.mark.parametrize("command", ["api", "worker", "migrate"])
async def test_a_database_that_does_not_let_us_in(stage: Stage, mode: str, command: str) -> None:
    """A wrong password, of the app's role or the owner's, is not repeated; the command ends with an error."""
    planted = stage.planted
    changed = {}
    for name in ("url", "migrator_url"):
        value = getattr(stage.settings.database, name).get_secret_value()
        head, _, tail = value.partition("@")
        changed[variable("database", name)] = f"{head.rpartition(':')[0]}:{planted.password}@{tail}"
    variables = variables_of(stage.settings, planted, mode, **changed)
    async with started("import cli; cli.main()", command, variables=variables) as program:
        await asyncio.wait_for(program.process.wait(), WAIT_SECONDS)
    assert program.process.returncode not in {0, None}
    expect_clean(planted, program.text)


@pytest.mark.parametrize("mode", ["production", *later("development")])
async def test_a_crash_at_the_start(stage: Stage, mode: str) -> None:
    """A bug at the start is logged as any other, and the process ends with an error."""
    planted = stage.planted
    variables = variables_of(stage.settings, planted, mode, NUDGE_API__PORT=str(free_port()))
    code = bugs.CRASH.replace("PLANTED", repr(planted.body))
    async with started(code, "api", variables=variables) as program:
        await asyncio.wait_for(program.process.wait(), WAIT_SECONDS)
    assert program.process.returncode == 1
    expect_clean(planted, program.text)
    assert "process ended by an uncaught error" in program.text
    assert "RuntimeError" in program.text
