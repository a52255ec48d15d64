"""A whole worker in this process: queue, sender and sweeps, with and without Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

import pytest
from redis.asyncio import Redis

from core.access.actor import Actor
from core.database.scopes import SystemScope
from core.queue import QUEUE_NAME, Queue
from core.unit_of_work import Work
from jobs import run
from models.campaigns import CampaignStatus
from runtime import Runtime, secret
from services.campaigns.lifecycle import change_status
from services.campaigns.progress import read_progress
from services.campaigns.work import PrepareCampaign
from services.mailing.pacing import reserve
from settings import Settings
from tests import factories
from tests.deliveries.conftest import Provider, rate_limited_mailer
from tests.waiting import until

SHORT_TIMES = {"sweep_seconds": 0.2, "lease_seconds": 60.0, "batch_size": 50, "reconcile_grace_seconds": 0.0}


def with_short_times(settings: Settings, **redis: str) -> Settings:
    """The settings with short times."""
    changes: dict[str, object] = {"sending": settings.sending.model_copy(update=SHORT_TIMES)}
    if redis:
        changes["redis"] = type(settings.redis).model_validate(redis)
    return settings.model_copy(update=changes)


@asynccontextmanager
async def worker(runtime: Runtime) -> AsyncIterator[asyncio.Task[None]]:
    """A worker that is stopped as by SIGTERM."""
    stopping = asyncio.Event()
    task = asyncio.create_task(run(runtime, stopping))
    try:
        yield task
    finally:
        stopping.set()
        await asyncio.wait_for(task, 60)


async def wait_until_ended(runtime: Runtime, actor: Actor, campaign_id: UUID, within: float = 60) -> CampaignStatus:
    """Wait until the campaign has ended."""
    async with asyncio.timeout(within):
        while True:
            row = await read_progress(runtime.reads(actor.tenant), campaign_id)
            assert row is not None
            if row.is_final:
                return row.status
            await asyncio.sleep(0.02)


async def start_campaign(runtime: Runtime, how_many: int) -> tuple[Actor, UUID]:
    """Start a campaign, as `sendCampaign` does."""
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, how_many)
    campaign_id = await factories.campaign(runtime, actor)
    async with runtime.work.begin(actor) as uow:
        await change_status(uow, campaign_id, CampaignStatus.PREPARING, from_header=runtime.mailer.sender)
        uow.enqueue(PrepareCampaign(organization_id=actor.organization_id, campaign_id=campaign_id))
    return actor, campaign_id


@pytest.fixture
def quick_runtime(fresh_runtime: Runtime, provider: Provider) -> Runtime:
    """A runtime with short times, which sends to the provider."""
    return replace(fresh_runtime, settings=with_short_times(fresh_runtime.settings), mailer=provider.mailer)


async def wait_until_started(tasks: int) -> None:
    """Wait until the number of tasks have started, checking in each iteration of the event loop."""
    started_names: set[str] = set()
    async with asyncio.timeout(60):
        while len(started_names) < tasks:
            await asyncio.sleep(0)
            started_names |= {
                task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("prepare_campaign:")
            }


@pytest.mark.parametrize("tasks", range(4))
async def test_a_stopped_worker_leaves_nothing_running(quick_runtime: Runtime, tasks: int) -> None:
    """Stopped during a sweep that starts many tasks, it waits for all of them."""
    for _ in range(8):
        await start_campaign(quick_runtime, 3)
    before, stopping = asyncio.all_tasks(), asyncio.Event()
    task = asyncio.create_task(run(quick_runtime, stopping))
    await wait_until_started(tasks)
    stopping.set()
    await asyncio.wait_for(task, 60)
    assert asyncio.all_tasks() - before == set()


@pytest.mark.parametrize("times", [1, 2])
async def test_a_cancelled_worker_leaves_nothing_running(quick_runtime: Runtime, times: int) -> None:
    """Cancelled once, or again while it stops, it ends its background tasks too."""
    for _ in range(8):
        await start_campaign(quick_runtime, 3)
    before = asyncio.all_tasks()
    task = asyncio.create_task(run(quick_runtime, asyncio.Event()))
    await wait_until_started(1)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([task], timeout=60)
    assert task.cancelled()
    assert asyncio.all_tasks() - before == set()


async def test_a_worker_sends_a_campaign(quick_runtime: Runtime, provider: Provider) -> None:
    """It prepares, sends and finishes a campaign from its job, and stops on request."""
    async with worker(quick_runtime):
        actor, campaign_id = await start_campaign(quick_runtime, 120)
        assert await wait_until_ended(quick_runtime, actor, campaign_id) is CampaignStatus.SENT
    assert len(await provider.messages(campaign_id)) == 120


async def test_finished_jobs_leave_nothing_in_redis(quick_runtime: Runtime) -> None:
    """Results are not stored, because they would fill Redis."""
    async with Redis.from_url(secret(quick_runtime.settings.redis.url)) as redis:
        await start_campaign(quick_runtime, 1)
        assert await redis.zcard(QUEUE_NAME) > 0

        async def queue_is_empty() -> bool:
            return not await redis.zcard(QUEUE_NAME)

        async with worker(quick_runtime):
            await until(queue_is_empty)
        assert [key async for key in redis.scan_iter("arq:result:*")] == []


async def test_a_worker_works_without_redis(quick_runtime: Runtime, provider: Provider) -> None:
    """With Redis unavailable all the time, the sweeps alone send and finish a campaign."""
    unreachable = "redis://127.0.0.1:9/0"
    queue = Queue(unreachable)
    runtime = replace(
        quick_runtime,
        settings=with_short_times(quick_runtime.settings, url=unreachable),
        queue=queue,
        work=Work(quick_runtime.engine, queue, quick_runtime.publisher),
    )
    async with worker(runtime):
        actor, campaign_id = await start_campaign(runtime, 60)
        assert await wait_until_ended(runtime, actor, campaign_id) is CampaignStatus.SENT
    assert len(await provider.messages(campaign_id)) == 60


async def test_a_large_campaign_does_not_delay_a_small_one(quick_runtime: Runtime, provider: Provider) -> None:
    """Batches are round-robin over organizations: the small campaign ends long before the large one."""
    large, large_id = await start_campaign(quick_runtime, 3_000)
    small, small_id = await start_campaign(quick_runtime, 30)
    async with worker(quick_runtime):
        await wait_until_ended(quick_runtime, small, small_id)
        row = await read_progress(quick_runtime.reads(large.tenant), large_id)
        assert row is not None
        assert row.counts.accepted < 3_000
        assert await wait_until_ended(quick_runtime, large, large_id, 120) is CampaignStatus.SENT
    assert len(await provider.messages(large_id)) == 3_000


async def test_the_rate_limit_is_respected(
    quick_runtime: Runtime, provider: Provider, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch reserves messages of the account's rate, and waits for the time that the reservation returns."""
    runtime = replace(quick_runtime, mailer=rate_limited_mailer(provider, 5))
    reserved: list[tuple[int, float]] = []

    async def recording_reserve(system: SystemScope, account: str, messages: int, per_second: float) -> float:
        reserved.append((messages, await reserve(system, account, messages, per_second)))
        return reserved[-1][1]

    monkeypatch.setattr("services.deliveries.sending.reserve", recording_reserve)
    actor, campaign_id = await start_campaign(runtime, 30)
    async with worker(runtime):
        assert await wait_until_ended(runtime, actor, campaign_id) is CampaignStatus.SENT
    assert len(await provider.messages(campaign_id)) == 30
    assert sum(messages for messages, _ in reserved) == 30
    assert max(messages for messages, _ in reserved) == 5
    assert sorted(waits) == sorted(wait for messages, wait in reserved if messages > 0 and wait > 0)
