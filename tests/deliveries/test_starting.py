"""Scheduled campaigns start once, when they are due, and not if they are unscheduled at that moment."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from core import clock
from core.access.actor import Actor
from core.unit_of_work import UnitOfWork
from jobs.campaigns import advance
from jobs.worker import Worker, build_worker, handles
from models.campaigns import Campaign, CampaignStatus
from runtime import Runtime
from services.campaigns import drafting, sending
from services.campaigns.lifecycle import change_status
from services.campaigns.work import AdvanceCampaign, PrepareCampaign
from services.deliveries.sweeping import advance_campaign, start_due
from tests import factories
from tests.waiting import blocks_another, until

AN_HOUR = timedelta(hours=1)
A_WEEK = timedelta(days=7)


async def scheduled(runtime: Runtime, after: timedelta) -> tuple[Actor, UUID]:
    """A campaign that is scheduled so long from now."""
    owner = await factories.organization(runtime)
    await factories.contacts(runtime, owner, 1)
    campaign_id = await factories.campaign(runtime, owner)
    async with runtime.work.begin(owner) as uow:
        await change_status(
            uow, campaign_id, CampaignStatus.SCHEDULED, scheduled_at=clock.now() + after, from_header=factories.FROM
        )
    return owner, campaign_id


async def status_of(runtime: Runtime, owner: Actor, campaign_id: UUID) -> CampaignStatus | None:
    """The campaign's status; None if it was deleted."""
    rows = await runtime.reads(owner.tenant).rows(select(Campaign.status).where(Campaign.id == campaign_id))
    return CampaignStatus(rows[0].status) if rows else None


async def unschedule(uow: UnitOfWork, campaign_id: UUID) -> None:
    await sending.unschedule(uow, campaign_id)


async def postpone(uow: UnitOfWork, campaign_id: UUID) -> None:
    await sending.unschedule(uow, campaign_id)
    await change_status(uow, campaign_id, CampaignStatus.SCHEDULED, scheduled_at=clock.now() + A_WEEK)


async def delete(uow: UnitOfWork, campaign_id: UUID) -> None:
    await drafting.delete(uow, campaign_id)


@pytest.mark.parametrize(
    ("change", "ends"),
    [(unschedule, CampaignStatus.DRAFT), (postpone, CampaignStatus.SCHEDULED), (delete, None)],
)
async def test_a_concurrent_change_prevents_the_start(
    runtime: Runtime, change: Callable[[UnitOfWork, UUID], Awaitable[None]], ends: CampaignStatus | None
) -> None:
    """The start waits for the user's transaction, and then does nothing, without an error."""
    owner, campaign_id = await scheduled(runtime, -AN_HOUR)
    async with runtime.work.begin(owner) as uow:
        await change(uow, campaign_id)
        starting = asyncio.create_task(advance_campaign(runtime.work, owner, campaign_id))
        await until(lambda: blocks_another(runtime, uow))
        assert not starting.done()
    await starting
    assert await status_of(runtime, owner, campaign_id) == ends


async def test_a_due_campaign_starts_with_one_job(runtime: Runtime) -> None:
    """The job that prepares it is enqueued once."""
    owner, campaign_id = await scheduled(runtime, -AN_HOUR)
    async with runtime.work.begin(owner) as uow:
        await start_due(uow, campaign_id)
        assert uow.jobs == [PrepareCampaign(organization_id=owner.organization_id, campaign_id=campaign_id)]
        uow.jobs.clear()
    assert await status_of(runtime, owner, campaign_id) == CampaignStatus.PREPARING
    async with runtime.work.begin(owner) as uow:
        await start_due(uow, campaign_id)
        assert uow.jobs == []


async def test_starting_a_campaign_starts_no_local_job(runtime: Runtime) -> None:
    """In this process, besides the one that it has enqueued."""
    owner, campaign_id = await scheduled(runtime, -AN_HOUR)
    started: list[PrepareCampaign] = []

    def note(_: Worker, job: PrepareCampaign) -> None:
        started.append(job)

    worker = build_worker(runtime, [handles(PrepareCampaign, note), handles(AdvanceCampaign, advance)])
    await advance(worker, AdvanceCampaign(organization_id=owner.organization_id, campaign_id=campaign_id))
    assert await status_of(runtime, owner, campaign_id) == CampaignStatus.PREPARING
    assert started == []


async def test_a_campaign_that_is_not_due_waits(runtime: Runtime) -> None:
    """The database's clock decides."""
    owner, campaign_id = await scheduled(runtime, AN_HOUR)
    await advance_campaign(runtime.work, owner, campaign_id)
    assert await status_of(runtime, owner, campaign_id) == CampaignStatus.SCHEDULED
