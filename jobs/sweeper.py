"""Every few seconds, from the rows alone: whatever a lost ring, a dead worker or a clock has left to do."""

import asyncio
from time import monotonic

from core.deadlines import sleep_unless
from core.telemetry import logger
from jobs.conversations import start_abandoned
from jobs.deliveries import start_applying, start_preparing, start_reconciling
from jobs.outbox import start_sending_due
from jobs.workshop import Workshop
from models.campaigns import CampaignStatus
from services.deliveries.sweeping import LiveCampaign, ensure_partitions, live_campaigns, tend
from services.retention import delete_expired

PARTITIONS_EVERY_SECONDS = 86_400.0
log = logger(__name__)


class Sweeper:
    """The sweeper of a process. All processes look what there is to send; one at a time tends the rest."""

    def __init__(self, shop: Workshop, stopping: asyncio.Event) -> None:
        self.shop = shop
        self.stopping = stopping
        self.partitions_due = 0.0

    async def run(self) -> None:
        """Sweep until stopped. A sweep that fails is logged, and the next one comes."""
        while not self.stopping.is_set():
            try:
                await self.sweep()
            except Exception:
                # The database may be away for a while; the sweeper is what gets things going again afterwards.
                log.exception("sweep failed")
            await sleep_unless(self.stopping, self.shop.settings.sending.sweep_seconds)

    async def sweep(self) -> None:
        """One round."""
        live = await live_campaigns(self.shop.runtime.system)
        for campaign in live:
            if campaign.status is CampaignStatus.SENDING:
                self.shop.sender.ring(campaign.organization_id, campaign.campaign_id)
        async with self.shop.runtime.work.alone("sweeper") as alone:
            if alone:
                await self.tend_all(live)

    async def tend_all(self, live: list[LiveCampaign]) -> None:
        """What only one process does at a time."""
        if monotonic() >= self.partitions_due:
            made = await ensure_partitions(self.shop.runtime.system)
            self.partitions_due = monotonic() + PARTITIONS_EVERY_SECONDS
            log.info("partitions looked after", made=made)
            log.info("expired rows deleted", rows=await delete_expired(self.shop.runtime.system))
        for campaign in live:
            if self.stopping.is_set():  # the rest may take minutes; another process sweeps it
                return
            await self.tend_one(campaign)
        start_applying(self.shop)
        await start_abandoned(self.shop)
        await start_sending_due(self.shop)

    async def tend_one(self, campaign: LiveCampaign) -> None:
        """Tend a campaign, and start what it needs; one in trouble does not keep the others waiting."""
        actor = campaign.actor
        try:
            tended = await tend(self.shop.runtime.work, actor, campaign.campaign_id)
        except Exception:
            # As above: the next round tries again, and the other campaigns get theirs now.
            log.exception("campaign not tended", campaign_id=str(campaign.campaign_id))
            return
        if tended.status in (CampaignStatus.PREPARING, CampaignStatus.SCHEDULED):
            start_preparing(self.shop, actor, campaign.campaign_id)
        if tended.unknown:
            start_reconciling(self.shop, actor, campaign.campaign_id)
        if tended.status is CampaignStatus.SENDING and tended.pending:
            self.shop.sender.ring(campaign.organization_id, campaign.campaign_id)
