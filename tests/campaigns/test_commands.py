"""The effects of commands on campaigns: jobs, signals, columns; and the exact limits."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import insert, select, update

from core import clock
from core.access.actor import Actor
from core.errors import ErrorCode, InvalidInput
from core.ids import new_id
from core.pubsub import campaign_topic
from core.queue import Job
from core.unit_of_work import UnitOfWork
from models.campaigns import Campaign, CampaignRecipient, CampaignStatus, RecipientKind
from models.senders import Sender
from runtime import Runtime
from services.campaigns import drafting, sending
from services.campaigns.audience import AudienceInput, TooManyAudienceRules, read_audiences
from services.campaigns.listing import CAMPAIGNS, CampaignRow
from services.campaigns.work import AdvanceCampaign, PrepareCampaign, SendBatches
from services.senders.policy import SenderPolicy
from services.senders.reading import confirmed_among
from tests import factories

Order = Callable[[UnitOfWork, UUID, SenderPolicy], Awaitable[CampaignRow]]
DAY = timedelta(days=1)


async def send(uow: UnitOfWork, campaign_id: UUID, policy: SenderPolicy) -> CampaignRow:
    return await sending.send(uow, campaign_id, policy=policy)


async def resume(uow: UnitOfWork, campaign_id: UUID, policy: SenderPolicy) -> CampaignRow:
    return await sending.resume(uow, campaign_id, policy=policy)


async def cancel(uow: UnitOfWork, campaign_id: UUID, _: SenderPolicy) -> CampaignRow:
    return await sending.cancel(uow, campaign_id)


async def pause(uow: UnitOfWork, campaign_id: UUID, _: SenderPolicy) -> CampaignRow:
    return await sending.pause(uow, campaign_id)


async def schedule(uow: UnitOfWork, campaign_id: UUID, policy: SenderPolicy) -> CampaignRow:
    return await sending.schedule(uow, campaign_id, clock.now() + DAY, policy=policy)


async def unschedule(uow: UnitOfWork, campaign_id: UUID, _: SenderPolicy) -> CampaignRow:
    return await sending.unschedule(uow, campaign_id)


ORDERS: dict[str, tuple[CampaignStatus, Order, CampaignStatus, type[Job] | None]] = {
    "send": (CampaignStatus.DRAFT, send, CampaignStatus.PREPARING, PrepareCampaign),
    "send now": (CampaignStatus.SCHEDULED, send, CampaignStatus.PREPARING, PrepareCampaign),
    "pause": (CampaignStatus.SENDING, pause, CampaignStatus.PAUSED, None),
    "resume": (CampaignStatus.PAUSED, resume, CampaignStatus.SENDING, SendBatches),
    "cancel": (CampaignStatus.SENDING, cancel, CampaignStatus.CANCELLING, AdvanceCampaign),
    "cancel what is scheduled": (CampaignStatus.SCHEDULED, cancel, CampaignStatus.CANCELLING, AdvanceCampaign),
    "schedule": (CampaignStatus.DRAFT, schedule, CampaignStatus.SCHEDULED, None),
    "unschedule": (CampaignStatus.SCHEDULED, unschedule, CampaignStatus.DRAFT, None),
}


async def in_status(runtime: Runtime, status: CampaignStatus) -> tuple[Actor, UUID]:
    """A campaign of an organization with a recipient, in that status."""
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, 1)
    campaign_id = await factories.campaign(runtime, actor)
    await change(runtime, actor, campaign_id, status=status)
    return actor, campaign_id


async def change(runtime: Runtime, actor: Actor, campaign_id: UUID, **values: object) -> None:
    """Set columns of a campaign."""
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(**values))


@pytest.mark.parametrize("name", ORDERS)
async def test_a_command_enqueues_its_job_and_publishes_the_change(runtime: Runtime, name: str) -> None:
    """The job is enqueued, and no other; subscribers are notified; version and time of the row change."""
    status, order, ends, job = ORDERS[name]
    actor, campaign_id = await in_status(runtime, status)
    before = await CAMPAIGNS.require(runtime.reads(actor.tenant), campaign_id)
    async with runtime.work.begin(actor) as uow:
        after = await order(uow, campaign_id, runtime.sender_policy)
        of_campaign = {"organization_id": actor.organization_id, "campaign_id": campaign_id}
        assert uow.jobs == ([] if job is None else [job(**of_campaign)])
        assert list(uow.signals) == [campaign_topic(actor.organization_id, campaign_id)]
    assert (after.status, after.version) == (ends, before.version + 1)
    assert after.updated_at > before.updated_at


async def test_the_sender_of_a_scheduled_campaign_is_fixed_until_it_is_unscheduled(runtime: Runtime) -> None:
    """A draft has no From header yet, also one that was scheduled before."""
    actor, campaign_id = await in_status(runtime, CampaignStatus.DRAFT)
    sender_id = await factories.sender(runtime, actor, default=True)
    async with runtime.work.begin(actor) as uow:
        scheduled = await schedule(uow, campaign_id, runtime.sender_policy)
        draft = await unschedule(uow, campaign_id, runtime.sender_policy)
    assert scheduled.from_sender_id == sender_id
    assert scheduled.from_header is not None
    assert (draft.from_sender_id, draft.from_header, draft.scheduled_at) == (None, None, None)


@pytest.mark.parametrize(("minutes", "accepted"), [(-1, True), (1, False)])
async def test_a_campaign_can_be_scheduled_at_most_366_days_ahead(
    runtime: Runtime, minutes: int, *, accepted: bool
) -> None:
    """One year ahead, also in a leap year."""
    actor, campaign_id = await in_status(runtime, CampaignStatus.DRAFT)
    moment = clock.now() + 366 * DAY + timedelta(minutes=minutes)
    async with runtime.work.begin(actor) as uow:
        if accepted:
            row = await sending.schedule(uow, campaign_id, moment, policy=runtime.sender_policy)
            assert row.scheduled_at == moment
        else:
            with pytest.raises(InvalidInput) as excinfo:
                await sending.schedule(uow, campaign_id, moment, policy=runtime.sender_policy)
            assert excinfo.value.field == ("input", "scheduledAt")


async def test_an_audience_has_at_most_100_entries(runtime: Runtime) -> None:
    """Of lists and tags, included and excluded, together."""
    actor = await factories.organization(runtime)
    tags = [f"t{number}" for number in range(60)]
    full = AudienceInput(tags=tags, exclude_tags=tags[:40])
    async with runtime.work.begin(actor) as uow:
        campaign = await drafting.create(uow, {"name": "Full", "audience": full})
        audience = (await read_audiences(uow, [campaign.id]))[campaign.id]
        assert (len(audience.tags), len(audience.exclude_tags)) == (60, 40)
        with pytest.raises(TooManyAudienceRules) as excinfo:
            await drafting.create(
                uow, {"name": "Fuller", "audience": AudienceInput(tags=tags, exclude_tags=tags[:41])}
            )
    assert (excinfo.value.error_code, excinfo.value.field) == (ErrorCode.TOO_MANY, ("input", "audience"))


async def test_a_copy_has_the_audience_of_its_original(runtime: Runtime) -> None:
    """And of no other campaign, in the same order; the originals keep theirs."""
    actor = await factories.organization(runtime)
    mine, other = await factories.campaign(runtime, actor, tag="b"), await factories.campaign(runtime, actor, tag="c")
    rule = {"organization_id": actor.organization_id, "campaign_id": mine, "kind": RecipientKind.TAG}
    async with runtime.work.begin(actor) as uow:
        await uow.execute(insert(CampaignRecipient).values(id=new_id(), tag="a", **rule))
        copy = await drafting.duplicate(uow, mine)
        audiences = await read_audiences(uow, [mine, other, copy.id])
    assert [audiences[each].tags for each in (mine, other, copy.id)] == [("b", "a"), ("c",), ("b", "a")]


async def test_the_deletion_of_a_campaign_is_published(runtime: Runtime) -> None:
    """Its subscriptions end."""
    actor, campaign_id = await in_status(runtime, CampaignStatus.DRAFT)
    async with runtime.work.begin(actor) as uow:
        await drafting.delete(uow, campaign_id)
        assert list(uow.signals) == [campaign_topic(actor.organization_id, campaign_id)]


async def test_only_confirmed_senders_may_get_tests(runtime: Runtime) -> None:
    """An unconfirmed address, or one of another organization, may not get tests in production."""
    actor, other = await factories.organization(runtime), await factories.organization(runtime)
    await factories.sender(runtime, actor, confirmed=False)
    for owner in (actor, other):
        await factories.sender(runtime, owner)
    addresses: list[str] = []
    for owner in (actor, other):
        addresses += [row[0] for row in await runtime.reads(owner.tenant).rows(select(Sender.email_norm))]
    reads = runtime.reads(actor.tenant)
    mine = await reads.rows(select(Sender.email_norm).where(Sender.confirmed_at.is_not(None)))
    assert len(addresses) == 3
    assert await confirmed_among(reads, addresses) == {row.email_norm for row in mine}
    assert await confirmed_among(reads, addresses[:0]) == set()
