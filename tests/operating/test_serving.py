"""The first log lines of `nudge api` and `nudge worker`."""

import asyncio
import json
import sys
from pathlib import Path

from local.folder import free_port
from runtime import Runtime
from tests.graphql.test_process import environment

ROOT = Path(__file__).parents[2]


async def first_line(runtime: Runtime, verb: str, expected: str, **variables: str) -> str:
    """The first line of a process that contains the text; kills the process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "cli", verb),
        cwd=ROOT,
        env=environment(runtime.settings, **variables),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        lines = []
        async with asyncio.timeout(120):
            while line := (await process.stderr.readline()).decode():
                lines.append(line)
                if expected in line:
                    return line
        raise AssertionError("".join(lines))
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_the_api_logs_its_address(runtime: Runtime, tmp_path: Path) -> None:
    """The URLs of the endpoint and of GraphiQL in development; in production JSON with the public URL."""
    port, home = free_port(), str(tmp_path)
    line = await first_line(runtime, "api", "API listening", NUDGE_API__PORT=str(port), NUDGE_HOME=home)
    assert f"url=http://127.0.0.1:{port}/graphql" in line
    assert f"graphiql=http://127.0.0.1:{port}/graphql" in line
    production = {
        "NUDGE_ENVIRONMENT": "production",
        "NUDGE_API__PUBLIC_URL": "https://mail.example.org",
        "NUDGE_POSTMARK__SENDER": "news@example.org",
        "NUDGE_GRAPHQL__GRAPHIQL": "false",
    }
    line = await first_line(runtime, "api", "API listening", NUDGE_API__PORT=str(port), **production)
    event = json.loads(line)
    assert (event["url"], event["public_url"]) == (f"http://127.0.0.1:{port}/graphql", "https://mail.example.org")
    assert "graphiql" not in event


async def test_the_worker_logs_that_it_is_ready(runtime: Runtime, tmp_path: Path) -> None:
    """One line with its tasks."""
    line = await first_line(runtime, "worker", "worker ready", NUDGE_HOME=str(tmp_path))
    assert "sends campaigns, applies webhooks" in line
