"""Events that are applied before the worker gets the provider's response, or before it is recorded."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from sqlalchemy.exc import DBAPIError

from integrations.mail import (
    BatchHeader,
    BatchProcessed,
    InDoubt,
    Mailer,
    Message,
    NotSent,
    Outcome,
    ProviderLimits,
    Stream,
    SubmissionResult,
    SubmissionStatus,
)
from models.campaigns import CampaignStatus
from models.deliveries import DeliveryStatus
from runtime import Runtime
from sandbox.ledger import AcceptedMessage as Entry
from services.deliveries.sending import CampaignSender
from tests.deliveries.conftest import Provider
from tests.deliveries.worker import drain, expire_leases, progress, sending, sweep
from tests.webhooks.test_events import deliver_events, event, messages_of, only_status

STATUSES = {
    "Delivery": DeliveryStatus.DELIVERED,
    "HardBounce": DeliveryStatus.BOUNCED,
    "SpamComplaint": DeliveryStatus.COMPLAINED,
}
REPLIES: dict[str, Outcome | None] = {
    "as it came": None,
    "lost": InDoubt(reason="The response was lost."),
    "lost and in progress": InDoubt(reason="The response was lost.", in_progress=True),
    "denied": NotSent(reason="Nothing was sent."),
}


@dataclass
class EarlyEventsMailer:
    """The provider, whose events are applied before its response is returned, or another response in its place."""

    provider: Provider
    runtime: Runtime
    kind: str | None
    reply: Outcome | None = None

    @property
    def name(self) -> str:
        """The provider's name."""
        return self.provider.mailer.name

    @property
    def account(self) -> str:
        """The provider's account."""
        return self.provider.mailer.account

    @property
    def limits(self) -> ProviderLimits:
        """The provider's limits."""
        return self.provider.mailer.limits

    @property
    def timeout_seconds(self) -> float:
        """The provider's timeout."""
        return self.provider.mailer.timeout_seconds

    @property
    def sender(self) -> str:
        """The installation's sender address."""
        return self.provider.mailer.sender

    async def send(self, header: BatchHeader, messages: Sequence[Message], **times: float) -> Outcome:
        """Send, apply the events, and return the response."""
        outcome = await self.provider.mailer.send(header, messages, **times)
        assert isinstance(outcome, BatchProcessed)
        if self.kind is None:
            return self.reply or outcome
        entries = [Entry(**entry) for entry in await self.provider.messages(header.campaign_id)]  # type: ignore[arg-type]
        await deliver_events(self.runtime, *(event(self.kind, entry) for entry in entries))
        return self.reply or outcome

    async def search_batch(self, batch_id: str, stream: Stream = Stream.BROADCAST) -> Mapping[str, str]:
        """The provider's search."""
        return await self.provider.mailer.search_batch(batch_id, stream)

    async def aclose(self) -> None:
        """The provider's fixture closes it."""


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("kind", STATUSES)
async def test_recording_does_not_lower_a_status(
    runtime: Runtime, provider: Provider, sender: CampaignSender, kind: str, reply: str
) -> None:
    """A status that an event has advanced stays, with any outcome that the worker records afterwards."""
    actor, _, campaign_id = await sending(runtime, 1)
    overtaken: Mailer = EarlyEventsMailer(provider, runtime, kind, REPLIES[reply])
    sender.mailer = overtaken
    await sender.send_batch(actor, campaign_id)
    assert await only_status(runtime, actor, campaign_id) is STATUSES[kind]
    await expire_leases(runtime, actor, campaign_id)
    await sweep(runtime, provider.mailer, actor, campaign_id)
    assert await only_status(runtime, actor, campaign_id) is STATUSES[kind]
    assert (await progress(runtime, actor, campaign_id)).status == CampaignStatus.SENT
    assert len(await provider.messages(campaign_id)) == 1


async def test_a_response_that_cannot_be_recorded_is_looked_up(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """Recording is not retried for ever: the lease expires, and the message is looked up."""
    actor, _, campaign_id = await sending(runtime, 1)
    unstorable = BatchProcessed(results=[SubmissionResult(SubmissionStatus.ACCEPTED, "a\x00b")])
    sender.mailer = EarlyEventsMailer(provider, runtime, None, unstorable)
    async with asyncio.timeout(60):
        with pytest.raises(DBAPIError):
            await sender.send_batch(actor, campaign_id)
    assert await only_status(runtime, actor, campaign_id) is DeliveryStatus.SUBMITTING
    await expire_leases(runtime, actor, campaign_id)
    await sweep(runtime, provider.mailer, actor, campaign_id)
    assert await only_status(runtime, actor, campaign_id) is DeliveryStatus.ACCEPTED
    assert len(await provider.messages(campaign_id)) == 1


async def test_a_lookup_does_not_lower_a_status(runtime: Runtime, provider: Provider, sender: CampaignSender) -> None:
    """A delivery in doubt that an event has advanced is not looked up, and stays delivered."""
    actor, _, campaign_id = await sending(runtime, 1)
    await provider.fail(server_error_after_accept={"count": 1})
    await drain(sender, actor, campaign_id)
    [message] = await messages_of(provider, campaign_id)
    await deliver_events(runtime, event("Delivery", message))
    await expire_leases(runtime, actor, campaign_id)
    await sweep(runtime, sender.mailer, actor, campaign_id)
    assert await only_status(runtime, actor, campaign_id) is DeliveryStatus.DELIVERED
    await sweep(runtime, sender.mailer, actor, campaign_id)
    assert (await progress(runtime, actor, campaign_id)).status == CampaignStatus.SENT
