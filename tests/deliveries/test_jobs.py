"""A whole worker in this process: queue, sender and sweeps, with Redis and without."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

import pytest
from redis.asyncio import Redis

from core.access.actor import Actor
from core.queue import QUEUE_NAME, Queue
from core.unit_of_work import Work
from jobs import run
from models.campaigns import CampaignStatus
from runtime import Runtime, secret
from services.campaigns.lifecycle import move
from services.campaigns.progress import read_progress
from services.campaigns.work import PrepareCampaign
from settings import Settings
from tests import factories
from tests.deliveries.conftest import Provider, slowed
from tests.waiting import until

QUICK = {"sweep_seconds": 0.2, "lease_seconds": 60.0, "batch_size": 50, "reconcile_grace_seconds": 0.0}


def hurried(settings: Settings, **redis: str) -> Settings:
    """The settings with short times."""
    changes: dict[str, object] = {"sending": settings.sending.model_copy(update=QUICK)}
    if redis:
        changes["redis"] = type(settings.redis).model_validate(redis)
    return settings.model_copy(update=changes)


@asynccontextmanager
async def worker(runtime: Runtime) -> AsyncIterator[asyncio.Task[None]]:
    """A worker that is stopped as SIGTERM stops it."""
    stopping = asyncio.Event()
    task = asyncio.create_task(run(runtime, stopping))
    try:
        yield task
    finally:
        stopping.set()
        await asyncio.wait_for(task, 60)


async def ended(runtime: Runtime, actor: Actor, campaign_id: UUID, within: float = 60) -> CampaignStatus:
    """Wait until the campaign has ended."""
    async with asyncio.timeout(within):
        while True:
            row = await read_progress(runtime.reads(actor.tenant), campaign_id)
            assert row is not None
            if row.is_final:
                return row.status
            await asyncio.sleep(0.02)


async def ordered(runtime: Runtime, how_many: int) -> tuple[Actor, UUID]:
    """A campaign that somebody has just sent."""
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, how_many)
    campaign_id = await factories.campaign(runtime, actor)
    async with runtime.work.begin(actor) as uow:
        await move(uow, campaign_id, CampaignStatus.PREPARING, from_header=runtime.mailer.sender)
        uow.enqueue(PrepareCampaign(organization_id=actor.organization_id, campaign_id=campaign_id))
    return actor, campaign_id


@pytest.fixture
def quick(fresh_runtime: Runtime, provider: Provider) -> Runtime:
    """A runtime of its own with short times, which sends to the provider."""
    return replace(fresh_runtime, settings=hurried(fresh_runtime.settings), mailer=provider.mailer)


async def begun(tasks: int) -> None:
    """Wait until so many campaigns have begun to be prepared, and not a turn of the loop longer."""
    seen: set[str] = set()
    async with asyncio.timeout(60):
        while len(seen) < tasks:
            await asyncio.sleep(0)
            seen |= {
                task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("prepare_campaign:")
            }


@pytest.mark.parametrize("tasks", range(4))
async def test_a_stopped_worker_leaves_nothing_running(quick: Runtime, tasks: int) -> None:
    """Stopped in the middle of a sweep that starts task after task, it ends only when all of them have ended."""
    for _ in range(8):
        await ordered(quick, 3)
    before, stopping = asyncio.all_tasks(), asyncio.Event()
    task = asyncio.create_task(run(quick, stopping))
    await begun(tasks)
    stopping.set()
    await asyncio.wait_for(task, 60)
    assert asyncio.all_tasks() - before == set()


@pytest.mark.parametrize("times", [1, 2])
async def test_a_worker_that_is_cut_off_leaves_nothing_running(quick: Runtime, times: int) -> None:
    """Cancelled, once or again while it ends its loops, it ends its background tasks too."""
    for _ in range(8):
        await ordered(quick, 3)
    before = asyncio.all_tasks()
    task = asyncio.create_task(run(quick, asyncio.Event()))
    await begun(1)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([task], timeout=60)
    assert task.cancelled()
    assert asyncio.all_tasks() - before == set()


async def test_a_worker_sends_a_campaign(quick: Runtime, provider: Provider) -> None:
    """A worker prepares, sends and ends an announced campaign, and stops when told to."""
    async with worker(quick):
        actor, campaign_id = await ordered(quick, 120)
        assert await ended(quick, actor, campaign_id) is CampaignStatus.SENT
    assert len(await provider.ledger(campaign_id)) == 120


async def test_a_job_that_was_run_leaves_nothing_in_redis(quick: Runtime) -> None:
    """Nobody asks for results, which would fill the memory of a server that holds nothing else for long."""
    async with Redis.from_url(secret(quick.settings.redis.url)) as redis:
        await ordered(quick, 1)
        assert await redis.zcard(QUEUE_NAME) > 0

        async def all_are_taken() -> bool:
            return not await redis.zcard(QUEUE_NAME)

        async with worker(quick):
            await until(all_are_taken)
        assert [key async for key in redis.scan_iter("arq:result:*")] == []


async def test_a_worker_needs_no_redis(quick: Runtime, provider: Provider) -> None:
    """With Redis away from start to end, the sweeper alone carries a campaign to its end."""
    nowhere = "redis://127.0.0.1:9/0"
    queue = Queue(nowhere)
    runtime = replace(
        quick,
        settings=hurried(quick.settings, url=nowhere),
        queue=queue,
        work=Work(quick.engine, queue, quick.publisher),
    )
    async with worker(runtime):
        actor, campaign_id = await ordered(runtime, 60)
        assert await ended(runtime, actor, campaign_id) is CampaignStatus.SENT
    assert len(await provider.ledger(campaign_id)) == 60


async def test_a_small_campaign_is_not_held_up_by_a_large_one(quick: Runtime, provider: Provider) -> None:
    """Batches go round-robin over organizations: the small campaign ends long before the large one."""
    large, large_id = await ordered(quick, 3_000)
    small, small_id = await ordered(quick, 30)
    async with worker(quick):
        await ended(quick, small, small_id)
        row = await read_progress(quick.reads(large.tenant), large_id)
        assert row is not None
        assert row.counts.accepted < 3_000
        assert await ended(quick, large, large_id, 120) is CampaignStatus.SENT
    assert len(await provider.ledger(large_id)) == 3_000


async def test_a_rate_is_kept(quick: Runtime, provider: Provider) -> None:
    """With 100 messages a second allowed, 150 take a second at least."""
    runtime = replace(quick, mailer=slowed(provider, 100))
    actor, campaign_id = await ordered(runtime, 150)
    started = asyncio.get_running_loop().time()
    async with worker(runtime):
        assert await ended(runtime, actor, campaign_id) is CampaignStatus.SENT
    assert asyncio.get_running_loop().time() - started >= 1.0
    assert len(await provider.ledger(campaign_id)) == 150
