"""How a worker runs jobs: in the foreground or background, with a maximum of each kind, and follow-up jobs."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from core.ids import new_id
from core.queue import Job
from jobs.campaigns import advance
from jobs.worker import Worker, build_worker, handles
from models.deliveries import DeliveryStatus
from runtime import Runtime
from services.campaigns.work import AdvanceCampaign, PrepareCampaign, ReconcileCampaign, SendBatches
from tests.deliveries.test_sweeping import lease
from tests.deliveries.worker import sending
from tests.waiting import WAIT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(Job):
    """A job that only these tests have."""

    number: UUID


del Job.registry["wait"]


async def test_jobs_of_a_kind_have_a_maximum_of_concurrency(runtime: Runtime) -> None:
    """As declared; the others wait, and are run."""
    released, started = asyncio.Event(), list[UUID]()

    async def wait(_: Worker, job: Wait) -> None:
        started.append(job.number)
        await released.wait()

    worker = build_worker(runtime, [handles(Wait, wait, max_concurrent=2)])
    numbers = [new_id() for _ in range(5)]
    for number in numbers:
        worker.start(Wait(organization_id=new_id(), number=number))
    await asyncio.sleep(0)
    assert started == numbers[:2]
    released.set()
    async with asyncio.timeout(WAIT_SECONDS):
        while worker.tasks.tasks:
            await asyncio.wait(list(worker.tasks.tasks.values()))
    assert started == numbers


async def test_advancing_a_campaign_starts_the_jobs_it_needs_next(runtime: Runtime) -> None:
    """For a campaign with expired leases: a lookup for submitted messages, and sending for the others."""
    actor, contacts, campaign_id = await sending(runtime, 2)
    await lease(runtime, actor, campaign_id, contacts[:1], DeliveryStatus.SUBMITTING, seconds=-1)
    started: list[Job] = []
    kinds = (PrepareCampaign, ReconcileCampaign, SendBatches)
    worker = build_worker(runtime, [handles(kind, lambda _, job: started.append(job)) for kind in kinds])
    ids = {"organization_id": actor.organization_id, "campaign_id": campaign_id}
    await advance(worker, AdvanceCampaign(**ids))
    assert started == [ReconcileCampaign(**ids), SendBatches(**ids)]
