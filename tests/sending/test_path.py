"""From a draft to the provider's ledger: prepare, claim, submit, record."""

from uuid import UUID

from core.permissions import Principal
from models.campaigns import CampaignStatus
from services.deliveries.preparing import prepare
from services.deliveries.progress import ProgressRow, read_progress
from services.deliveries.sending import Sender
from services.deliveries.states import move
from services.runtime import Runtime
from tests import factories
from tests.sending.conftest import Provider


async def start(runtime: Runtime, principal: Principal, campaign_id: UUID) -> None:
    """Send a draft: what the mutation does, and the audience frozen."""
    async with runtime.work.begin(principal.tenant) as uow:
        await move(uow, campaign_id, CampaignStatus.PREPARING)
    assert await prepare(runtime.work, principal.tenant, campaign_id)


async def drain(sender: Sender, principal: Principal, campaign_id: UUID) -> int:
    """Send batch after batch until nothing is pending; how many recipients were claimed."""
    total = 0
    while (batch := await sender.send_batch(principal.tenant, campaign_id)).claimed:
        total += batch.claimed
    return total


async def progress(runtime: Runtime, principal: Principal, campaign_id: UUID) -> ProgressRow:
    """The campaign's progress, adding up."""
    row = await read_progress(runtime.reads(principal.tenant), campaign_id)
    assert row is not None
    assert sum(row.counts) == 2 * row.counts.audience
    return row


async def test_every_recipient_gets_one_message(runtime: Runtime, provider: Provider, sender: Sender) -> None:
    """A campaign to 1,203 contacts puts exactly one message for each into the provider's ledger."""
    principal = await factories.organization(runtime)
    contacts = await factories.contacts(runtime, principal, 1_203)
    campaign_id = await factories.campaign(runtime, principal)
    await start(runtime, principal, campaign_id)
    assert await drain(sender, principal, campaign_id) == len(contacts)
    ledger = await provider.ledger(campaign_id)
    assert len(ledger) == len({message["to"] for message in ledger}) == len(contacts)
    now = await progress(runtime, principal, campaign_id)
    assert now.status is CampaignStatus.SENDING
    assert now.counts.accepted == now.counts.audience == len(contacts)
