"""Replies in a worker: run by a job, found by the sweeper, and killed in the middle."""

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
from integrations.scripted import text_reply
from jobs import run
from runtime import Runtime
from tests.maya.conftest import Chat, text_of
from tests.maya.turns import wait_for_events
from tests.sandbox.conftest import Client

# arq closes its Redis client by a deprecated method.
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
async def test_a_worker_runs_a_job_at_once(fresh_chat: Chat) -> None:
    """The job alone starts the reply: the next sweep would come much later."""
    chat = fresh_chat.scripted(text_reply("Hello"))
    async with a_worker(chat.runtime, sweep_seconds=60):
        await asyncio.sleep(0.5)  # the sweep at the start is over
        reply = await chat.ask()
        assert text_of(await chat.read_events(reply)) == "Hello"


@arq_closes
async def test_a_job_that_was_not_enqueued(fresh_chat: Chat) -> None:
    """If the queue is unavailable, the sweeper finds the reply by its row."""

    class UnavailableQueue:
        async def enqueue(self, job: Job) -> None:
            raise QueueUnavailable(job.name)

    chat = fresh_chat.scripted(text_reply("Hello"))
    runtime = chat.runtime
    without_queue = replace(runtime, work=Work(runtime.engine, UnavailableQueue(), runtime.publisher))
    async with a_worker(runtime, sweep_seconds=0.2):
        reply = await replace(chat, runtime=without_queue).ask()
        assert text_of(await chat.read_events(reply)) == "Hello"


def environment(chat: Chat, vendor: Client) -> dict[str, str]:
    """The settings of a worker process that serves the chat."""
    settings = chat.runtime.settings
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


def launch(variables: dict[str, str], folder: Path) -> "subprocess.Popen[bytes]":
    """`nudge worker` as a process."""
    with (folder / "worker.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "cli", "worker"],
            cwd=folder,
            env={**os.environ, **variables},
            stdout=log,
            stderr=log,
        )


@pytest.mark.slow
@pytest.mark.faults
async def test_a_killed_worker(fresh_chat: Chat, vendor: Client, tmp_path: Path) -> None:
    """A worker is killed during a reply: the next one ends the reply, no event is lost or repeated."""
    chat = fresh_chat
    await vendor.faults(llm={"slow_tokens": {"seconds": 0.1}, "script": ["word " * 300, "Fine again."]})
    variables = environment(chat, vendor)
    workers = [launch(variables, tmp_path)]
    try:
        reply = await chat.ask()
        viewer = asyncio.create_task(chat.read_all_events(reply))
        await asyncio.wait_for(wait_for_events(chat, reply, 5), 60)
        workers[0].kill()
        workers[0].wait(60)
        workers.append(launch(variables, tmp_path))
        events = await asyncio.wait_for(viewer, 120)
        final = await chat.stored(reply)
        assert (final.status, final.error_code) == ("failed", "INTERRUPTED")
        assert [each.sequence for each in events] == list(range(1, len(events) + 1))
        assert text_of(events) == final.content
        assert final.content.startswith("word word word ")
        again = await chat.ask("And now?")
        assert text_of(await chat.read_all_events(again)) == "Fine again."
    finally:
        for worker in workers:
            worker.kill()
            worker.wait(60)
