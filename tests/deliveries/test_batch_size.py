"""A batch has a limit of time and of memory: what exceeds it is released, and delays no other campaign."""

import asyncio
import sys
import time
from uuid import UUID

import pytest
from sqlalchemy import update

from core import clock
from core.access.actor import Actor
from core.clock import since_boot
from integrations.mail import (
    AccountRefused,
    BatchHeader,
    BatchProcessed,
    Message,
    NotSent,
    SubmissionResult,
    SubmissionStatus,
)
from models.campaigns import Campaign, CampaignStatus
from runtime import Runtime
from services.deliveries import rendering
from services.deliveries.claiming import START
from services.deliveries.sending import CampaignSender
from services.mailing import leases
from services.mailing.handover import RequestOutcome, hand_over
from services.mailing.leases import LeaseTimes, lease_times
from settings import Settings
from tests import factories
from tests.clocks import suspend
from tests.deliveries.conftest import Provider, sender_for
from tests.deliveries.model import ModelMailer
from tests.deliveries.worker import drain, finish, progress, recipients, sending, start

SLOW = "{% for i in (1..2000) %}{{ contact.firstName | upcase | downcase | append: 'x' }}{% endfor %}"
LARGE = "{% for i in (1..2000) %}" + 200 * "x" + "{% endfor %}"
HEADER = BatchHeader(sender="a@b.example", campaign_id="c", batch_id="b", tag="t")
MESSAGE = Message("d", "a@b.example", "s", "<p>h</p>", "t", "https://x.example/u/1")
TIMES = LeaseTimes(lease=60, render=6, request=30, needed=36)


async def campaign_of(runtime: Runtime, html: str, how_many: int) -> tuple[Actor, UUID]:
    """A campaign with this content to so many contacts, in `sending`."""
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, how_many)
    campaign_id = await factories.campaign(runtime, actor)
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(html_content=html))
    await start(runtime, actor, campaign_id)
    return actor, campaign_id


def with_short_lease(settings: Settings, lease_seconds: float) -> Settings:
    """The settings with a short lease."""
    return settings.model_copy(
        update={"sending": settings.sending.model_copy(update={"lease_seconds": lease_seconds})}
    )


async def test_a_batch_that_renders_too_slowly_is_made_smaller(
    runtime: Runtime, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty slow messages exceed the time limit: a batch sends those rendered so far, and the next is smaller."""
    monkeypatch.setattr(leases, "RENDER_SHARE", 0.002)  # of a minute; the rest is a reserve for other delays
    actor, campaign_id = await campaign_of(runtime, SLOW, 30)
    sender = sender_for(runtime, provider, with_short_lease(runtime.settings, 60.0))
    first = await sender.send_batch(actor, campaign_id)
    assert first.claimed == 30
    assert 0 < first.handed_over < 15
    assert (await progress(runtime, actor, campaign_id)).counts.pending == 30 - first.handed_over
    second = await sender.send_batch(actor, campaign_id)
    assert second.claimed == first.handed_over
    now = await send_all(runtime, sender, actor, campaign_id)
    assert now is CampaignStatus.SENT
    messages = await provider.messages(campaign_id)
    assert len(messages) == len(set(recipients(messages))) == 30


async def send_all(runtime: Runtime, sender: CampaignSender, actor: Actor, campaign_id: UUID) -> CampaignStatus:
    """Send until nothing can be claimed, and finish."""
    while (await sender.send_batch(actor, campaign_id)).claimed:
        pass
    return (await finish(runtime, sender, actor, campaign_id)).status


async def test_slow_templates_do_not_delay_another_organization(runtime: Runtime, provider: Provider) -> None:
    """While one organization's messages are rendered, another's campaign is sent."""
    slow, slow_campaign = await campaign_of(runtime, SLOW, 400)
    quick, contacts, quick_campaign = await sending(runtime, 100)
    sender = sender_for(runtime, provider, with_short_lease(runtime.settings, 2.0))
    sender.add(slow.organization_id, slow_campaign)
    loops = [asyncio.create_task(sender.send_loop()) for _ in range(runtime.settings.sending.concurrent_batches)]
    await asyncio.sleep(0.1)
    sender.add(quick.organization_id, quick_campaign)
    try:
        async with asyncio.timeout(60):
            while len(await provider.messages(quick_campaign)) < len(contacts):  # noqa: ASYNC110 - asked over HTTP
                await asyncio.sleep(0.05)
        counts = (await progress(runtime, slow, slow_campaign)).counts
        assert counts.pending + counts.in_flight > 0  # in flight: claimed, and perhaps not even rendered yet
    finally:
        sender.stop()
        await asyncio.gather(*loops)


async def test_a_batch_has_a_limit_of_memory(
    runtime: Runtime, sender: CampaignSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short template whose messages are large makes small batches; every message is sent once."""
    actor, campaign_id = await campaign_of(runtime, LARGE, 12)
    content = await sender.content_of(actor, campaign_id)
    assert content is not None
    assert content.batch_size > 12
    monkeypatch.setattr(rendering, "MEMORY_BYTES", 3_000_000)
    first = await sender.send_batch(actor, campaign_id)
    assert first.claimed == 12
    assert 1 <= first.handed_over < 6
    assert await drain(sender, actor, campaign_id) >= 12 - first.handed_over
    assert (await progress(runtime, actor, campaign_id)).counts.accepted == 12


async def test_a_batch_has_at_least_one_message(
    runtime: Runtime, sender: CampaignSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message larger than the limit is sent alone, so that the campaign continues."""
    actor, campaign_id = await campaign_of(runtime, LARGE, 2)
    monkeypatch.setattr(rendering, "MEMORY_BYTES", 1)
    assert await drain(sender, actor, campaign_id) == 2
    assert (await progress(runtime, actor, campaign_id)).counts.accepted == 2


async def test_batches_grow_again(runtime: Runtime, sender: CampaignSender) -> None:
    """A campaign whose batches were made smaller gets its full size back while all messages can be rendered."""
    actor, _, campaign_id = await sending(runtime, 40)
    content = await sender.content_of(actor, campaign_id)
    assert content is not None
    sender.resize(campaign_id, 2, shrink=True)
    sizes = [(await sender.send_batch(actor, campaign_id)).claimed for _ in range(4)]
    assert sizes == [2, 4, 8, 16]
    sender.resize(campaign_id, 10_000)
    assert sender.contents[campaign_id].batch_size == content.max_batch_size


async def test_no_request_starts_near_the_end_of_the_lease() -> None:
    """If less than the time of a request is left, the provider is not called."""
    mailer = ModelMailer()
    outcomes = await hand_over(mailer, HEADER, [MESSAGE], deadline=since_boot() + 29, times=TIMES)
    assert outcomes == [RequestOutcome([MESSAGE], NotSent(reason="The lease was nearly over.", caused_locally=True))]
    assert mailer.accepted == []


async def test_a_request_ends_within_its_lease() -> None:
    """The mailer's deadline is the time of a request, and not later than the end of the lease."""
    mailer = ModelMailer()
    began = since_boot()
    deadline = began + 90
    [request] = await hand_over(mailer, HEADER, [MESSAGE], deadline=deadline, times=TIMES)
    assert isinstance(request.outcome, BatchProcessed)
    [not_after] = mailer.deadlines
    assert began + 30 <= not_after <= min(deadline, since_boot() + 30)


async def test_a_local_cause_does_not_back_off(runtime: Runtime, sender: CampaignSender) -> None:
    """An expired lease makes the campaign's next batch smaller; an error of the provider backs off."""
    actor, _, campaign_id = await sending(runtime, 2)
    await sender.content_of(actor, campaign_id)
    sender.cursors[campaign_id] = START
    late = RequestOutcome([MESSAGE] * 20, NotSent(reason="The lease was nearly over.", caused_locally=True))
    await sender.apply_backpressure(actor, campaign_id, [late])
    assert sender.backoff.failures == 0
    assert sender.contents[campaign_id].batch_size == 10
    assert campaign_id not in sender.cursors
    await sender.apply_backpressure(actor, campaign_id, [RequestOutcome([MESSAGE], NotSent(reason="429"))])
    assert sender.backoff.failures == 1
    assert sender.backoff.until > 0


async def test_a_success_resets_the_back_off(runtime: Runtime, provider: Provider, sender: CampaignSender) -> None:
    """The pause after a later error is as short as the first one."""
    actor, _, campaign_id = await sending(runtime, 2)
    await provider.fail(http_status={"status": 429, "error_code": 429, "count": 4})
    for failures in (1, 2, 3, 4):
        sender.backoff.until = 0.0
        await sender.send_batch(actor, campaign_id)
        assert sender.backoff.failures == failures
    sender.backoff.until = 0.0
    assert (await sender.send_batch(actor, campaign_id)).handed_over == 2
    assert (sender.backoff.failures, sender.backoff.remaining) == (0, 0)
    assert sender.backoff.fail() <= sender.backoff.backoff.initial


async def test_released_deliveries_are_claimed_first(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """After an error the next claim starts at the first pending delivery, not after the failed batch."""
    actor, _, campaign_id = await sending(runtime, 4)
    await sender.content_of(actor, campaign_id)
    sender.resize(campaign_id, 2, shrink=True)
    await provider.fail(http_status={"status": 429, "error_code": 429, "count": 1})
    assert (await sender.send_batch(actor, campaign_id)).claimed == 2
    assert await provider.messages(campaign_id) == []
    assert (await sender.send_batch(actor, campaign_id)).claimed == 4
    assert len(await provider.messages(campaign_id)) == 4


@pytest.mark.parametrize(
    "submission_status",
    [
        SubmissionStatus.ACCEPTED,
        SubmissionStatus.REFUSED,
        SubmissionStatus.RETRY_LATER,
        SubmissionStatus.ACCOUNT_REFUSED,
    ],
)
async def test_one_receipt_may_concern_the_account(
    runtime: Runtime, sender: CampaignSender, submission_status: SubmissionStatus
) -> None:
    """Retry later: the process backs off. Account refused: the campaign is paused with the reason."""
    actor, _, campaign_id = await sending(runtime, 2)
    results = [
        SubmissionResult(SubmissionStatus.ACCEPTED, "m"),
        SubmissionResult(submission_status, None, 1, "Words."),
    ]
    await sender.apply_backpressure(
        actor, campaign_id, [RequestOutcome([MESSAGE] * 2, BatchProcessed(results=results))]
    )
    assert sender.backoff.failures == (1 if submission_status is SubmissionStatus.RETRY_LATER else 0)
    now = await progress(runtime, actor, campaign_id)
    paused = submission_status is SubmissionStatus.ACCOUNT_REFUSED
    assert (now.status == CampaignStatus.PAUSED, now.status_reason) == (paused, "Words." if paused else None)


async def test_untried_messages_do_not_hide_the_cause(runtime: Runtime, sender: CampaignSender) -> None:
    """Requests that were not tried after a refusal of the account: the campaign is paused."""
    actor, _, campaign_id = await sending(runtime, 2)
    parts = [
        RequestOutcome([MESSAGE], NotSent(reason="Not tried.", caused_locally=True)),
        RequestOutcome([MESSAGE], AccountRefused(code=405, reason="Pay.")),
    ]
    await sender.apply_backpressure(actor, campaign_id, parts)
    assert (await progress(runtime, actor, campaign_id)).status == CampaignStatus.PAUSED


def test_the_times_fit_into_the_lease() -> None:
    """Rendering, the longest request and a margin fit into a lease of any length."""
    for seconds in (1.0, 60.0, 3600.0):
        times = lease_times(seconds, request_seconds=60.0)
        assert times.render + times.needed < times.lease == seconds


async def test_the_time_of_a_suspended_host_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a suspension longer than the lease, nothing is handed to the provider."""
    mailer = ModelMailer()
    deadline = since_boot() + 90
    assert await hand_over(mailer, HEADER, [MESSAGE], deadline=deadline, times=TIMES)
    assert clock.SINCE_BOOT == time.CLOCK_BOOTTIME or sys.platform != "linux"
    suspend(monkeypatch, 120)
    outcomes = await hand_over(mailer, HEADER, [MESSAGE], deadline=deadline, times=TIMES)
    assert outcomes == [RequestOutcome([MESSAGE], NotSent(reason="The lease was nearly over.", caused_locally=True))]
    assert len(mailer.accepted) == 1
