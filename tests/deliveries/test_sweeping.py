"""The campaigns that the sweeps find, and the work that each requires."""

from uuid import UUID

import pytest
from pydantic import ValidationError
from sqlalchemy import update

from core.access.actor import Actor
from core.configuration import InvalidSettings
from core.database.clock import now_plus
from core.ids import new_id
from core.server_settings import DatabaseSettings
from core.unit_of_work import Work
from models.campaigns import Campaign, CampaignStatus
from models.deliveries import DeliveryStatus, EmailDelivery
from runtime import Runtime
from services.campaigns.work import PrepareCampaign
from services.deliveries.preparing import prepare
from services.deliveries.sending import CampaignSender
from services.deliveries.sweeping import advance_campaign, campaigns_to_advance, campaigns_to_send
from settings import Settings, require
from tests import factories
from tests.deliveries.conftest import Provider
from tests.deliveries.worker import drain, expire_leases, go, sending, statuses, sweep
from tests.execution.company import Outbox


async def needs_of(runtime: Runtime, campaign_id: UUID) -> set[str]:
    """The work that the sweeps find for the campaign."""
    before = UUID(int=campaign_id.int - 1)
    to_send = await campaigns_to_send(runtime.system, before, 1_000)
    needs = await campaigns_to_advance(runtime.system, before, 1_000)
    needs = [each for each in needs if each.campaign_id == campaign_id]
    actions = {name for each in needs for name in ("prepare", "advance", "reconcile") if getattr(each, name)}
    return actions | {"send" for each in to_send if each.campaign_id == campaign_id}


async def test_a_paused_campaign_needs_nothing(runtime: Runtime) -> None:
    """With nothing in flight there is no work until it is resumed."""
    actor, _, campaign_id = await sending(runtime, 1)
    assert await needs_of(runtime, campaign_id) == {"send"}
    await go(runtime, actor, campaign_id, CampaignStatus.PAUSED)
    assert await needs_of(runtime, campaign_id) == set()
    await go(runtime, actor, campaign_id, CampaignStatus.SENDING)
    assert await needs_of(runtime, campaign_id) == {"send"}


async def test_unknown_messages_of_a_paused_campaign_are_looked_up(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """When a lookup is due; after that the campaign needs nothing."""
    actor, _, campaign_id = await sending(runtime, 1)
    await provider.fail(server_error_after_accept={"count": 1})
    await drain(sender, actor, campaign_id)
    await go(runtime, actor, campaign_id, CampaignStatus.PAUSED)
    await expire_leases(runtime, actor, campaign_id)
    assert await needs_of(runtime, campaign_id) == {"reconcile"}
    await sweep(runtime, sender.mailer, actor, campaign_id)
    assert await needs_of(runtime, campaign_id) == set()


@pytest.mark.parametrize("status", [CampaignStatus.SENDING, CampaignStatus.PAUSED])
@pytest.mark.parametrize("delivery", [DeliveryStatus.CLAIMED, DeliveryStatus.SUBMITTING])
async def test_expired_leases_are_found(runtime: Runtime, status: CampaignStatus, delivery: DeliveryStatus) -> None:
    """But not those that a worker holds; at any position among others."""
    actor, contacts, campaign_id = await sending(runtime, 5)
    await lease(runtime, actor, campaign_id, contacts[1:4], delivery, seconds=600)
    if status != CampaignStatus.SENDING:
        await go(runtime, actor, campaign_id, status)
    waiting = {"send"} if status == CampaignStatus.SENDING else set[str]()
    assert await needs_of(runtime, campaign_id) == waiting
    await lease(runtime, actor, campaign_id, contacts[3:4], delivery, seconds=-1)
    assert await needs_of(runtime, campaign_id) == {*waiting, "advance"}
    await advance_campaign(runtime.work, actor, campaign_id)
    expired = DeliveryStatus.PENDING if delivery is DeliveryStatus.CLAIMED else DeliveryStatus.UNKNOWN
    now = await statuses(runtime, actor, campaign_id)
    assert [now[each] for each in contacts[1:4]] == [delivery, delivery, expired]


async def lease(
    runtime: Runtime,
    actor: Actor,
    campaign_id: UUID,
    contacts: list[UUID],
    status: DeliveryStatus,
    *,
    seconds: int,
) -> None:
    """Put some of the messages in flight, under a lease of so many seconds."""
    async with runtime.work.begin(actor) as uow:
        await uow.execute(
            update(EmailDelivery)
            .where(EmailDelivery.campaign_id == campaign_id, EmailDelivery.contact_id.in_(contacts))
            .values(status=status, lease_token=new_id(), lease_until=now_plus(seconds))
        )


async def test_a_campaign_without_open_deliveries_is_found(runtime: Runtime) -> None:
    """It is to be finished; after that it needs nothing."""
    actor, contacts, campaign_id = await sending(runtime, 2)
    for settled in (contacts[:1], contacts):
        assert await needs_of(runtime, campaign_id) == {"send"}
        async with runtime.work.begin(actor) as uow:
            mine = EmailDelivery.campaign_id == campaign_id
            await uow.execute(
                update(EmailDelivery)
                .where(mine, EmailDelivery.contact_id.in_(settled))
                .values(status=DeliveryStatus.DELIVERED)
            )
    assert await needs_of(runtime, campaign_id) == {"advance"}
    await advance_campaign(runtime.work, actor, campaign_id)
    assert await needs_of(runtime, campaign_id) == set()


async def test_due_campaigns_are_found(runtime: Runtime) -> None:
    """Not before; then it is to be prepared. A cancelled one is to be finished, a draft needs nothing."""
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, 2)
    campaign_id = await factories.campaign(runtime, actor)
    assert await needs_of(runtime, campaign_id) == set()
    mine = update(Campaign).where(Campaign.id == campaign_id)
    for seconds, needs in ((600, set[str]()), (-1, {"advance"})):
        async with runtime.work.begin(actor) as uow:
            await uow.execute(mine.values(status=CampaignStatus.SCHEDULED, scheduled_at=now_plus(seconds)))
        assert await needs_of(runtime, campaign_id) == needs
    async with runtime.work.begin(actor) as uow:
        await uow.execute(mine.values(status=CampaignStatus.PREPARING))
    assert await needs_of(runtime, campaign_id) == {"prepare"}
    await prepare(runtime.work, actor, campaign_id)
    await go(runtime, actor, campaign_id, CampaignStatus.CANCELLING)
    assert await needs_of(runtime, campaign_id) == {"advance"}


async def test_preparing_is_continued_by_another_job(runtime: Runtime) -> None:
    """A large audience lets other jobs run, and is continued after them."""
    actor = await factories.organization(runtime)
    campaign_id = await factories.campaign(runtime, actor)
    await go(runtime, actor, campaign_id, CampaignStatus.PREPARING)
    outbox = Outbox()
    assert not await prepare(Work(runtime.engine, outbox, outbox), actor, campaign_id, within_seconds=0)
    job = PrepareCampaign(organization_id=actor.organization_id, campaign_id=campaign_id)
    assert outbox.sent == [{"job": job.name, **job.payload()}]


async def test_campaigns_are_found_page_by_page(fresh_runtime: Runtime) -> None:
    """By id, each once; a page is not longer than its limit."""
    system, campaign_ids = fresh_runtime.system, list[UUID]()
    campaigns = sorted([(await sending(fresh_runtime, 1))[2] for _ in range(5)])
    after = UUID(int=0)
    while page := await campaigns_to_send(system, after, 2):
        assert len(page) <= 2
        campaign_ids += [each.campaign_id for each in page]
        after = campaign_ids[-1]
    assert campaign_ids == campaigns


def test_a_worker_requires_a_minimum_pool_size(settings: Settings) -> None:
    """With one connection the sweeps would wait for themselves; each batch in flight needs one more."""
    with pytest.raises(ValidationError):
        DatabaseSettings(pool_size=1)
    small = settings.model_copy(update={"database": settings.database.model_copy(update={"pool_size": 4})})
    with pytest.raises(InvalidSettings, match="NUDGE_DATABASE__POOL_SIZE: must be at least 5"):
        require(small)
    require(small.model_copy(update={"sending": small.sending.model_copy(update={"concurrent_batches": 2})}))
