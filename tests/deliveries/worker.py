"""The steps of a worker process and its sweeps, one by one, without waiting."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import select, update

from core.access.actor import Actor
from integrations.mail import Mailer
from jobs.worker import build_worker
from models.campaigns import CampaignStatus
from models.deliveries import DeliveryStatus, EmailDelivery
from runtime import Runtime
from services.campaigns.lifecycle import change_status
from services.campaigns.progress import ProgressRow, read_progress
from services.deliveries.counting import differences
from services.deliveries.preparing import prepare
from services.deliveries.reconciling import reconcile
from services.deliveries.sending import CampaignSender
from services.deliveries.sweeping import advance_campaign
from settings import Settings
from tests import factories

ROUNDS = 20


def build_sender(runtime: Runtime, mailer: Mailer, settings: Settings | None = None) -> CampaignSender:
    """The sender of a worker process, with this mailer."""
    return build_worker(replace(runtime, mailer=mailer, settings=settings or runtime.settings), []).sender


async def sending(runtime: Runtime, how_many: int) -> tuple[Actor, list[UUID], UUID]:
    """A new organization's campaign in `sending`, with this number of contacts."""
    actor = await factories.organization(runtime)
    contacts = await factories.contacts(runtime, actor, how_many)
    campaign_id = await factories.campaign(runtime, actor)
    await start(runtime, actor, campaign_id)
    return actor, contacts, campaign_id


async def start(runtime: Runtime, actor: Actor, campaign_id: UUID) -> None:
    """Send a draft as the mutation does, and prepare it."""
    async with runtime.work.begin(actor) as uow:
        await change_status(uow, campaign_id, CampaignStatus.PREPARING, from_header=factories.FROM)
    assert await prepare(runtime.work, actor, campaign_id)


async def go(runtime: Runtime, actor: Actor, campaign_id: UUID, to: CampaignStatus) -> None:
    """Change the status of a campaign, as a mutation does."""
    async with runtime.work.begin(actor) as uow:
        await change_status(uow, campaign_id, to)


async def drain(sender: CampaignSender, actor: Actor, campaign_id: UUID) -> int:
    """Send batches until nothing is pending or the provider fails; returns the number of claimed deliveries."""
    total = 0
    for _ in range(ROUNDS):
        batch = await sender.send_batch(actor, campaign_id)
        total += batch.claimed
        if not batch.claimed or sender.backoff.failures:
            break
    return total


async def sweep(runtime: Runtime, mailer: Mailer, actor: Actor, campaign_id: UUID) -> None:
    """One round of the sweeps for a campaign, with no grace period."""
    await advance_campaign(runtime.work, actor, campaign_id)
    await reconcile(runtime.work, mailer, actor, campaign_id, grace_seconds=0)


async def expire_leases(runtime: Runtime, actor: Actor, campaign_id: UUID) -> None:
    """Let every lease expire, and every lookup be due."""
    async with runtime.work.begin(actor) as uow:
        await uow.execute(
            update(EmailDelivery)
            .where(EmailDelivery.campaign_id == campaign_id, EmailDelivery.lease_until.is_not(None))
            .values(lease_until=EmailDelivery.created_at)
        )
        await uow.execute(
            update(EmailDelivery)
            .where(EmailDelivery.campaign_id == campaign_id, EmailDelivery.next_lookup_at.is_not(None))
            .values(next_lookup_at=EmailDelivery.created_at)
        )


async def finish(runtime: Runtime, sender: CampaignSender, actor: Actor, campaign_id: UUID) -> ProgressRow:
    """Send and sweep until the campaign has ended."""
    now = await progress(runtime, actor, campaign_id)
    for _ in range(ROUNDS):
        sender.backoff.until = 0.0
        await drain(sender, actor, campaign_id)
        await expire_leases(runtime, actor, campaign_id)
        await sweep(runtime, sender.mailer, actor, campaign_id)
        now = await progress(runtime, actor, campaign_id)
        if now.is_final:
            return now
    raise AssertionError(f"the campaign does not end: {now}")


async def progress(runtime: Runtime, actor: Actor, campaign_id: UUID) -> ProgressRow:
    """The campaign's progress, after checking its sums against its deliveries."""
    row = await read_progress(runtime.reads(actor.tenant), campaign_id)
    assert row is not None
    assert sum(row.counts) == 2 * row.counts.audience
    assert await differences(runtime.reads(actor.tenant), campaign_id) == {}
    return row


async def statuses(runtime: Runtime, actor: Actor, campaign_id: UUID) -> dict[UUID, DeliveryStatus]:
    """The status of every delivery, by contact."""
    rows = await runtime.reads(actor.tenant).rows(
        select(EmailDelivery.contact_id, EmailDelivery.status).where(EmailDelivery.campaign_id == campaign_id)
    )
    return {row.contact_id: DeliveryStatus(row.status) for row in rows}


def recipients(messages: Sequence[dict[str, object]]) -> list[object]:
    """The addresses of the provider's messages, one for each message."""
    return [message["to"] for message in messages]
