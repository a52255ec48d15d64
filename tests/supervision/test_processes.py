"""A process that has lost a supervised task reports it, and exits with an error, so that it is restarted."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from local.folder import free_port
from runtime import Runtime, running
from tests.conftest import Servers, copy_template, settings_for
from tests.graphql.test_process import environment
from tests.properties import faults_only
from tests.serving import served
from tests.waiting import WAIT_SECONDS, until

ROOT = Path(__file__).parents[2]
# The unchanged command, except that the supervisor of the named task is cancelled after it has started.
PROGRAM = """
import asyncio, os, sys
import app
from core.supervision import Supervisors
app.DRAIN_SECONDS = float(os.environ["DRAIN"])
start = Supervisors.start
def start_and_cancel_victim(self, name, *args, **options):
    task = start(self, name, *args, **options)
    if name == os.environ["VICTIM"]:
        asyncio.get_running_loop().call_later(0.5, task.cancel)
    return task
Supervisors.start = start_and_cancel_victim
import cli
cli.main()
"""


@asynccontextmanager
async def nudge(
    command: str, victim: str, variables: dict[str, str], *, drain: float = 3.0
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`nudge api` or `nudge worker`, in which the victim task ends; killed when the block ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        command,
        cwd=ROOT,
        env={**variables, "VICTIM": victim, "DRAIN": str(drain)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def readiness(url: str) -> tuple[int, str | None]:
    """The status of `/readyz` and the problem that it reports; 0 while the port is closed."""
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as response:
            return response.status, (await response.json())["problem"]
    except aiohttp.ClientError:
        return 0, None


@pytest.mark.parametrize("victim", ["pubsub-connection", *faults_only("pubsub-listener", "budgets")])
async def test_an_api_that_has_lost_a_task_ends(runtime: Runtime, victim: str) -> None:
    """`/readyz` returns 503 and names the task; a few seconds later the process exits with 1 and the reason."""
    port, expected, output = free_port(), (503, f"supervisor: {victim} has ended"), ""
    variables = environment(runtime.settings, NUDGE_API__PORT=str(port))
    answers: list[tuple[int, str | None]] = []
    for seconds in (3.0, 30.0):  # on a busy machine three seconds may pass without a request
        async with nudge("api", victim, variables, drain=seconds) as process, asyncio.timeout(4 * WAIT_SECONDS):
            reading = asyncio.create_task(process.communicate())
            while not reading.done():
                answers.append(await readiness(f"http://127.0.0.1:{port}"))
                await asyncio.sleep(0.05)
            output = (await reading)[0].decode()
        assert process.returncode == 1, output
        assert f"nudge: The API has ended because it lost {victim}. Restart it." in output
        assert "Traceback" not in output
        if expected in answers:
            break
    assert expected in answers, output


@pytest.mark.parametrize(
    "victim", ["send-loop-0", *faults_only("sweep: advance campaigns", "consumer", "pubsub-connection")]
)
async def test_a_worker_that_has_lost_a_task_ends(servers: Servers, victim: str) -> None:
    """A worker has no readiness endpoint: its log and exit code show it. Its database holds no other work."""
    variables = environment(settings_for(servers, await copy_template(servers), redis_database=2))
    async with nudge("worker", victim, variables) as process, asyncio.timeout(2 * WAIT_SECONDS):
        output = (await process.communicate())[0].decode()
    assert process.returncode == 1, output
    assert f"nudge: The worker has ended because it lost {victim}. Restart it." in output
    assert "supervised task ended permanently" in output
    assert [
        text for text in ("Traceback", "Unclosed", "garbage collector", "never retrieved") if text in output
    ] == []


async def test_any_supervised_task_counts(servers: Servers) -> None:
    """A topic's forwarder that ends makes the process unfit as well: its watchers would get no signals."""
    async with running(settings_for(servers, await copy_template(servers))) as runtime, served(runtime) as server:
        with runtime.hub.watch("topic"):
            assert await readiness(server.base) == (200, None)
            (forwarder,) = [task for task in asyncio.all_tasks() if task.get_name() == "forwarder topic"]
            forwarder.cancel()
            await until(lambda: is_unfit(server.base))


async def is_unfit(url: str) -> bool:
    """Whether the process reports that it has lost a forwarder; the topic is only in its log."""
    return await readiness(url) == (503, "supervisor: forwarder has ended")
