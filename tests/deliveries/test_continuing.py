"""A campaign always continues, or has a reason: wrong counters, long cancellations, failures, no sender."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import update

from core.access.actor import Actor
from core.database.clock import now_plus
from core.ids import new_id
from jobs import JOBS
from jobs.worker import build_worker
from models.campaigns import Campaign, CampaignStats, CampaignStatus
from models.deliveries import DeliveryStatus, EmailDelivery
from runtime import Runtime
from services.campaigns.progress import read_progress
from services.campaigns.work import AdvanceCampaign
from services.deliveries import sweeping
from services.deliveries.counting import counts_missing_pending, differences
from services.deliveries.sending import NO_SENDER, BatchResult, CampaignSender
from services.deliveries.sweeping import advance_campaign
from tests import factories
from tests.deliveries.conftest import Provider
from tests.deliveries.test_sweeping import needs_of
from tests.deliveries.worker import drain, go, progress, sending, start, statuses
from tests.waiting import WAIT_SECONDS, until

OPEN = {
    DeliveryStatus.PENDING: {"status": DeliveryStatus.PENDING},
    DeliveryStatus.CLAIMED: {"status": DeliveryStatus.CLAIMED, "lease_token": new_id(), "lease_until": now_plus(60)},
    DeliveryStatus.UNKNOWN: {"status": DeliveryStatus.UNKNOWN, "batch_id": new_id(), "next_lookup_at": now_plus(60)},
}


async def add_pending_to_counters(runtime: Runtime, owner: Actor, campaign_id: UUID) -> None:
    """Add a pending message to the counters for which there is no row."""
    async with runtime.work.begin(owner) as uow:
        await uow.execute(
            update(CampaignStats)
            .where(CampaignStats.campaign_id == campaign_id)
            .values(pending=CampaignStats.pending + 1)
        )


async def status_of(runtime: Runtime, owner: Actor, campaign_id: UUID) -> CampaignStatus:
    """The campaign's status, independent of its counters."""
    row = await read_progress(runtime.reads(owner.tenant), campaign_id)
    assert row is not None
    return row.status


async def test_an_empty_claim_corrects_counters_that_are_too_high(runtime: Runtime, sender: CampaignSender) -> None:
    """Otherwise the campaign would not finish, as pending messages are sent, and not swept."""
    owner, _, campaign_id = await sending(runtime, 2)
    await add_pending_to_counters(runtime, owner, campaign_id)
    await drain(sender, owner, campaign_id)
    assert await differences(runtime.reads(owner.tenant), campaign_id) == {}
    await advance_campaign(runtime.work, owner, campaign_id)
    assert await status_of(runtime, owner, campaign_id) == CampaignStatus.SENT


@pytest.mark.parametrize("status", list(OPEN))
async def test_the_sweep_corrects_counters_that_are_too_low(runtime: Runtime, status: DeliveryStatus) -> None:
    """By the counters nothing is open; after the correction the sweeps find the open deliveries."""
    owner, _, campaign_id = await sending(runtime, 1)
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(EmailDelivery).where(EmailDelivery.campaign_id == campaign_id).values(OPEN[status]))
        await uow.execute(
            update(CampaignStats)
            .where(CampaignStats.campaign_id == campaign_id)
            .values(pending=0, in_flight=0, unknown=0)
        )
    assert "advance" in await needs_of(runtime, campaign_id)
    await advance_campaign(runtime.work, owner, campaign_id)
    assert await differences(runtime.reads(owner.tenant), campaign_id) == {}
    assert await status_of(runtime, owner, campaign_id) == CampaignStatus.SENDING
    assert await statuses(runtime, owner, campaign_id) != {}


async def test_correct_counters_are_not_verified_again(
    runtime: Runtime, sender: CampaignSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting is slow for a large campaign, so an empty claim, or a locked row, is no reason for it."""
    owner, _, campaign_id = await sending(runtime, 2)
    assert not await counts_missing_pending(runtime.reads(owner.tenant), campaign_id)
    monkeypatch.setattr("services.deliveries.sending.verify_counts", None)
    await drain(sender, owner, campaign_id)
    assert not (await sender.send_batch(owner, campaign_id)).claimed


async def test_a_cancelled_campaign_ends_despite_wrong_counters(runtime: Runtime) -> None:
    """The first round skips the deliveries, the second one finds none and corrects the counters."""
    owner, _, campaign_id = await sending(runtime, 2)
    await add_pending_to_counters(runtime, owner, campaign_id)
    await go(runtime, owner, campaign_id, CampaignStatus.CANCELLING)
    for _ in range(2):
        await advance_campaign(runtime.work, owner, campaign_id)
    assert await status_of(runtime, owner, campaign_id) == CampaignStatus.CANCELLED
    assert await differences(runtime.reads(owner.tenant), campaign_id) == {}


async def test_one_job_cancels_a_large_campaign(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a sweep for each page, and while another campaign has many messages to send."""
    monkeypatch.setattr(sweeping, "CANCEL_PAGE", 2)
    owner, _, other = await sending(runtime, 7)
    campaign_id = await factories.campaign(runtime, owner)
    await start(runtime, owner, campaign_id)
    await go(runtime, owner, campaign_id, CampaignStatus.CANCELLING)
    worker = build_worker(runtime, JOBS)
    worker.start(AdvanceCampaign(organization_id=owner.organization_id, campaign_id=campaign_id))

    async def is_idle() -> bool:
        return not worker.tasks.tasks

    await until(is_idle)
    statuses = [(await progress(runtime, owner, each)).status for each in (campaign_id, other)]
    assert statuses == [CampaignStatus.CANCELLED, CampaignStatus.SENDING]


async def test_a_failing_campaign_does_not_delay_others(
    runtime: Runtime, sender: CampaignSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is removed from the scheduler until a sweep adds it; the other's batches are sent meanwhile."""
    bad, _, failing = await sending(runtime, 1)
    good, _, other = await sending(runtime, 3)
    attempts: list[UUID] = []
    send_batch = CampaignSender.send_batch

    async def send_or_fail(subject: CampaignSender, actor: Actor, campaign_id: UUID) -> BatchResult:
        attempts.append(campaign_id)
        if campaign_id == failing:
            raise RuntimeError("no")
        return await send_batch(subject, actor, campaign_id)

    monkeypatch.setattr(CampaignSender, "send_batch", send_or_fail)
    sender.settings = sender.settings.model_copy(update={"batch_size": 1})
    sender.add(bad.organization_id, failing)
    sender.add(good.organization_id, other)
    loop = asyncio.create_task(sender.send_loop())

    async def is_idle() -> bool:
        return not sender.scheduler.organizations

    await until(is_idle)
    assert (attempts.count(failing), attempts.count(other)) == (1, 4)
    sender.add(bad.organization_id, failing)

    async def is_back() -> bool:
        return attempts.count(failing) == 2

    await until(is_back)
    sender.stop()
    await asyncio.wait_for(loop, WAIT_SECONDS)


async def test_a_campaign_without_a_sender_is_paused(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """No message is sent from another address; the campaign has the reason."""
    owner, _, campaign_id = await sending(runtime, 1)
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(from_header=None))
    await drain(sender, owner, campaign_id)
    now = await progress(runtime, owner, campaign_id)
    assert (now.status, now.status_reason) == (CampaignStatus.PAUSED, NO_SENDER)
    assert set((await statuses(runtime, owner, campaign_id)).values()) == {"pending"}
    assert await provider.messages(campaign_id) == []
