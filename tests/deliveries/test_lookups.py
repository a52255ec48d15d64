"""Lookups of messages in doubt: at their times, three of them, and without effect if they took too long."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from time import monotonic
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from structlog.testing import capture_logs

from core.access.actor import Actor
from core.ids import new_id
from core.pubsub import campaign_topic
from core.unit_of_work import UnitOfWork
from integrations.mail import InDoubt, Stream
from integrations.recording import RecordingMailer
from models.campaigns import CampaignStatus
from models.deliveries import DeliveryStatus, EmailDelivery
from runtime import Runtime
from services.deliveries.reconciling import reconcile, record_lookup, reserve_due
from services.deliveries.sending import CampaignSender
from services.mailing.lookups import Lookup, look_up
from tests.deliveries.conftest import Provider
from tests.deliveries.model import ModelMailer
from tests.deliveries.worker import drain, expire_leases, finish, progress, recipients, sending, statuses

PEOPLE = 4


@pytest.fixture
def sender_in_doubt(scripted_sender: CampaignSender, mailer: ModelMailer) -> CampaignSender:
    """A sender whose provider accepts every message and does not answer."""
    mailer.outcome = "failed after"
    return scripted_sender


async def reserve_lookup(runtime: Runtime, actor: Actor, campaign_id: UUID) -> Lookup:
    """Reserve the campaign's messages in doubt, all of one batch."""
    async with runtime.work.begin(actor) as uow:
        lookup = await reserve_due(uow, campaign_id)
    assert lookup is not None
    assert len(lookup.rows) == PEOPLE
    return lookup


async def record_and_read(
    runtime: Runtime, actor: Actor, campaign_id: UUID, lookup: Lookup, message_ids: dict[str, str] | None = None
) -> set[DeliveryStatus]:
    """Record a lookup; the deliveries' states after it."""
    async with runtime.work.begin(actor) as uow:
        await record_lookup(uow, campaign_id, lookup, message_ids or {}, grace_seconds=3600)
    return set((await statuses(runtime, actor, campaign_id)).values())


async def test_overlapping_lookups_count_once(runtime: Runtime, sender_in_doubt: CampaignSender) -> None:
    """Three lookups that outlast their reservations count as one: no message is sent again for them."""
    actor, _, campaign_id = await sending(runtime, PEOPLE)
    await drain(sender_in_doubt, actor, campaign_id)
    lookups = []
    for _ in range(3):
        lookups.append(await reserve_lookup(runtime, actor, campaign_id))
        await expire_leases(runtime, actor, campaign_id)
    lookups[-1:] = [await reserve_lookup(runtime, actor, campaign_id)]
    for lookup in lookups * 2:
        assert await record_and_read(runtime, actor, campaign_id, lookup) == {DeliveryStatus.UNKNOWN}
    rows = await runtime.reads(actor.tenant).rows(
        select(EmailDelivery.lookups).where(EmailDelivery.campaign_id == campaign_id)
    )
    assert [row.lookups for row in rows] == [1] * PEOPLE


@pytest.mark.parametrize("has_result", [True, False])
async def test_a_lookup_publishes_progress(
    runtime: Runtime, sender_in_doubt: CampaignSender, *, has_result: bool
) -> None:
    """Subscribers of the campaign get its new counters immediately."""
    actor, _, campaign_id = await sending(runtime, PEOPLE)
    await drain(sender_in_doubt, actor, campaign_id)
    lookup = await reserve_lookup(runtime, actor, campaign_id)
    messages = {str(row.id): f"m-{row.id}" for row in lookup.rows if has_result}
    async with runtime.work.begin(actor) as uow:
        await record_lookup(uow, campaign_id, lookup, messages, grace_seconds=3600)
        assert list(uow.signals) == [campaign_topic(actor.organization_id, campaign_id)]


async def test_lookups_are_spread_over_the_grace_period(runtime: Runtime, sender_in_doubt: CampaignSender) -> None:
    """One immediately, one in the middle and one at the end: nothing is sent again before the end."""
    actor, _, campaign_id = await sending(runtime, PEOPLE)
    await drain(sender_in_doubt, actor, campaign_id)
    wait = func.extract("epoch", EmailDelivery.next_lookup_at - func.clock_timestamp())
    for _ in range(2):
        lookup = await reserve_lookup(runtime, actor, campaign_id)
        assert await record_and_read(runtime, actor, campaign_id, lookup) == {DeliveryStatus.UNKNOWN}
        waits = [float(row[0]) for row in await runtime.reads(actor.tenant).rows(select(wait))]
        assert len(waits) == PEOPLE
        assert 1_700 < min(waits) <= max(waits) <= 1_800
        await expire_leases(runtime, actor, campaign_id)
    lookup = await reserve_lookup(runtime, actor, campaign_id)
    assert await record_and_read(runtime, actor, campaign_id, lookup) == {DeliveryStatus.PENDING}


async def test_a_reserved_message_is_not_reserved_again(runtime: Runtime, sender_in_doubt: CampaignSender) -> None:
    """It is not due for other workers until the reservation expires."""
    actor, _, campaign_id = await sending(runtime, PEOPLE)
    await drain(sender_in_doubt, actor, campaign_id)
    await reserve_lookup(runtime, actor, campaign_id)
    async with runtime.work.begin(actor) as uow:
        assert await reserve_due(uow, campaign_id) is None


@pytest.mark.parametrize("in_progress", [True, False])
async def test_a_request_in_progress_delays_the_first_lookup(
    runtime: Runtime, sender_in_doubt: CampaignSender, *, in_progress: bool
) -> None:
    """By the time that a request may take."""
    sender_in_doubt.mailer = RecordingMailer(lambda *_: InDoubt(reason="No answer.", in_progress=in_progress))
    actor, _, campaign_id = await sending(runtime, PEOPLE)
    await drain(sender_in_doubt, actor, campaign_id)
    async with runtime.work.begin(actor) as uow:
        assert (await reserve_due(uow, campaign_id) is None) is in_progress


async def test_an_empty_lookup_counts_for_its_own_batch(runtime: Runtime, sender_in_doubt: CampaignSender) -> None:
    """A lookup of another batch without results has no effect, even if it is the last one."""
    actor, _, campaign_id = await sending(runtime, PEOPLE)
    await drain(sender_in_doubt, actor, campaign_id)
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(EmailDelivery).where(EmailDelivery.campaign_id == campaign_id).values(lookups=2))
    lookup = await reserve_lookup(runtime, actor, campaign_id)
    other = lookup._replace(batch_id=new_id())
    assert await record_and_read(runtime, actor, campaign_id, other) == {DeliveryStatus.UNKNOWN}
    late = lookup._replace(rows=[row._replace(due_at=row.due_at - timedelta(1)) for row in lookup.rows])
    assert await record_and_read(runtime, actor, campaign_id, late) == {DeliveryStatus.UNKNOWN}
    miscounted = lookup._replace(rows=[row._replace(lookups=1) for row in lookup.rows])
    assert await record_and_read(runtime, actor, campaign_id, miscounted) == {DeliveryStatus.UNKNOWN}
    assert await record_and_read(runtime, actor, campaign_id, lookup) == {DeliveryStatus.PENDING}


async def test_a_late_lookup_with_a_result_counts(
    runtime: Runtime, sender_in_doubt: CampaignSender, mailer: ModelMailer
) -> None:
    """A message that the search returns was sent, after any delay."""
    actor, _, campaign_id = await sending(runtime, PEOPLE)
    await drain(sender_in_doubt, actor, campaign_id)
    lookup = await reserve_lookup(runtime, actor, campaign_id)
    message_ids = dict(await mailer.search_batch(str(lookup.batch_id)))
    await expire_leases(runtime, actor, campaign_id)
    await reserve_lookup(runtime, actor, campaign_id)
    assert await record_and_read(runtime, actor, campaign_id, lookup, message_ids) == {DeliveryStatus.ACCEPTED}


async def test_a_round_looks_up_every_batch(runtime: Runtime, provider: Provider, sender: CampaignSender) -> None:
    """A campaign with several batches in doubt has all of them found in one round."""
    actor, contacts, campaign_id = await sending(runtime, 1_100)
    await provider.fail(server_error_after_accept={"count": 3})
    for _ in range(3):
        await sender.send_batch(actor, campaign_id)
    assert (await progress(runtime, actor, campaign_id)).counts.unknown == len(contacts)
    now = await finish(runtime, sender, actor, campaign_id)
    assert now.status == CampaignStatus.SENT
    messages = await provider.messages(campaign_id)
    assert len(messages) == len(set(recipients(messages))) == len(contacts)


class SlowSearch(ModelMailer):
    """A provider with a slow search."""

    async def search_batch(self, batch_id: str, stream: Stream = Stream.BROADCAST) -> Mapping[str, str]:
        """The messages of a batch, later."""
        await asyncio.sleep(0.2)
        return await super().search_batch(batch_id, stream)


async def send_one_by_one(sender: CampaignSender, actor: Actor, campaign_id: UUID) -> None:
    """Send the campaign in batches of one message."""
    sender.settings = sender.settings.model_copy(update={"batch_size": 1})
    for _ in range(PEOPLE):
        await sender.send_batch(actor, campaign_id)


async def test_a_failed_search_ends_the_round(
    runtime: Runtime, sender_in_doubt: CampaignSender, mailer: ModelMailer
) -> None:
    """The other batches are not looked up, and their rows stay as they are."""
    actor, _, campaign_id = await sending(runtime, PEOPLE)
    await send_one_by_one(sender_in_doubt, actor, campaign_id)
    mailer.search_fails = True
    with capture_logs() as logs:
        assert await reconcile(runtime.work, mailer, actor, campaign_id, grace_seconds=3600) == 0
    assert [line["event"] for line in logs].count("batch lookup failed, will be retried") == 1
    mailer.search_fails = False
    assert await reconcile(runtime.work, mailer, actor, campaign_id, grace_seconds=3600) == PEOPLE - 1


async def test_a_round_has_a_time_limit(runtime: Runtime, sender_in_doubt: CampaignSender) -> None:
    """After a slow search, the other batches are left to the next round."""
    actor, _, campaign_id = await sending(runtime, PEOPLE)
    await send_one_by_one(sender_in_doubt, actor, campaign_id)

    async def reserve(uow: UnitOfWork, batch_ids: Sequence[UUID]) -> Lookup | None:
        return await reserve_due(uow, campaign_id, batch_ids)

    async def record(uow: UnitOfWork, lookup: Lookup, message_ids: Mapping[str, str]) -> None:
        await record_lookup(uow, campaign_id, lookup, message_ids, grace_seconds=3600)

    once = partial(
        look_up, runtime.work, SlowSearch(), actor, stream=Stream.BROADCAST, reserve=reserve, record=record
    )
    assert await once(within_seconds=0.1) == 1
    assert await once() == PEOPLE - 1


async def look_up_until_decided(
    runtime: Runtime, sender: CampaignSender, actor: Actor, campaign_id: UUID, grace_seconds: float
) -> int:
    """Look up whenever a lookup is due, until nothing is unknown; how many messages are pending then."""
    until = monotonic() + 120
    while monotonic() < until:
        await reconcile(runtime.work, sender.mailer, actor, campaign_id, grace_seconds=grace_seconds)
        counts = (await progress(runtime, actor, campaign_id)).counts
        if not counts.unknown:
            return counts.pending
        await asyncio.sleep(0.05)
    raise AssertionError("still in doubt")


async def test_the_grace_period_covers_a_lagging_search(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """The search returns a message after a second: with a grace period of two, it is found and not sent again."""
    actor, contacts, campaign_id = await sending(runtime, 5)
    await provider.fail(server_error_after_accept={"count": 1}, search_lag_seconds={"seconds": 1})
    await drain(sender, actor, campaign_id)
    assert await look_up_until_decided(runtime, sender, actor, campaign_id, 2.0) == 0
    assert (await finish(runtime, sender, actor, campaign_id)).status == CampaignStatus.SENT
    assert len(await provider.messages(campaign_id)) == len(contacts)


async def test_a_message_missing_beyond_the_grace_period_is_sent_again(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """The documented limit: it counts as not sent, although the search would return it later."""
    actor, contacts, campaign_id = await sending(runtime, 5)
    await provider.fail(server_error_after_accept={"count": 1}, search_lag_seconds={"seconds": 3600})
    await drain(sender, actor, campaign_id)
    assert await look_up_until_decided(runtime, sender, actor, campaign_id, 0.2) == len(contacts)
