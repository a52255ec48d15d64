"""Events that are applied while the worker still waits for the provider's reply, or has yet to record it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from sqlalchemy.exc import DBAPIError

from integrations.mail import (
    Answered,
    Envelope,
    InDoubt,
    Mailer,
    Message,
    NotSent,
    Outcome,
    ProviderLimits,
    Receipt,
    ReceiptStatus,
    Stream,
)
from models.campaigns import CampaignStatus
from models.deliveries import DeliveryStatus
from runtime import Runtime
from sandbox.ledger import Message as Entry
from services.deliveries.sending import Sender
from tests.deliveries.conftest import Provider
from tests.deliveries.worker import drain, expire_leases, progress, sending, sweep
from tests.webhooks.test_events import event, messages_of, only_status, tell

TOLD = {
    "Delivery": DeliveryStatus.DELIVERED,
    "HardBounce": DeliveryStatus.BOUNCED,
    "SpamComplaint": DeliveryStatus.COMPLAINED,
}
REPLIES: dict[str, Outcome | None] = {
    "as it came": None,
    "lost": InDoubt(reason="The reply was lost."),
    "lost and in progress": InDoubt(reason="The reply was lost.", in_progress=True),
    "denied": NotSent(reason="Nothing was sent."),
}


@dataclass
class Overtaken:
    """The provider, whose event (if any) is applied before its reply arrives, or another reply in its place."""

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
        """The provider's patience."""
        return self.provider.mailer.timeout_seconds

    @property
    def sender(self) -> str:
        """The installation's own address."""
        return self.provider.mailer.sender

    async def send(self, envelope: Envelope, messages: Sequence[Message], **times: float) -> Outcome:
        """Send, let the events overtake the reply, and give it back."""
        outcome = await self.provider.mailer.send(envelope, messages, **times)
        assert isinstance(outcome, Answered)
        if self.kind is None:
            return self.reply or outcome
        entries = [Entry(**entry) for entry in await self.provider.messages(envelope.campaign_id)]  # type: ignore[arg-type]
        await tell(self.runtime, *(event(self.kind, entry) for entry in entries))
        return self.reply or outcome

    async def find(self, batch_id: str, stream: Stream = Stream.BROADCAST) -> Mapping[str, str]:
        """The provider's search."""
        return await self.provider.mailer.find(batch_id, stream)

    async def aclose(self) -> None:
        """The provider's fixture closes it."""


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("kind", TOLD)
async def test_an_event_before_the_record_is_not_undone(
    runtime: Runtime, provider: Provider, sender: Sender, kind: str, reply: str
) -> None:
    """Whatever the worker then records of its batch, a status that an event has raised stays where it is."""
    actor, _, campaign_id = await sending(runtime, 1)
    overtaken: Mailer = Overtaken(provider, runtime, kind, REPLIES[reply])
    sender.mailer = overtaken
    await sender.send_batch(actor, campaign_id)
    assert await only_status(runtime, actor, campaign_id) is TOLD[kind]
    await expire_leases(runtime, actor, campaign_id)
    await sweep(runtime, provider.mailer, actor, campaign_id)
    assert await only_status(runtime, actor, campaign_id) is TOLD[kind]
    assert (await progress(runtime, actor, campaign_id)).status == CampaignStatus.SENT
    assert len(await provider.messages(campaign_id)) == 1


async def test_what_can_never_be_recorded_is_asked_for(runtime: Runtime, provider: Provider, sender: Sender) -> None:
    """A reply that the database will never take is not tried over and over: the lease ends, the provider is asked."""
    actor, _, campaign_id = await sending(runtime, 1)
    unstorable = Answered(receipts=[Receipt(ReceiptStatus.ACCEPTED, "a\x00b")])
    sender.mailer = Overtaken(provider, runtime, None, unstorable)
    async with asyncio.timeout(60):
        with pytest.raises(DBAPIError):
            await sender.send_batch(actor, campaign_id)
    assert await only_status(runtime, actor, campaign_id) is DeliveryStatus.SUBMITTING
    await expire_leases(runtime, actor, campaign_id)
    await sweep(runtime, provider.mailer, actor, campaign_id)
    assert await only_status(runtime, actor, campaign_id) is DeliveryStatus.ACCEPTED
    assert len(await provider.messages(campaign_id)) == 1


async def test_an_event_before_the_search_is_not_undone(runtime: Runtime, provider: Provider, sender: Sender) -> None:
    """A delivery in doubt that an event has raised is not asked about, and stays delivered."""
    actor, _, campaign_id = await sending(runtime, 1)
    await provider.fail(server_error_after_accept={"count": 1})
    await drain(sender, actor, campaign_id)
    [message] = await messages_of(provider, campaign_id)
    await tell(runtime, event("Delivery", message))
    await expire_leases(runtime, actor, campaign_id)
    await sweep(runtime, sender.mailer, actor, campaign_id)
    assert await only_status(runtime, actor, campaign_id) is DeliveryStatus.DELIVERED
    await sweep(runtime, sender.mailer, actor, campaign_id)
    assert (await progress(runtime, actor, campaign_id)).status == CampaignStatus.SENT
