"""docs/clients.md: its programs work as described, and its tables are complete."""

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest

from core.access.actor import Actor
from core.ids import encode_global_id
from models.deliveries import DeliveryStatus
from runtime import Runtime, running
from services.conversations import changing
from tests.campaigns.test_realtime import advance, finish, sending_campaign
from tests.client import ApiClient
from tests.conftest import Servers, copy_template, settings_for
from tests.graphql.nodejs import FOLDER, needs_node
from tests.serving import Served, served
from tests.waiting import WAIT_SECONDS
from transport import errors
from transport.websocket import adapter, connection, endpoint, monitoring
from transport.websocket.open_connections import GOING_AWAY

PAGE = (Path(__file__).parents[2] / "docs" / "clients.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"<!-- example: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))
PASSWORD = "a-password-of-the-tests"
SIGN_UP = """mutation ($input: SignUpInput!) {
  signUp(input: $input) { viewer { id organization { id } } userErrors { message } }
}"""
TOKEN_SECONDS = 6


class Program:
    """An example that runs, and the lines that it printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def prints(self, condition: Callable[[list[str]], bool]) -> None:
        """Read until the lines meet the condition; fail when the program ends or prints nothing for a minute."""
        assert self.process.stdout is not None
        while not condition(self.lines):
            line = await asyncio.wait_for(self.process.stdout.readline(), WAIT_SECONDS)
            assert line, (self.lines, await self.error_output())
            self.lines.append(line.decode().strip())

    async def error_output(self) -> str:
        """Its error output."""
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()

    async def ends(self) -> list[str]:
        """All of its lines, after it has ended successfully."""
        rest, error_output = await asyncio.wait_for(self.process.communicate(), WAIT_SECONDS)
        assert self.process.returncode == 0, error_output.decode()
        return self.lines + rest.decode().split()


@pytest.fixture(scope="module")
async def server(servers: Servers) -> AsyncIterator[tuple[Runtime, Served]]:
    """A server of this page's own."""
    async with running(settings_for(servers, await copy_template(servers))) as runtime, served(runtime) as result:
        yield runtime, result


@asynccontextmanager
async def example(server: Served, folder: Path, name: str, email: str, *arguments: str) -> AsyncIterator[Program]:
    """One of the page's programs, beside the others, with their packages; killed when the block ends early."""
    for each, text in EXAMPLES.items():
        (folder / each).write_text(text, "utf-8")
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(FOLDER / "node_modules")
    process = await asyncio.create_subprocess_exec(
        sys.executable if name.endswith(".py") else "node",
        name,
        *arguments,
        cwd=folder,
        env={**os.environ, "NUDGE_URL": server.url, "NUDGE_EMAIL": email, "NUDGE_PASSWORD": PASSWORD},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def sign_up(runtime: Runtime, server: Served, email: str) -> Actor:
    """A new account with a password."""
    account = {"organizationName": "Examples", "email": email, "password": PASSWORD, "fullName": "Eve Example"}
    reply = await ApiClient(server.url).send(SIGN_UP, {"input": account})
    assert reply.data["signUp"]["userErrors"] == []
    query = "mutation ($i: LogInInput!) { logIn(input: $i) { accessToken } }"
    token = (await ApiClient(server.url).execute(query, {"i": {"email": email, "password": PASSWORD}}))["logIn"]
    return (await runtime.identity.session(token["accessToken"])).actor


WATCHERS = [pytest.param(name, marks=needs_node) for name in ("apollo.mjs", "urql.mjs")] + ["watch.py"]


@pytest.mark.parametrize("name", WATCHERS)
async def test_clients_watch_a_campaign_to_its_end(server: tuple[Runtime, Served], tmp_path: Path, name: str) -> None:
    """Each prints the campaign's status as it changes, and ends with the stream."""
    runtime, at = server
    email = f"{name.partition('.')[0]}@example.com"
    owner = await sign_up(runtime, at, email)
    campaign_id = await sending_campaign(runtime, owner, 2)
    async with example(at, tmp_path, name, email, encode_global_id("Campaign", campaign_id)) as program:
        queried = not name.endswith(".py")
        await program.prints(lambda lines: len(lines) > queried)
        await advance(runtime, owner, campaign_id, DeliveryStatus.ACCEPTED, 2)
        await finish(runtime, owner, campaign_id)
        lines = await program.ends()
    assert lines[0] == "SENDING"
    assert lines[-1] == "SENT"


@needs_node
async def test_a_socket_is_renewed_while_a_stream_goes_on(
    server: tuple[Runtime, Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program with graphql-ws watches for longer than its first tokens last, and sees the end."""
    runtime, at = server
    owner = await sign_up(runtime, at, "renewing@example.com")
    monkeypatch.setattr(runtime.tokens, "lifetime_seconds", TOKEN_SECONDS)
    campaign_id = await sending_campaign(runtime, owner, 2)
    start = time.monotonic()
    identifier = encode_global_id("Campaign", campaign_id)
    async with example(at, tmp_path, "graphql-ws.mjs", "renewing@example.com", identifier) as program:
        await program.prints(
            lambda lines: lines.count("renewed") >= 3 and time.monotonic() > start + 1.5 * TOKEN_SECONDS
        )
        await finish_sent(runtime, owner, campaign_id)
        lines = await program.ends()
    assert lines[-1] == "SENT"


async def finish_sent(runtime: Runtime, owner: Actor, campaign_id: UUID) -> None:
    """Mark every message as accepted, and finish the campaign."""
    await advance(runtime, owner, campaign_id, DeliveryStatus.ACCEPTED, 2)
    await finish(runtime, owner, campaign_id)


@needs_node
async def test_a_reply_is_followed_to_its_end(server: tuple[Runtime, Served], tmp_path: Path) -> None:
    """The program that resumes prints the last event of a reply that has ended."""
    runtime, at = server
    owner = await sign_up(runtime, at, "maya@example.com")
    async with runtime.work.begin(owner) as uow:
        talk = await changing.start(uow, title="Example")
        _, reply = await changing.send(uow, talk.id, "Hello?")
    async with runtime.work.begin(owner) as uow:
        await changing.cancel(uow, reply.id)
    identifier = encode_global_id("MayaMessage", reply.id)
    async with example(at, tmp_path, "maya.mjs", "maya@example.com", identifier) as program:
        assert (await program.ends())[-1] == "CANCELLED"


@pytest.mark.parametrize("name", [pytest.param("graphql-ws.mjs", marks=needs_node), "watch.py"])
async def test_a_wrong_password_is_reported(server: tuple[Runtime, Served], tmp_path: Path, name: str) -> None:
    """The programs end with the API's message."""
    async with example(server[1], tmp_path, name, "nobody@example.com", "no id") as program:
        with pytest.raises(AssertionError, match=r"(?i)password"):
            await program.ends()


def test_every_close_code_is_explained() -> None:
    """The table has the codes that the server closes with, and no others."""
    documented = {int(code) for code in re.findall(r"^\| (\d{4}) \|", PAGE, re.MULTILINE)}
    modules = (connection, monitoring, endpoint, adapter)
    ours = {value for each in modules for value in vars(each).values() if isinstance(value, int) and value > 1000}
    assert documented - {1009} == (ours | {GOING_AWAY}) - {True}


def test_every_code_of_an_error_is_explained() -> None:
    """The table of errors names each code of `extensions.code`."""
    codes = {value for name, value in vars(errors).items() if name.isupper() and value == name}
    assert len(codes) > 6
    assert [code for code in sorted(codes) if f"`{code}`" not in PAGE] == []


def test_the_readme_links_to_the_page() -> None:
    """Developers of clients find the page."""
    assert "(docs/clients.md)" in (Path(__file__).parents[2] / "README.md").read_text("utf-8")
