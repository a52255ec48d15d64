"""A lookup that took too long counts for nothing: what is absent has been looked for at its time, three times."""

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
from services.deliveries.sending import Sender
from services.mailing.lookups import Lookup, look_up
from tests.deliveries.conftest import Provider
from tests.deliveries.model import ModelMailer
from tests.deliveries.worker import drain, expire_leases, finish, progress, recipients, sending, statuses

PEOPLE = 4


@pytest.fixture
def doubtful(scripted_sender: Sender, mailer: ModelMailer) -> Sender:
    """A sender whose provider takes everything and says nothing."""
    mailer.outcome = "failed after"
    return scripted_sender


async def reserved_lookup(runtime: Runtime, actor: Actor, campaign_id: UUID) -> Lookup:
    """Reserve the campaign's doubtful messages, all of one batch."""
    async with runtime.work.begin(actor) as uow:
        lookup = await reserve_due(uow, campaign_id)
    assert lookup is not None
    assert len(lookup.rows) == PEOPLE
    return lookup


async def write_down(
    runtime: Runtime, actor: Actor, campaign_id: UUID, lookup: Lookup, found: dict[str, str] | None = None
) -> set[DeliveryStatus]:
    """Settle a lookup; where the messages stand then."""
    async with runtime.work.begin(actor) as uow:
        await record_lookup(uow, campaign_id, lookup, found or {}, grace_seconds=3600)
    return set((await statuses(runtime, actor, campaign_id)).values())


async def test_lookups_that_overlap_count_once(runtime: Runtime, doubtful: Sender) -> None:
    """Three lookups whose reservations expired before they ended count as one: no message is sent again for them."""
    actor, _, campaign_id = await sending(runtime, PEOPLE)
    await drain(doubtful, actor, campaign_id)
    lookups = []
    for _ in range(3):
        lookups.append(await reserved_lookup(runtime, actor, campaign_id))
        await expire_leases(runtime, actor, campaign_id)
    lookups[-1:] = [await reserved_lookup(runtime, actor, campaign_id)]
    for lookup in lookups * 2:
        assert await write_down(runtime, actor, campaign_id, lookup) == {DeliveryStatus.UNKNOWN}
    rows = await runtime.reads(actor.tenant).rows(
        select(EmailDelivery.lookups).where(EmailDelivery.campaign_id == campaign_id)
    )
    assert [row.lookups for row in rows] == [1] * PEOPLE


@pytest.mark.parametrize("found", [True, False])
async def test_what_a_look_has_shown_is_announced(runtime: Runtime, doubtful: Sender, *, found: bool) -> None:
    """The campaign's viewers see its figures move at once."""
    actor, _, campaign_id = await sending(runtime, PEOPLE)
    await drain(doubtful, actor, campaign_id)
    lookup = await reserved_lookup(runtime, actor, campaign_id)
    messages = {str(row.id): f"m-{row.id}" for row in lookup.rows if found}
    async with runtime.work.begin(actor) as uow:
        await record_lookup(uow, campaign_id, lookup, messages, grace_seconds=3600)
        assert list(uow.events) == [campaign_topic(actor.organization_id, campaign_id)]


async def test_lookups_are_spread_over_the_grace_period(runtime: Runtime, doubtful: Sender) -> None:
    """One at once, one in the middle and one at the end: nothing is sent again before the whole time is over."""
    actor, _, campaign_id = await sending(runtime, PEOPLE)
    await drain(doubtful, actor, campaign_id)
    wait = func.extract("epoch", EmailDelivery.next_lookup_at - func.clock_timestamp())
    for _ in range(2):
        lookup = await reserved_lookup(runtime, actor, campaign_id)
        assert await write_down(runtime, actor, campaign_id, lookup) == {DeliveryStatus.UNKNOWN}
        waits = [float(row[0]) for row in await runtime.reads(actor.tenant).rows(select(wait))]
        assert len(waits) == PEOPLE
        assert 1_700 < min(waits) <= max(waits) <= 1_800
        await expire_leases(runtime, actor, campaign_id)
    lookup = await reserved_lookup(runtime, actor, campaign_id)
    assert await write_down(runtime, actor, campaign_id, lookup) == {DeliveryStatus.PENDING}


async def test_nobody_else_looks_at_the_same_time(runtime: Runtime, doubtful: Sender) -> None:
    """What is reserved is not due for others until the reservation is over."""
    actor, _, campaign_id = await sending(runtime, PEOPLE)
    await drain(doubtful, actor, campaign_id)
    await reserved_lookup(runtime, actor, campaign_id)
    async with runtime.work.begin(actor) as uow:
        assert await reserve_due(uow, campaign_id) is None


@pytest.mark.parametrize("in_progress", [True, False])
async def test_who_has_not_answered_is_asked_later(runtime: Runtime, doubtful: Sender, *, in_progress: bool) -> None:
    """A request that may still be at work has as long again as it had before anybody looks it up."""
    doubtful.mailer = RecordingMailer(lambda *_: InDoubt(reason="No answer.", in_progress=in_progress))
    actor, _, campaign_id = await sending(runtime, PEOPLE)
    await drain(doubtful, actor, campaign_id)
    async with runtime.work.begin(actor) as uow:
        assert (await reserve_due(uow, campaign_id) is None) is in_progress


async def test_an_empty_look_is_about_its_own_batch(runtime: Runtime, doubtful: Sender) -> None:
    """That a search for another batch showed nothing says nothing, even at the last lookup."""
    actor, _, campaign_id = await sending(runtime, PEOPLE)
    await drain(doubtful, actor, campaign_id)
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(EmailDelivery).where(EmailDelivery.campaign_id == campaign_id).values(lookups=2))
    lookup = await reserved_lookup(runtime, actor, campaign_id)
    other = lookup._replace(batch_id=new_id())
    assert await write_down(runtime, actor, campaign_id, other) == {DeliveryStatus.UNKNOWN}
    late = lookup._replace(rows=[row._replace(due_at=row.due_at - timedelta(1)) for row in lookup.rows])
    assert await write_down(runtime, actor, campaign_id, late) == {DeliveryStatus.UNKNOWN}
    miscounted = lookup._replace(rows=[row._replace(lookups=1) for row in lookup.rows])
    assert await write_down(runtime, actor, campaign_id, miscounted) == {DeliveryStatus.UNKNOWN}
    assert await write_down(runtime, actor, campaign_id, lookup) == {DeliveryStatus.PENDING}


async def test_a_late_look_that_finds_is_believed(runtime: Runtime, doubtful: Sender, mailer: ModelMailer) -> None:
    """However long it took, what the provider's search shows has been sent."""
    actor, _, campaign_id = await sending(runtime, PEOPLE)
    await drain(doubtful, actor, campaign_id)
    lookup = await reserved_lookup(runtime, actor, campaign_id)
    found = dict(await mailer.find(str(lookup.batch_id)))
    await expire_leases(runtime, actor, campaign_id)
    await reserved_lookup(runtime, actor, campaign_id)
    assert await write_down(runtime, actor, campaign_id, lookup, found) == {DeliveryStatus.ACCEPTED}


async def test_every_batch_is_looked_for_in_a_round(runtime: Runtime, provider: Provider, sender: Sender) -> None:
    """A campaign with several doubtful batches has all of them found by one round."""
    actor, contacts, campaign_id = await sending(runtime, 1_100)
    await provider.fail(server_error_after_accept={"count": 3})
    for _ in range(3):
        await sender.send_batch(actor, campaign_id)
    assert (await progress(runtime, actor, campaign_id)).counts.unknown == len(contacts)
    now = await finish(runtime, sender, actor, campaign_id)
    assert now.status == CampaignStatus.SENT
    ledger = await provider.ledger(campaign_id)
    assert len(ledger) == len(set(recipients(ledger))) == len(contacts)


class SlowSearch(ModelMailer):
    """A provider whose search takes its time."""

    async def find(self, batch_id: str, stream: Stream = Stream.BROADCAST) -> Mapping[str, str]:
        """The messages of a batch, later."""
        await asyncio.sleep(0.2)
        return await super().find(batch_id, stream)


async def send_one_by_one(sender: Sender, actor: Actor, campaign_id: UUID) -> None:
    """Send the campaign in batches of one message."""
    sender.settings = sender.settings.model_copy(update={"batch_size": 1})
    for _ in range(PEOPLE):
        await sender.send_batch(actor, campaign_id)


async def test_a_search_that_fails_ends_the_round(runtime: Runtime, doubtful: Sender, mailer: ModelMailer) -> None:
    """The provider that does not answer about one batch is not asked about the next; the rows wait as they are."""
    actor, _, campaign_id = await sending(runtime, PEOPLE)
    await send_one_by_one(doubtful, actor, campaign_id)
    mailer.search_fails = True
    with capture_logs() as logs:
        assert await reconcile(runtime.work, mailer, actor, campaign_id, grace_seconds=3600) == 0
    assert [line["event"] for line in logs].count("batch lookup failed, will be retried") == 1
    mailer.search_fails = False
    assert await reconcile(runtime.work, mailer, actor, campaign_id, grace_seconds=3600) == PEOPLE - 1


async def test_a_round_ends_with_its_time(runtime: Runtime, doubtful: Sender) -> None:
    """However many batches wait: a search that takes long leaves them to the next round."""
    actor, _, campaign_id = await sending(runtime, PEOPLE)
    await send_one_by_one(doubtful, actor, campaign_id)

    async def reserve(uow: UnitOfWork, asked: Sequence[UUID]) -> Lookup | None:
        return await reserve_due(uow, campaign_id, asked)

    async def record(uow: UnitOfWork, lookup: Lookup, found: Mapping[str, str]) -> None:
        await record_lookup(uow, campaign_id, lookup, found, grace_seconds=3600)

    once = partial(
        look_up, runtime.work, SlowSearch(), actor, stream=Stream.BROADCAST, reserve=reserve, record=record
    )
    assert await once(within_seconds=0.1) == 1
    assert await once() == PEOPLE - 1


async def look_until_decided(
    runtime: Runtime, sender: Sender, actor: Actor, campaign_id: UUID, grace_seconds: float
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


async def test_the_grace_outlasts_a_search_that_lags(runtime: Runtime, provider: Provider, sender: Sender) -> None:
    """The search shows a message a second late: with a grace of two its doubt ends in the one message it has."""
    actor, contacts, campaign_id = await sending(runtime, 5)
    await provider.fail(server_error_after_accept={"count": 1}, search_lag_seconds={"seconds": 1})
    await drain(sender, actor, campaign_id)
    assert await look_until_decided(runtime, sender, actor, campaign_id, 2.0) == 0
    assert (await finish(runtime, sender, actor, campaign_id)).status == CampaignStatus.SENT
    assert len(await provider.ledger(campaign_id)) == len(contacts)


async def test_a_search_that_lags_beyond_the_grace_is_taken_at_its_word(
    runtime: Runtime, provider: Provider, sender: Sender
) -> None:
    """The stated limit: what the search does not show within the grace period counts as absent, and is sent again."""
    actor, contacts, campaign_id = await sending(runtime, 5)
    await provider.fail(server_error_after_accept={"count": 1}, search_lag_seconds={"seconds": 3600})
    await drain(sender, actor, campaign_id)
    assert await look_until_decided(runtime, sender, actor, campaign_id, 0.2) == len(contacts)
