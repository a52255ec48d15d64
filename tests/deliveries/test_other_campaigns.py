"""A change of one campaign affects no other campaign of the organization.

Row Level Security separates organizations; campaigns are only separated by the conditions of each statement.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import pytest
from sqlalchemy import Row, select, update

from core import clock
from core.access.actor import Actor
from core.database.clock import now_plus
from core.ids import new_id
from models.campaigns import Campaign, CampaignRecipient, CampaignStats, CampaignStatus, OnDoubt
from models.deliveries import DeliveryResolution, DeliveryStatus, EmailDelivery
from runtime import Runtime
from services.campaigns import drafting, lifecycle
from services.campaigns import sending as orders
from services.campaigns.audience import AudienceInput
from services.deliveries.counting import verify_counts
from services.deliveries.preparing import prepare
from services.deliveries.reconciling import reconcile
from services.deliveries.resolving import resolve
from services.deliveries.sending import CampaignSender
from services.deliveries.sweeping import advance_campaign, clear_waiting_reason
from services.features import Feature, Features
from services.mailing.lookups import MAX_LOOKUPS
from services.suppressions.unsubscribing import UnsubscribeLink, unsubscribe
from tests import factories
from tests.deliveries.model import ModelMailer
from tests.deliveries.worker import drain, expire_leases, go, start
from tests.deliveries.world import webhook
from tests.inbox import apply_inbox, deliver

PEOPLE: Final = 3
WITHOUT_SENDING: Final = Features(off=frozenset({Feature.SENDING}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """An organization with contacts, and the parts that send its mail."""

    runtime: Runtime
    actor: Actor
    sender: CampaignSender
    mailer: ModelMailer

    async def deliveries(self, campaign_id: UUID) -> Sequence[Row[Any]]:
        """The campaign's deliveries."""
        columns = EmailDelivery.__table__.c
        mine = select(*columns).where(columns.campaign_id == campaign_id).order_by(columns.id)
        return await self.runtime.reads(self.actor.tenant).rows(mine)

    async def rows(self, campaign_id: UUID) -> list[Sequence[Row[Any]]]:
        """All stored rows of the campaign."""
        reads = self.runtime.reads(self.actor.tenant)
        campaign, stats, lines = Campaign.__table__.c, CampaignStats.__table__.c, CampaignRecipient.__table__.c
        return [
            await reads.rows(select(*campaign).where(campaign.id == campaign_id)),
            await reads.rows(select(*stats).where(stats.campaign_id == campaign_id)),
            await reads.rows(select(*lines).where(lines.campaign_id == campaign_id).order_by(lines.id)),
            await self.deliveries(campaign_id),
        ]


Step = Callable[[Setup, UUID], Awaitable[object]]


async def as_draft(_: Setup, __: UUID) -> None:
    """The campaign in its initial state."""


async def archived(stage: Setup, campaign_id: UUID) -> None:
    async with stage.runtime.work.begin(stage.actor) as uow:
        await lifecycle.archive(uow, campaign_id, archived=True)


async def scheduled(stage: Setup, campaign_id: UUID) -> None:
    await change(stage, campaign_id, status=CampaignStatus.SCHEDULED, scheduled_at=now_plus(-1), from_header="a@b.c")


async def preparing(stage: Setup, campaign_id: UUID) -> None:
    await change(stage, campaign_id, status=CampaignStatus.PREPARING, from_header=factories.FROM)


async def change(stage: Setup, campaign_id: UUID, **values: object) -> None:
    async with stage.runtime.work.begin(stage.actor) as uow:
        await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(**values))


async def sending(stage: Setup, campaign_id: UUID) -> None:
    await start(stage.runtime, stage.actor, campaign_id)


async def without_sender(stage: Setup, campaign_id: UUID) -> None:
    await sending(stage, campaign_id)
    await change(stage, campaign_id, from_header=None)


async def paused(stage: Setup, campaign_id: UUID) -> None:
    await sending(stage, campaign_id)
    await go(stage.runtime, stage.actor, campaign_id, CampaignStatus.PAUSED)


async def cancelling(stage: Setup, campaign_id: UUID) -> None:
    await sending(stage, campaign_id)
    await go(stage.runtime, stage.actor, campaign_id, CampaignStatus.CANCELLING)


def with_expired_leases(status: DeliveryStatus) -> Step:
    """Messages under expired leases."""

    async def arrange(stage: Setup, campaign_id: UUID) -> None:
        await sending(stage, campaign_id)
        async with stage.runtime.work.begin(stage.actor) as uow:
            values = {"status": status, "lease_token": new_id(), "lease_until": now_plus(-1), "batch_id": new_id()}
            await uow.execute(update(EmailDelivery).where(EmailDelivery.campaign_id == campaign_id).values(**values))

    return arrange


def sent_with(outcome: str) -> Step:
    """A batch sent to a provider with this outcome."""

    async def arrange(stage: Setup, campaign_id: UUID) -> None:
        await sending(stage, campaign_id)
        stage.mailer.outcome = outcome
        await drain(stage.sender, stage.actor, campaign_id)
        stage.mailer.outcome = "ok"
        await expire_leases(stage.runtime, stage.actor, campaign_id)

    return arrange


async def waiting_for_provider(stage: Setup, campaign_id: UUID) -> None:
    await sending(stage, campaign_id)
    await advance_campaign(stage.runtime.work, stage.actor, campaign_id, WITHOUT_SENDING)


async def with_wrong_counters(stage: Setup, campaign_id: UUID) -> None:
    await sending(stage, campaign_id)
    async with stage.runtime.work.begin(stage.actor) as uow:
        mine = update(CampaignStats).where(CampaignStats.campaign_id == campaign_id)
        await uow.execute(mine.values(accepted=CampaignStats.accepted + 1))


async def send_batch(stage: Setup, campaign_id: UUID) -> None:
    await stage.sender.send_batch(stage.actor, campaign_id)


async def fail_batch(stage: Setup, campaign_id: UUID) -> None:
    stage.mailer.outcome = "failed before"
    await send_batch(stage, campaign_id)


async def refuse_account(stage: Setup, campaign_id: UUID) -> None:
    stage.mailer.outcome = "account"
    await send_batch(stage, campaign_id)


async def refuse_one(stage: Setup, campaign_id: UUID) -> None:
    stage.mailer.outcome = "refused"
    await send_batch(stage, campaign_id)


async def advance(stage: Setup, campaign_id: UUID) -> None:
    await advance_campaign(stage.runtime.work, stage.actor, campaign_id)


async def wait(stage: Setup, campaign_id: UUID) -> None:
    await advance_campaign(stage.runtime.work, stage.actor, campaign_id, WITHOUT_SENDING)


async def clear_waiting(stage: Setup, campaign_id: UUID) -> None:
    await clear_waiting_reason(stage.runtime.work, stage.actor, campaign_id)


async def prepare_audience(stage: Setup, campaign_id: UUID) -> None:
    await prepare(stage.runtime.work, stage.actor, campaign_id)


async def look_up_once(stage: Setup, campaign_id: UUID) -> None:
    await reconcile(stage.runtime.work, stage.mailer, stage.actor, campaign_id, grace_seconds=600)


async def look_up_to_the_end(stage: Setup, campaign_id: UUID) -> None:
    """Until the last lookup, after which the campaign's own setting decides."""
    for _ in range(MAX_LOOKUPS):
        await look_up_once(stage, campaign_id)
        await expire_leases(stage.runtime, stage.actor, campaign_id)
    assert {row.status for row in await stage.deliveries(campaign_id)} == {DeliveryStatus.PENDING}


async def verify(stage: Setup, campaign_id: UUID) -> None:
    async with stage.runtime.work.begin(stage.actor) as uow:
        assert not await verify_counts(uow, campaign_id)


def by_user(order: Callable[..., Awaitable[object]], **values: object) -> Step:
    """A change of the campaign by a user."""

    async def act(stage: Setup, campaign_id: UUID) -> None:
        async with stage.runtime.work.begin(stage.actor) as uow:
            await order(uow, campaign_id, **values)

    return act


def by_user_with_policy(order: Callable[..., Awaitable[object]], *values: object) -> Step:
    """As `by_user`, for changes that need the policy of senders."""

    async def act(stage: Setup, campaign_id: UUID) -> None:
        async with stage.runtime.work.begin(stage.actor) as uow:
            await order(uow, campaign_id, *values, policy=stage.runtime.sender_policy)

    return act


def resolution_of(resolution: DeliveryResolution) -> Step:
    """A decision about one of the campaign's messages."""

    async def act(stage: Setup, campaign_id: UUID) -> None:
        first, *others = await stage.deliveries(campaign_id)
        async with stage.runtime.work.begin(stage.actor) as uow:
            await resolve(uow, first.id, resolution, policy=stage.runtime.sender_policy)
        assert (await stage.deliveries(campaign_id))[1:] == others

    return act


async def unsubscribe_one(stage: Setup, campaign_id: UUID) -> None:
    first, *others = await stage.deliveries(campaign_id)
    link = UnsubscribeLink(stage.actor.organization_id, campaign_id, first.id, first.contact_id)
    assert await unsubscribe(stage.runtime.work, link)
    assert (await stage.deliveries(campaign_id))[1:] == others


def webhook_of(kind: str) -> Step:
    """An event of the provider about one of the campaign's messages."""

    async def act(stage: Setup, campaign_id: UUID) -> None:
        first, *others = await stage.deliveries(campaign_id)
        (message,) = [one for one in stage.mailer.accepted if one.delivery_id == str(first.id)]
        await deliver(stage.runtime, webhook(message, kind))
        assert await apply_inbox(stage.runtime)
        assert (await stage.deliveries(campaign_id))[1:] == others

    return act


IN_A_DAY: Final = clock.now() + timedelta(days=1)
CASES: Final[dict[str, tuple[Step, Step]]] = {
    "updated": (as_draft, by_user(drafting.update, changes={"name": "New", "audience": AudienceInput(tags=["a"])})),
    "deleted": (as_draft, by_user(drafting.delete)),
    "archived": (as_draft, by_user(lifecycle.archive, archived=True)),
    "taken back from the archive": (archived, by_user(lifecycle.archive, archived=False)),
    "ordered to be sent": (as_draft, by_user_with_policy(orders.send)),
    "scheduled": (as_draft, by_user_with_policy(orders.schedule, IN_A_DAY)),
    "unscheduled": (scheduled, by_user(orders.unschedule)),
    "started when it is due": (scheduled, advance),
    "prepared": (preparing, prepare_audience),
    "sent": (sending, send_batch),
    "sent in vain": (sending, fail_batch),
    "refused for one recipient": (sending, refuse_one),
    "paused for the account": (sending, refuse_account),
    "paused for want of a sender": (without_sender, send_batch),
    "paused by a person": (sending, by_user(orders.pause)),
    "resumed": (paused, by_user_with_policy(orders.resume)),
    "cancelled by a person": (sending, by_user(orders.cancel)),
    "skipped": (cancelling, advance),
    "found with expired claims": (with_expired_leases(DeliveryStatus.CLAIMED), advance),
    "found with expired submissions": (with_expired_leases(DeliveryStatus.SUBMITTING), advance),
    "found at the provider": (sent_with("failed after"), look_up_once),
    "not found at the provider": (sent_with("failed before"), look_up_once),
    "not found by the last lookup": (sent_with("failed before"), look_up_to_the_end),
    "ended": (sent_with("ok"), advance),
    "waiting for the provider": (sending, wait),
    "not waiting any more": (waiting_for_provider, clear_waiting),
    "counted": (with_wrong_counters, verify),
    "decided as sent": (sent_with("failed before"), resolution_of(DeliveryResolution.SENT)),
    "decided as not sent": (sent_with("failed before"), resolution_of(DeliveryResolution.NOT_SENT)),
    "decided to be sent again": (sent_with("failed before"), resolution_of(DeliveryResolution.SEND_AGAIN)),
    "unsubscribed from": (sent_with("ok"), unsubscribe_one),
    "reported as delivered": (sent_with("ok"), webhook_of("Delivery")),
    "reported as bounced": (sent_with("ok"), webhook_of("Bounce")),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_change_does_not_affect_another_campaign(
    runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer, case: str
) -> None:
    """The other campaign has the same status and contacts, and could be changed the same way."""
    arrange, act = CASES[case]
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, PEOPLE)
    stage = Setup(runtime=runtime, actor=actor, sender=scripted_sender, mailer=mailer)
    other, mine = [await factories.campaign(runtime, actor) for _ in range(2)]
    await change(stage, other, on_doubt=OnDoubt.HOLD)
    for campaign_id in (other, mine):
        await arrange(stage, campaign_id)
    rows_before = {campaign_id: await stage.rows(campaign_id) for campaign_id in (other, mine)}
    await act(stage, mine)
    assert await stage.rows(mine) != rows_before[mine]
    assert await stage.rows(other) == rows_before[other]
