"""Whatever is done to a campaign is done to it alone: another of the same organization stays as it was.

Row Level Security keeps organizations apart, and nothing but the statements themselves keeps campaigns apart.
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
from services.deliveries.sending import Sender
from services.deliveries.sweeping import advance_campaign, clear_waiting_reason
from services.features import Feature, Features
from services.mailing.lookups import MAX_LOOKUPS
from services.suppressions.unsubscribing import UnsubscribeLink, unsubscribe
from tests import factories
from tests.deliveries.model import ModelMailer
from tests.deliveries.worker import drain, expire_leases, go, start
from tests.deliveries.world import told
from tests.inbox import apply_inbox, deliver

PEOPLE: Final = 3
WITHOUT_SENDING: Final = Features(off=frozenset({Feature.SENDING}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """An organization with contacts, and what works for it."""

    runtime: Runtime
    actor: Actor
    sender: Sender
    mailer: ModelMailer

    async def ledger(self, campaign_id: UUID) -> Sequence[Row[Any]]:
        """The campaign's deliveries."""
        columns = EmailDelivery.__table__.c
        mine = select(*columns).where(columns.campaign_id == campaign_id).order_by(columns.id)
        return await self.runtime.reads(self.actor.tenant).rows(mine)

    async def rows(self, campaign_id: UUID) -> list[Sequence[Row[Any]]]:
        """All that is stored of the campaign."""
        reads = self.runtime.reads(self.actor.tenant)
        campaign, stats, lines = Campaign.__table__.c, CampaignStats.__table__.c, CampaignRecipient.__table__.c
        return [
            await reads.rows(select(*campaign).where(campaign.id == campaign_id)),
            await reads.rows(select(*stats).where(stats.campaign_id == campaign_id)),
            await reads.rows(select(*lines).where(lines.campaign_id == campaign_id).order_by(lines.id)),
            await self.ledger(campaign_id),
        ]


Step = Callable[[Stage, UUID], Awaitable[object]]


async def draft(_: Stage, __: UUID) -> None:
    """As it was made."""


async def archived(stage: Stage, campaign_id: UUID) -> None:
    async with stage.runtime.work.begin(stage.actor) as uow:
        await lifecycle.archive(uow, campaign_id, archived=True)


async def scheduled(stage: Stage, campaign_id: UUID) -> None:
    await change(stage, campaign_id, status=CampaignStatus.SCHEDULED, scheduled_at=now_plus(-1), from_header="a@b.c")


async def preparing(stage: Stage, campaign_id: UUID) -> None:
    await change(stage, campaign_id, status=CampaignStatus.PREPARING, from_header=factories.FROM)


async def change(stage: Stage, campaign_id: UUID, **values: object) -> None:
    async with stage.runtime.work.begin(stage.actor) as uow:
        await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(**values))


async def sending(stage: Stage, campaign_id: UUID) -> None:
    await start(stage.runtime, stage.actor, campaign_id)


async def without_sender(stage: Stage, campaign_id: UUID) -> None:
    await sending(stage, campaign_id)
    await change(stage, campaign_id, from_header=None)


async def paused(stage: Stage, campaign_id: UUID) -> None:
    await sending(stage, campaign_id)
    await go(stage.runtime, stage.actor, campaign_id, CampaignStatus.PAUSED)


async def cancelling(stage: Stage, campaign_id: UUID) -> None:
    await sending(stage, campaign_id)
    await go(stage.runtime, stage.actor, campaign_id, CampaignStatus.CANCELLING)


def leased(status: DeliveryStatus) -> Step:
    """Under leases that are over."""

    async def arrange(stage: Stage, campaign_id: UUID) -> None:
        await sending(stage, campaign_id)
        async with stage.runtime.work.begin(stage.actor) as uow:
            values = {"status": status, "lease_token": new_id(), "lease_until": now_plus(-1), "batch_id": new_id()}
            await uow.execute(update(EmailDelivery).where(EmailDelivery.campaign_id == campaign_id).values(**values))

    return arrange


def answered(outcome: str) -> Step:
    """RequestOutcome over to a provider that does so."""

    async def arrange(stage: Stage, campaign_id: UUID) -> None:
        await sending(stage, campaign_id)
        stage.mailer.outcome = outcome
        await drain(stage.sender, stage.actor, campaign_id)
        stage.mailer.outcome = "ok"
        await expire_leases(stage.runtime, stage.actor, campaign_id)

    return arrange


async def waiting(stage: Stage, campaign_id: UUID) -> None:
    await sending(stage, campaign_id)
    await advance_campaign(stage.runtime.work, stage.actor, campaign_id, WITHOUT_SENDING)


async def miscounted(stage: Stage, campaign_id: UUID) -> None:
    await sending(stage, campaign_id)
    async with stage.runtime.work.begin(stage.actor) as uow:
        mine = update(CampaignStats).where(CampaignStats.campaign_id == campaign_id)
        await uow.execute(mine.values(accepted=CampaignStats.accepted + 1))


async def send_batch(stage: Stage, campaign_id: UUID) -> None:
    await stage.sender.send_batch(stage.actor, campaign_id)


async def fail_batch(stage: Stage, campaign_id: UUID) -> None:
    stage.mailer.outcome = "failed before"
    await send_batch(stage, campaign_id)


async def refuse_account(stage: Stage, campaign_id: UUID) -> None:
    stage.mailer.outcome = "account"
    await send_batch(stage, campaign_id)


async def refuse_one(stage: Stage, campaign_id: UUID) -> None:
    stage.mailer.outcome = "refused"
    await send_batch(stage, campaign_id)


async def advance(stage: Stage, campaign_id: UUID) -> None:
    await advance_campaign(stage.runtime.work, stage.actor, campaign_id)


async def wait(stage: Stage, campaign_id: UUID) -> None:
    await advance_campaign(stage.runtime.work, stage.actor, campaign_id, WITHOUT_SENDING)


async def go_on(stage: Stage, campaign_id: UUID) -> None:
    await clear_waiting_reason(stage.runtime.work, stage.actor, campaign_id)


async def freeze(stage: Stage, campaign_id: UUID) -> None:
    await prepare(stage.runtime.work, stage.actor, campaign_id)


async def ask_provider(stage: Stage, campaign_id: UUID) -> None:
    await reconcile(stage.runtime.work, stage.mailer, stage.actor, campaign_id, grace_seconds=600)


async def give_up_asking(stage: Stage, campaign_id: UUID) -> None:
    """Until it is certain enough: what happens then is the campaign's own setting."""
    for _ in range(MAX_LOOKUPS):
        await ask_provider(stage, campaign_id)
        await expire_leases(stage.runtime, stage.actor, campaign_id)
    assert {row.status for row in await stage.ledger(campaign_id)} == {DeliveryStatus.PENDING}


async def count(stage: Stage, campaign_id: UUID) -> None:
    async with stage.runtime.work.begin(stage.actor) as uow:
        assert not await verify_counts(uow, campaign_id)


def ordered(order: Callable[..., Awaitable[object]], **values: object) -> Step:
    """What a person orders of a campaign."""

    async def act(stage: Stage, campaign_id: UUID) -> None:
        async with stage.runtime.work.begin(stage.actor) as uow:
            await order(uow, campaign_id, **values)

    return act


def started(order: Callable[..., Awaitable[object]], *values: object) -> Step:
    """As `ordered`, of what takes the installation's rules about senders."""

    async def act(stage: Stage, campaign_id: UUID) -> None:
        async with stage.runtime.work.begin(stage.actor) as uow:
            await order(uow, campaign_id, *values, policy=stage.runtime.sender_policy)

    return act


def decided(resolution: DeliveryResolution) -> Step:
    """A person's decision about one of the campaign's messages."""

    async def act(stage: Stage, campaign_id: UUID) -> None:
        first, *others = await stage.ledger(campaign_id)
        async with stage.runtime.work.begin(stage.actor) as uow:
            await resolve(uow, first.id, resolution, policy=stage.runtime.sender_policy)
        assert (await stage.ledger(campaign_id))[1:] == others

    return act


async def unsubscribe_one(stage: Stage, campaign_id: UUID) -> None:
    first, *others = await stage.ledger(campaign_id)
    link = UnsubscribeLink(stage.actor.organization_id, campaign_id, first.id, first.contact_id)
    assert await unsubscribe(stage.runtime.work, link)
    assert (await stage.ledger(campaign_id))[1:] == others


def reported(kind: str) -> Step:
    """The provider's event about one of the campaign's messages."""

    async def act(stage: Stage, campaign_id: UUID) -> None:
        first, *others = await stage.ledger(campaign_id)
        (message,) = [one for one in stage.mailer.ledger if one.delivery_id == str(first.id)]
        await deliver(stage.runtime, told(message, kind))
        assert await apply_inbox(stage.runtime)
        assert (await stage.ledger(campaign_id))[1:] == others

    return act


IN_A_DAY: Final = clock.now() + timedelta(days=1)
CASES: Final[dict[str, tuple[Step, Step]]] = {
    "updated": (draft, ordered(drafting.update, changes={"name": "New", "audience": AudienceInput(tags=["a"])})),
    "deleted": (draft, ordered(drafting.delete)),
    "archived": (draft, ordered(lifecycle.archive, archived=True)),
    "taken back from the archive": (archived, ordered(lifecycle.archive, archived=False)),
    "ordered to be sent": (draft, started(orders.send)),
    "scheduled": (draft, started(orders.schedule, IN_A_DAY)),
    "unscheduled": (scheduled, ordered(orders.unschedule)),
    "started when it is due": (scheduled, advance),
    "prepared": (preparing, freeze),
    "sent": (sending, send_batch),
    "sent in vain": (sending, fail_batch),
    "refused for one recipient": (sending, refuse_one),
    "paused for the account": (sending, refuse_account),
    "paused for want of a sender": (without_sender, send_batch),
    "paused by a person": (sending, ordered(orders.pause)),
    "resumed": (paused, started(orders.resume)),
    "cancelled by a person": (sending, ordered(orders.cancel)),
    "skipped": (cancelling, advance),
    "found with claims that are over": (leased(DeliveryStatus.CLAIMED), advance),
    "found with submissions that are over": (leased(DeliveryStatus.SUBMITTING), advance),
    "found at the provider": (answered("failed after"), ask_provider),
    "not found at the provider": (answered("failed before"), ask_provider),
    "not found by the last lookup": (answered("failed before"), give_up_asking),
    "ended": (answered("ok"), advance),
    "told to wait": (sending, wait),
    "told to go on": (waiting, go_on),
    "counted": (miscounted, count),
    "decided as sent": (answered("failed before"), decided(DeliveryResolution.SENT)),
    "decided as not sent": (answered("failed before"), decided(DeliveryResolution.NOT_SENT)),
    "decided to be sent again": (answered("failed before"), decided(DeliveryResolution.SEND_AGAIN)),
    "unsubscribed from": (answered("ok"), unsubscribe_one),
    "reported as delivered": (answered("ok"), reported("Delivery")),
    "reported as bounced": (answered("ok"), reported("Bounce")),
}


@pytest.mark.parametrize("case", CASES)
async def test_another_campaign_of_the_organization_stays_as_it_was(
    runtime: Runtime, scripted_sender: Sender, mailer: ModelMailer, case: str
) -> None:
    """It stands in the same state, with the same contacts, and could be changed likewise."""
    arrange, act = CASES[case]
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, PEOPLE)
    stage = Stage(runtime=runtime, actor=actor, sender=scripted_sender, mailer=mailer)
    other, mine = [await factories.campaign(runtime, actor) for _ in range(2)]
    await change(stage, other, on_doubt=OnDoubt.HOLD)
    for campaign_id in (other, mine):
        await arrange(stage, campaign_id)
    seen = {campaign_id: await stage.rows(campaign_id) for campaign_id in (other, mine)}
    await act(stage, mine)
    assert await stage.rows(mine) != seen[mine]
    assert await stage.rows(other) == seen[other]
