"""A worker without a vendor: existing work waits, shows the reason, and continues later."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, update

from core import clock
from core.access.actor import Actor
from core.clock import since_boot
from core.ids import new_id
from integrations.mail import BatchHeader, Message, NotSent, SearchFailed
from integrations.recording import RecordingMailer
from integrations.switched_off import NoMailer, NoModel
from jobs import JOBS
from jobs.outbox import reconcile_outbox, send_outbox
from jobs.worker import build_worker
from models.campaigns import Campaign, CampaignStatus
from models.conversations import MessageStatus, ReplyFailure
from models.deliveries import DeliveryStatus, EmailDelivery
from models.outbox import OutboxStatus
from runtime import Runtime
from services.campaigns.lifecycle import change_status
from services.deliveries.waiting import SENDING_DISABLED_REASON, set_waiting_reason
from services.features import Feature, Features
from services.outbox.work import ReconcileOutbox, SendOutbox
from tests import factories
from tests.deliveries.model import ModelMailer
from tests.deliveries.test_jobs import with_short_times, worker
from tests.deliveries.worker import progress, sending, statuses
from tests.maya.conftest import start_chat
from tests.outbox.mailing import expire_all, outbox_of, put, rows
from tests.waiting import until

OFF = Features(off=frozenset({Feature.SENDING}))


@pytest.fixture
def off(fresh_runtime: Runtime) -> Runtime:
    """An installation whose mail provider is no longer configured."""
    return replace(fresh_runtime, settings=with_short_times(fresh_runtime.settings), mailer=NoMailer(), features=OFF)


def on(runtime: Runtime, mailer: RecordingMailer) -> Runtime:
    """The same installation with a provider."""
    return replace(runtime, mailer=mailer, features=Features())


async def due(runtime: Runtime) -> tuple[Actor, UUID]:
    """A campaign that has been due for an hour."""
    owner = await factories.organization(runtime)
    await factories.contacts(runtime, owner, 2)
    campaign_id = await factories.campaign(runtime, owner)
    async with runtime.work.begin(owner) as uow:
        await change_status(
            uow,
            campaign_id,
            CampaignStatus.SCHEDULED,
            scheduled_at=clock.now() - timedelta(hours=1),
            from_header=factories.FROM,
        )
    return owner, campaign_id


async def status_of(runtime: Runtime, owner: Actor, campaign_id: UUID) -> tuple[CampaignStatus, str | None]:
    """A campaign's status and reason."""
    row = await progress(runtime, owner, campaign_id)
    return row.status, row.status_reason


async def test_campaigns_wait_with_a_reason(off: Runtime) -> None:
    """A due campaign and one in `sending` wait with a reason and unclaimed deliveries, and continue later."""
    owner, scheduled = await due(off)
    other, _, live = await sending(off, 3)

    async def waits() -> bool:
        return await status_of(off, owner, scheduled) == (CampaignStatus.SCHEDULED, SENDING_DISABLED_REASON) and (
            await status_of(off, other, live) == (CampaignStatus.SENDING, SENDING_DISABLED_REASON)
        )

    async with worker(off):
        await until(waits)
    assert set((await statuses(off, other, live)).values()) == {DeliveryStatus.PENDING}
    assert await statuses(off, owner, scheduled) == {}
    mailer = RecordingMailer()

    async def sent() -> bool:
        both = [await status_of(off, owner, scheduled), await status_of(off, other, live)]
        return both == [(CampaignStatus.SENT, None)] * 2

    async with worker(on(off, mailer)):
        await until(sent)
    assert len(mailer.sent) == 5


async def test_reason_is_removed_when_sending_is_on(off: Runtime) -> None:
    """When there is a provider, the reason is removed, even while that provider rejects every message."""
    owner, _, live = await sending(off, 1)
    async with off.work.begin(owner) as uow:
        await uow.execute(update(Campaign).values(status_reason=SENDING_DISABLED_REASON))
    refusing = RecordingMailer(lambda *_: NotSent(reason="429"))
    async with worker(on(off, refusing)):

        async def removed() -> bool:
            return (await status_of(off, owner, live))[1] is None

        await until(removed)


async def test_reason_of_a_user_is_unchanged(off: Runtime) -> None:
    """A paused campaign does not wait for the provider, so its reason is unchanged."""
    owner, _, live = await sending(off, 1)
    async with off.work.begin(owner) as uow:
        await change_status(uow, live, CampaignStatus.PAUSED, reason="Paused by a user.")
    other, _, second = await sending(off, 1)

    async def waits() -> bool:
        return (await status_of(off, other, second))[1] == SENDING_DISABLED_REASON

    async with worker(off):
        await until(waits)
    assert await status_of(off, owner, live) == (CampaignStatus.PAUSED, "Paused by a user.")


@pytest.mark.parametrize(
    ("status", "reason"),
    [(CampaignStatus.PAUSED, "Paused by a user."), (CampaignStatus.CANCELLING, "Cancelled by a user.")],
)
async def test_unknown_messages_keep_a_campaign_waiting(off: Runtime, status: CampaignStatus, reason: str) -> None:
    """Only the provider knows whether they were sent: the campaign shows that after its own reason."""
    owner, _, live = await sending(off, 1)
    async with off.work.begin(owner) as uow:
        await uow.execute(
            update(EmailDelivery).values(
                status=DeliveryStatus.UNKNOWN, batch_id=new_id(), next_lookup_at=func.clock_timestamp()
            )
        )
        await change_status(uow, live, status, reason=reason)

    async def waits() -> bool:
        return await status_of(off, owner, live) == (status, f"{reason} {SENDING_DISABLED_REASON}")

    async with worker(off):
        await until(waits)

    async def removed() -> bool:
        return (await status_of(off, owner, live))[1] in (reason, None)

    async with worker(on(off, RecordingMailer())):
        await until(removed)


async def test_concurrent_reason_is_not_overwritten(off: Runtime) -> None:
    """A reason that was written after the campaign was read is not overwritten."""
    owner, _, live = await sending(off, 1)
    async with off.work.begin(owner) as uow:
        await uow.execute(update(Campaign).values(status_reason="Check this."))
        await set_waiting_reason(uow, live, None, is_waiting=True)
        await set_waiting_reason(uow, live, SENDING_DISABLED_REASON, is_waiting=False)
    assert await status_of(off, owner, live) == (CampaignStatus.SENDING, "Check this.")


async def test_system_mail_waits(off: Runtime) -> None:
    """System mail stays pending, and no attempt is counted."""
    owner = await factories.organization(off)
    await put(off, owner)
    job = SendOutbox(organization_id=owner.organization_id)
    await send_outbox(build_worker(off, JOBS), job)
    [row] = await rows(off, owner)
    assert (row.status, row.attempts, row.error_message) == (OutboxStatus.PENDING, 0, None)


async def test_unknown_system_mail_waits(off: Runtime) -> None:
    """It stays `unknown` without a provider; with one it is looked up and `accepted`."""
    owner = await factories.organization(off)
    await put(off, owner)
    mailer = ModelMailer(outcome="failed after")
    await outbox_of(off, mailer).send_due(owner)
    await expire_all(off, owner)
    job = ReconcileOutbox(organization_id=owner.organization_id)
    for runtime, expected in (
        (off, OutboxStatus.UNKNOWN),
        (replace(off, mailer=mailer, features=Features()), OutboxStatus.ACCEPTED),
    ):
        await reconcile_outbox(build_worker(runtime, JOBS), job)
        [row] = await rows(off, owner)
        assert (row.status, row.lookups) == (expected, 0)


async def test_no_mailer() -> None:
    """`NoMailer` reports messages as not sent, for a local reason, and every search as failed."""
    header = BatchHeader(sender=factories.FROM, campaign_id="c", batch_id="b", tag="t")
    message = Message("d", "a@b.example", "s", "<p>h</p>", "t", None)
    outcome = await NoMailer().send(header, [message], not_after=since_boot() + 60)
    assert isinstance(outcome, NotSent)
    assert outcome.caused_locally
    with pytest.raises(SearchFailed):
        await NoMailer().search_batch("b")


async def test_reply_without_a_model_fails(off: Runtime) -> None:
    """A reply that was requested before fails with a reason, instead of waiting for ever."""
    chat = await start_chat(replace(off, language_model=NoModel()))
    reply = await chat.run(await chat.ask())
    assert (reply.status, reply.error_code) == (MessageStatus.FAILED, ReplyFailure.MODEL_REFUSED)
    assert (reply.error_message or "").startswith("Maya is disabled in this installation.")
