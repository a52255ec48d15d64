"""Maya in a worker: announced, found by the sweeper, and killed in the middle."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from core.queue import Job, QueueUnavailable
from core.unit_of_work import Work
from integrations.scripted import says
from jobs import run
from runtime import Runtime
from tests.maya.acting import begun
from tests.maya.conftest import Stage, told
from tests.sandbox.conftest import Client

# arq closes its Redis client by the client's old word for it.
arq_closes = pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning")


@asynccontextmanager
async def a_worker(runtime: Runtime, *, sweep_seconds: float) -> AsyncIterator[None]:
    """A worker in this process."""
    settings = runtime.settings
    sending = settings.sending.model_copy(update={"sweep_seconds": sweep_seconds})
    stopping = asyncio.Event()
    task = asyncio.create_task(
        run(replace(runtime, settings=settings.model_copy(update={"sending": sending})), stopping)
    )
    try:
        yield
    finally:
        stopping.set()
        await asyncio.wait_for(task, 60)


@arq_closes
async def test_a_worker_runs_a_job_at_once(fresh_stage: Stage) -> None:
    """A question is answered at once by a worker whose sweeper will not come for a long time."""
    stage = fresh_stage.scripted(says("Hello"))
    async with a_worker(stage.runtime, sweep_seconds=60):
        await asyncio.sleep(0.5)  # the sweep at the start is over
        reply = await stage.ask()
        assert told(await stage.see(reply)) == "Hello"


@arq_closes
async def test_a_job_that_was_not_enqueued(fresh_stage: Stage) -> None:
    """With the queue away, the sweeper finds the question in its row."""

    class Away:
        async def enqueue(self, job: Job) -> None:
            raise QueueUnavailable(job.name)

    stage = fresh_stage.scripted(says("Hello"))
    runtime = stage.runtime
    mute = replace(runtime, work=Work(runtime.engine, Away(), runtime.publisher))
    async with a_worker(runtime, sweep_seconds=0.2):
        reply = await replace(stage, runtime=mute).ask()
        assert told(await stage.see(reply)) == "Hello"


def environment(stage: Stage, vendor: Client) -> dict[str, str]:
    """The settings of a worker process that serves the stage."""
    settings = stage.runtime.settings
    secrets = {
        "NUDGE_DATABASE__URL": settings.database.url,
        "NUDGE_REDIS__URL": settings.redis.url,
        "NUDGE_AUTH__SIGNING_KEY": settings.auth.signing_key,
        "NUDGE_SECURITY__SECRET_KEY": settings.security.secret_key,
        "NUDGE_POSTMARK__SERVER_TOKEN": settings.postmark.server_token,
        "NUDGE_POSTMARK__WEBHOOK_PASSWORD": settings.postmark.webhook_password,
    }
    return {
        **{name: value.get_secret_value() for name, value in secrets.items() if value is not None},
        "NUDGE_ENVIRONMENT": "test",
        "NUDGE_POSTMARK__BASE_URL": vendor.url,
        "NUDGE_LLM__BASE_URL": f"{vendor.url}/api/v1",
        "NUDGE_LLM__API_KEY": "key",
        "NUDGE_SENDING__SWEEP_SECONDS": "0.3",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }


def launch(given: dict[str, str], folder: Path) -> "subprocess.Popen[bytes]":
    """`nudge worker` as a process."""
    with (folder / "worker.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "cli", "worker"],
            cwd=folder,
            env={**os.environ, **given},
            stdout=log,
            stderr=log,
        )


@pytest.mark.slow
@pytest.mark.faults
async def test_a_killed_worker(fresh_stage: Stage, vendor: Client, tmp_path: Path) -> None:
    """A worker killed while Maya speaks: the next one ends the reply, nothing shown is lost or doubled."""
    stage = fresh_stage
    await vendor.faults(llm={"slow_tokens": {"seconds": 0.1}, "script": ["word " * 300, "Fine again."]})
    given = environment(stage, vendor)
    workers = [launch(given, tmp_path)]
    try:
        reply = await stage.ask()
        viewer = asyncio.create_task(stage.watch_to_end(reply))
        await asyncio.wait_for(begun(stage, reply, 5), 60)
        workers[0].kill()
        workers[0].wait(60)
        workers.append(launch(given, tmp_path))
        events = await asyncio.wait_for(viewer, 120)
        ended = await stage.stored(reply)
        assert (ended.status, ended.error_code) == ("failed", "INTERRUPTED")
        assert [shown.sequence for shown in events] == list(range(1, len(events) + 1))
        assert told(events) == ended.content
        assert ended.content.startswith("word word word ")
        again = await stage.ask("And now?")
        assert told(await stage.watch_to_end(again)) == "Fine again."
    finally:
        for worker in workers:
            worker.kill()
            worker.wait(60)
