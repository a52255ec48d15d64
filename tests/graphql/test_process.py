"""The API as a process of its own: starting, refusing to start, stopping."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from core.configuration import variable
from local.folder import free_port
from runtime import Runtime
from settings import Settings
from tests import factories
from tests.conftest import Servers
from tests.graphql.sockets import PROTOCOL, Socket

ROOT = Path(__file__).parents[2]
PROGRAM = "import app; from settings import load; app.serve(load())"


def environment(settings: Settings, **changes: str) -> dict[str, str]:
    """The settings as environment variables of another process."""
    document = settings.model_dump()
    variables = {}
    for group, name in (
        ("database", "url"),
        ("redis", "url"),
        ("auth", "signing_key"),
        ("security", "secret_key"),
        ("postmark", "base_url"),
        ("postmark", "server_token"),
        ("postmark", "webhook_password"),
        ("llm", "base_url"),
        ("llm", "api_key"),
    ):
        value = document[group][name]
        variables[variable(group, name)] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    return {"PATH": os.environ["PATH"], "NUDGE_ENVIRONMENT": "test", **variables, **changes}


@asynccontextmanager
async def program(variables: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """The API process, ended with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        cwd=ROOT,
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ready(base: str, process: asyncio.subprocess.Process) -> None:
    """Wait until `/readyz` is 200."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(120):
        while process.returncode is None:
            try:
                async with session.get(f"{base}/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.05)
    raise AssertionError((await process.communicate())[0].decode())


async def test_sigterm_closes_sockets_and_ends_cleanly(runtime: Runtime) -> None:
    """A client is closed with 1001; the process ends by the signal, as uvicorn does, without a traceback."""
    port = free_port()
    token = factories.token(runtime, await factories.organization(runtime))
    variables = environment(runtime.settings, NUDGE_API__PORT=str(port))
    async with program(variables) as process, aiohttp.ClientSession() as session:
        await ready(f"http://127.0.0.1:{port}", process)
        raw = await session.ws_connect(f"ws://127.0.0.1:{port}/graphql", protocols=[PROTOCOL])
        socket = Socket(raw)
        await socket.ready(token)
        process.send_signal(signal.SIGTERM)
        assert (await socket.closed())[0] == 1001
        async with asyncio.timeout(60):
            output = (await process.communicate())[0].decode()
    assert (process.returncode, "Traceback" in output) == (-signal.SIGTERM, False), output


async def test_it_refuses_to_serve_as_a_superuser(runtime: Runtime, servers: Servers) -> None:
    """The process exits immediately and prints the reason."""
    url = runtime.settings.database.url
    assert url is not None
    admin = servers.database_url(servers.postgres.admin_url, url.get_secret_value().rpartition("/")[2])
    admin = admin.replace("postgresql://", "postgresql+asyncpg://", 1)
    variables = environment(runtime.settings, NUDGE_DATABASE__URL=admin, NUDGE_API__PORT=str(free_port()))
    async with program(variables) as process, asyncio.timeout(120):
        output = (await process.communicate())[0].decode()
    assert process.returncode != 0
    assert "the role is a superuser" in output


@pytest.mark.slow
@pytest.mark.faults
async def test_readiness_without_redis(runtime: Runtime) -> None:
    """Without Redis the API can serve: `/readyz` is 200 and names it, and queries are executed."""
    port = free_port()
    variables = environment(
        runtime.settings, NUDGE_API__PORT=str(port), NUDGE_REDIS__URL=f"redis://127.0.0.1:{free_port()}"
    )
    token = factories.token(runtime, await factories.organization(runtime))
    base = f"http://127.0.0.1:{port}"
    async with program(variables), aiohttp.ClientSession() as session, asyncio.timeout(120):
        while True:
            try:
                async with session.get(f"{base}/healthz") as response:
                    assert response.status == 200
                    break
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)
        async with session.get(f"{base}/readyz") as response:
            assert (response.status, (await response.json())["degraded"]) == (200, "redis: no answer")
        headers = {"authorization": f"Bearer {token}"}
        async with session.post(
            f"{base}/graphql", json={"query": "{ viewer { role } }"}, headers=headers
        ) as response:
            assert (await response.json())["data"] == {"viewer": {"role": "OWNER"}}
