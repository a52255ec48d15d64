"""Every supervised task of an API and of a worker survives a cancellation without a request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from core.access.actor import Actor
from core.access.permissions import Role
from core.ids import encode_global_id
from core.pubsub import log_topic, session_topic
from jobs import SWEEPS, run
from models.accounts import User
from models.campaigns import CampaignStatus
from runtime import Runtime
from services.campaigns.lifecycle import change_status
from tests import factories
from tests.deliveries.conftest import Provider, provider, shared_provider
from tests.deliveries.test_jobs import start_campaign, wait_until_ended, with_short_times
from tests.graphql.probe import with_settings
from tests.graphql.sockets import Socket, connected, settles
from tests.serving import served
from tests.supervision.cancellations import cancel_without_request
from tests.waiting import WAIT_SECONDS, until

__all__ = ["provider", "shared_provider"]

ROUNDS = 3
WATCH = "subscription ($id: ID!) { campaignProgress(campaignId: $id) { status } }"


def supervised_tasks(before: set[asyncio.Task[Any]]) -> dict[str, asyncio.Task[Any]]:
    """The supervisors and runs started since `before`, by name."""
    names = {task.get_name().removesuffix("-run") for task in asyncio.all_tasks() if task.get_name().endswith("-run")}
    return {
        task.get_name(): task
        for task in asyncio.all_tasks() - before
        if task.get_name().removesuffix("-run") in names and not task.done()
    }


async def cancel_each(before: set[asyncio.Task[Any]], names: set[str]) -> None:
    """Cancel each supervisor and each run, without a request; wait until every run has been restarted."""
    for _ in range(ROUNDS):
        tasks = supervised_tasks(before)
        assert names <= tasks.keys()
        for task in tasks.values():
            cancel_without_request(task)
        runs = {name: task for name, task in tasks.items() if name.endswith("-run")}
        await until(partial(restarted, before, runs))
        # These end with their last watcher, and their watchers were cancelled as well.
        watched = ("forwarder ", "pubsub-shared-state")
        lasting = [task for name, task in tasks.items() if name not in runs and not name.startswith(watched)]
        assert [task for task in lasting if task.done()] == []


async def restarted(before: set[asyncio.Task[Any]], runs: dict[str, asyncio.Task[Any]]) -> bool:
    """Whether each run is replaced by another within two seconds.

    A run that has swallowed the cancellation is cancelled again then; not before, as it may still clean up.
    """
    for _ in range(20):
        await asyncio.sleep(0.1)
        now = supervised_tasks(before)
        if all(now.get(name) not in {None, task} for name, task in runs.items()):
            return True
    for task in runs.values():
        if not task.done():
            cancel_without_request(task)
    return False


@pytest.fixture
async def before() -> set[asyncio.Task[Any]]:
    """The tasks that run already; a test requests it before its runtime."""
    return asyncio.all_tasks()


async def test_the_api_survives(before: set[asyncio.Task[Any]], fresh_runtime: Runtime) -> None:
    """Connection, listener, forwarders, budgets, a shared stream and a WebSocket's monitor still do their work."""
    runtime = with_settings(fresh_runtime, realtime={"ping_seconds": 3600.0, "recheck_seconds": 3600.0})
    actor = await factories.organization(runtime)
    token = factories.token(runtime, actor)
    campaign_id = await factories.campaign(runtime, actor)
    with capture_logs() as logs:
        async with served(runtime) as server, connected(server) as socket:
            await socket.ready(token)
            await socket.subscribe(WATCH, variables={"id": encode_global_id("Campaign", campaign_id)})
            assert (await socket.next())["payload"]["data"]["campaignProgress"]["status"] == "DRAFT"
            await settles(lambda: runtime.hub.connected)
            topic = f"forwarder session:{actor.user_id}"
            names = {"pubsub-connection", "pubsub-listener", "budgets", "connection-monitor", "fanout-group", topic}
            await cancel_each(before, {*names, *(f"{name}-run" for name in names)})
            assert runtime.supervisors.ended == ()
            await signals_flow(runtime)
            async with runtime.work.begin(actor) as uow:
                await change_status(uow, campaign_id, CampaignStatus.PREPARING, from_header=factories.FROM)
            while (await socket.next())["payload"]["data"]["campaignProgress"]["status"] != "PREPARING":
                pass
            async with runtime.work.begin(actor) as uow:
                await uow.execute(update(User).values(role=Role.VIEWER))
                uow.publish(session_topic(actor.require_user_id()))
            assert (await socket.closed())[0] == 4403
    logged = {entry.get("task") for entry in logs if "without a request" in entry["event"]}
    assert names - {topic} <= logged  # a forwarder without a watcher at that moment has nothing to restart


async def signals_flow(runtime: Runtime) -> None:
    """Wait until a published signal reaches a watcher."""
    async with asyncio.timeout(WAIT_SECONDS):
        with runtime.hub.watch(log_topic("anything")) as watcher:
            while True:
                await runtime.publisher.publish(log_topic("anything"), b"1")
                signal = await watcher.next(within=1.0)
                if signal is not None and signal.payload == b"1":
                    return


@asynccontextmanager
async def running_worker(runtime: Runtime) -> AsyncIterator[None]:
    """A worker, stopped in the same way as by SIGTERM."""
    stopping = asyncio.Event()
    worker = asyncio.create_task(run(runtime, stopping), name="worker")
    try:
        yield
    finally:
        stopping.set()
        await worker


@pytest.mark.parametrize("by", ["job", "sweep"])
async def test_the_worker_survives(
    before: set[asyncio.Task[Any]], fresh_runtime: Runtime, provider: Provider, by: str
) -> None:
    """Send loops, sweeps and consumer still work: a campaign is sent, found through its job or only by a sweep."""
    settings = with_short_times(fresh_runtime.settings)
    seconds = 3600.0 if by == "job" else 0.2
    settings = settings.model_copy(
        update={"sending": settings.sending.model_copy(update={"sweep_seconds": seconds, "concurrent_batches": 2})}
    )
    runtime = replace(fresh_runtime, settings=settings, mailer=provider.mailer)
    async with running_worker(runtime):
        names = {"send-loop-0", "send-loop-1", "consumer", *(f"sweep: {sweep.name}" for sweep in SWEEPS)}
        await settles(lambda: names <= supervised_tasks(before).keys())
        await cancel_each(before, {*names, *(f"{name}-run" for name in names)})
        assert runtime.supervisors.ended == ()
        actor, campaign_id = await start_campaign(runtime, 60)
        if by == "sweep":
            await runtime.cache.flushdb()
            assert await wait_until_ended(runtime, actor, campaign_id) is CampaignStatus.SENT
        await until(lambda: is_sent(provider, campaign_id))
    assert names.isdisjoint(supervised_tasks(before))


async def is_sent(provider: Provider, campaign_id: UUID) -> bool:
    """Whether the provider has every message; a sweep ends the campaign later."""
    return len(await provider.messages(campaign_id)) == 60


async def test_an_operation_cancelled_without_a_request_ends_with_an_error(runtime: Runtime) -> None:
    """The client is not left waiting: its operation ends with the error INTERNAL."""
    actor = await factories.organization(runtime)
    async with served(runtime) as server, connected(server) as socket:
        await socket.ready(factories.token(runtime, actor))
        await socket.subscribe(WATCH, variables={"id": await draft(runtime, actor)})
        assert (await socket.next())["type"] == "next"
        (operation,) = [task for task in asyncio.all_tasks() if "run_operation" in repr(task.get_coro())]
        cancel_without_request(operation)
        message = await socket.next()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "INTERNAL")
        await answers_pings(socket)


async def draft(runtime: Runtime, actor: Actor) -> str:
    """The global id of a new draft."""
    return encode_global_id("Campaign", await factories.campaign(runtime, actor))


async def answers_pings(socket: Socket) -> None:
    """Check that the connection is still open."""
    await socket.send({"type": "ping"})
    assert (await socket.next())["type"] == "pong"
