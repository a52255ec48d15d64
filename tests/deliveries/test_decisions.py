"""Resolving deliveries in doubt by a user's decision."""

import asyncio
from functools import partial
from uuid import UUID

from sqlalchemy import select, text, update

from core.access.actor import user_actor
from core.access.permissions import Role
from core.ids import encode_global_id, new_id
from models.audit import AuditEvent
from models.campaigns import CampaignStats, CampaignStatus
from models.deliveries import DeliveryResolution, DeliveryStatus, EmailDelivery
from runtime import Runtime
from services.campaigns.work import AdvanceCampaign, SendBatches
from services.deliveries.resolving import resolve
from services.deliveries.sending import CampaignSender
from services.deliveries.sweeping import advance_campaign
from tests import factories
from tests.campaigns.calls import ERRORS, caller, gid
from tests.client import ApiClient
from tests.deliveries.calls import RESOLVE, list_deliveries, resolve_delivery, resolve_refused, send_in_doubt
from tests.deliveries.model import ModelMailer
from tests.deliveries.worker import drain, finish, go, progress, sending
from tests.inbox import apply_inbox, deliver
from tests.waiting import until


async def test_sent_accepts_the_delivery(
    api: ApiClient, runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer
) -> None:
    """With the last issue resolved the campaign becomes SENT immediately, and no message is sent."""
    owner, campaign_id = await send_in_doubt(runtime, scripted_sender, mailer, 2)
    mine = caller(api, runtime, owner)
    campaign = await list_deliveries(mine, campaign_id, "FAILED")
    assert "2 messages whose outcome was not determined" in campaign["statusReason"]
    assert "resolveDelivery" in campaign["statusReason"]
    first, second = (one["id"] for one in campaign["deliveries"]["nodes"])
    payload = await resolve_delivery(mine, first, "SENT")
    assert (payload["delivery"]["state"], payload["delivery"]["reason"]) == ("ACCEPTED", None)
    assert payload["campaign"]["status"] == "SENT_WITH_ISSUES"
    assert payload["campaign"]["statusReason"].startswith("1 message whose outcome was not determined")
    sent_at = payload["campaign"]["sentAt"]
    payload = await resolve_delivery(mine, second, "SENT")
    assert payload["campaign"]["status"] == "SENT"
    assert payload["campaign"]["statusReason"] is None
    assert payload["campaign"]["sentAt"] == sent_at
    counts = (await progress(runtime, owner, campaign_id)).counts
    assert (counts.accepted, counts.failed) == (2, 0)
    assert mailer.accepted == []


async def test_not_sent_remains_an_issue(
    api: ApiClient, runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer
) -> None:
    """The delivery stays FAILED with the decision as its reason; it can still be sent again."""
    owner, campaign_id = await send_in_doubt(runtime, scripted_sender, mailer, 1)
    mine = caller(api, runtime, owner)
    (one,) = (await list_deliveries(mine, campaign_id))["deliveries"]["nodes"]
    payload = await resolve_delivery(mine, one["id"], "NOT_SENT")
    assert payload["delivery"]["state"] == "FAILED"
    assert payload["delivery"]["reason"] == "A user decided that it was not sent."
    assert payload["campaign"]["status"] == "SENT_WITH_ISSUES"
    payload = await resolve_delivery(mine, one["id"], "SEND_AGAIN")
    assert payload["delivery"]["state"] == "PENDING"


async def test_send_again_uses_a_new_batch(
    api: ApiClient, runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer
) -> None:
    """The campaign is SENDING, the message is sent once in another batch, and the campaign is SENT."""
    owner, campaign_id = await send_in_doubt(runtime, scripted_sender, mailer, 2)
    mine = caller(api, runtime, owner)
    rows = await runtime.reads(owner.tenant).rows(select(EmailDelivery.id, EmailDelivery.batch_id))
    before = {encode_global_id("Delivery", row.id): row.batch_id for row in rows}
    first, second = sorted(before)
    payload = await resolve_delivery(mine, first, "SEND_AGAIN")
    assert (payload["campaign"]["status"], payload["campaign"]["sentAt"]) == ("SENDING", None)
    waiting = await runtime.reads(owner.tenant).rows(
        select(EmailDelivery.batch_id, EmailDelivery.submitted_at).where(EmailDelivery.status == "pending")
    )
    assert [tuple(row) for row in waiting] == [(None, None)]
    now = await finish(runtime, scripted_sender, owner, campaign_id)
    assert now.status == CampaignStatus.SENT_WITH_ISSUES
    (message,) = mailer.accepted
    assert encode_global_id("Delivery", UUID(message.delivery_id)) == first
    assert UUID(message.batch_id) != before[first]
    await resolve_delivery(mine, second, "SEND_AGAIN")
    assert (await finish(runtime, scripted_sender, owner, campaign_id)).status == CampaignStatus.SENT
    assert len(mailer.accepted) == 2


async def test_a_decision_finishes_the_campaign_without_a_sweep(
    runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer
) -> None:
    """If it was the last open message, a job is enqueued that finishes the campaign."""
    owner, _, campaign_id = await sending(runtime, 3)
    mailer.outcome = "failed before"
    await drain(scripted_sender, owner, campaign_id)
    rows = await runtime.reads(owner.tenant).rows(select(EmailDelivery.id))
    advance = AdvanceCampaign(organization_id=owner.organization_id, campaign_id=campaign_id)
    send = SendBatches(organization_id=owner.organization_id, campaign_id=campaign_id)
    for row, resolution in zip(rows, DeliveryResolution, strict=True):
        async with runtime.work.begin(owner) as uow:
            await resolve(uow, row.id, resolution, policy=runtime.sender_policy)
            assert uow.jobs == [send if resolution is DeliveryResolution.SEND_AGAIN else advance]


async def test_unknown_deliveries_can_be_resolved(
    api: ApiClient, runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer
) -> None:
    """Of a campaign that is SENDING: SENT accepts, NOT_SENT fails, SEND_AGAIN makes pending."""
    owner, _, campaign_id = await sending(runtime, 3)
    mailer.outcome = "failed before"
    await drain(scripted_sender, owner, campaign_id)
    mine = caller(api, runtime, owner)
    unknown = (await list_deliveries(mine, campaign_id, "UNKNOWN"))["deliveries"]["nodes"]
    for one, decision in zip(unknown, ("SENT", "NOT_SENT", "SEND_AGAIN"), strict=True):
        assert (await resolve_delivery(mine, one["id"], decision))["campaign"]["status"] == "SENDING"
    counts = (await progress(runtime, owner, campaign_id)).counts
    assert (counts.accepted, counts.failed, counts.pending, counts.unknown) == (1, 1, 1, 0)
    mailer.outcome = "ok"
    now = await finish(runtime, scripted_sender, owner, campaign_id)
    assert now.status == CampaignStatus.SENT_WITH_ISSUES
    assert len(mailer.accepted) == 1


async def test_other_deliveries_cannot_be_resolved(
    api: ApiClient, runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer
) -> None:
    """A delivery whose outcome is known is unchanged, and the error has its state."""
    owner, _, campaign_id = await sending(runtime, 1)
    mine = caller(api, runtime, owner)
    (pending,) = (await list_deliveries(mine, campaign_id))["deliveries"]["nodes"]
    error = await resolve_refused(mine, pending["id"], "NOT_SENT")
    assert (error["code"], error["field"]) == ("INVALID_STATE", ["input", "deliveryId"])
    assert "pending" in error["message"]
    assert "UNKNOWN or FAILED" in error["suggestion"]
    await finish(runtime, scripted_sender, owner, campaign_id)
    assert (await resolve_refused(mine, pending["id"], "SEND_AGAIN"))["code"] == "INVALID_STATE"
    assert len(mailer.accepted) == 1
    unknown = encode_global_id("Delivery", new_id())
    assert (await resolve_refused(mine, unknown, "SENT"))["code"] == "NOT_FOUND"
    assert (await resolve_refused(mine, gid(campaign_id), "SENT"))["code"] == "NOT_FOUND"


async def test_send_again_is_refused_for_a_cancelled_campaign(
    api: ApiClient, runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer
) -> None:
    """The error has the alternatives; SENT and NOT_SENT are possible."""
    owner, _, campaign_id = await sending(runtime, 2)
    mailer.outcome = "failed before"
    await drain(scripted_sender, owner, campaign_id)
    await go(runtime, owner, campaign_id, CampaignStatus.CANCELLING)
    mine = caller(api, runtime, owner)
    one, other = (await list_deliveries(mine, campaign_id, "UNKNOWN"))["deliveries"]["nodes"]
    error = await resolve_refused(mine, one["id"], "SEND_AGAIN")
    assert (error["code"], error["field"]) == ("INVALID_STATE", ["input", "as"])
    assert "duplicateCampaign" in error["suggestion"]
    assert (await resolve_delivery(mine, one["id"], "NOT_SENT"))["campaign"]["status"] == "CANCELLING"
    await resolve_delivery(mine, other["id"], "SENT")
    await advance_campaign(runtime.work, owner, campaign_id)
    assert (await progress(runtime, owner, campaign_id)).status == CampaignStatus.CANCELLED
    assert (await resolve_refused(mine, one["id"], "SEND_AGAIN"))["code"] == "INVALID_STATE"


async def test_a_finished_campaign_cannot_be_resumed(
    api: ApiClient, runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer
) -> None:
    """`resumeCampaign` is for paused campaigns; one with issues continues by `resolveDelivery` alone."""
    owner, campaign_id = await send_in_doubt(runtime, scripted_sender, mailer, 1)
    resume = f"mutation ($input: ResumeCampaignInput!) {{ resumeCampaign(input: $input) {{ {ERRORS} }} }}"
    data = await caller(api, runtime, owner).execute(resume, {"input": {"campaignId": gid(campaign_id)}})
    assert data["resumeCampaign"]["userErrors"][0]["code"] == "INVALID_STATE"


async def test_a_decision_is_audited(
    api: ApiClient, runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer
) -> None:
    """The audit record has the user, the delivery, the decision, and the state before."""
    owner, campaign_id = await send_in_doubt(runtime, scripted_sender, mailer, 1)
    mine = caller(api, runtime, owner)
    (one,) = (await list_deliveries(mine, campaign_id))["deliveries"]["nodes"]
    await resolve_delivery(mine, one["id"], "SEND_AGAIN")
    await resolve_refused(mine, one["id"], "SENT")
    rows = await runtime.reads(owner.tenant).rows(
        select(AuditEvent.user_id, AuditEvent.target_id, AuditEvent.changes).where(
            AuditEvent.action == "delivery.resolved"
        )
    )
    (row,) = rows
    assert row.user_id == owner.user_id
    assert encode_global_id("Delivery", row.target_id) == one["id"]
    assert row.changes == {"campaign": str(campaign_id), "from": "failed", "as": "send_again"}


async def test_resolving_requires_the_permission_to_send(
    api: ApiClient, runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer
) -> None:
    """A viewer can read the deliveries, but not resolve them."""
    owner, campaign_id = await send_in_doubt(runtime, scripted_sender, mailer, 1)
    viewer = user_actor(owner.organization_id, new_id(), Role.VIEWER)
    await factories.member(runtime, viewer)
    mine = caller(api, runtime, viewer)
    (one,) = (await list_deliveries(mine, campaign_id))["deliveries"]["nodes"]
    reply = await mine.send(RESOLVE, {"input": {"deliveryId": one["id"], "as": "SENT"}})
    assert reply.codes == ["FORBIDDEN"]
    assert (await list_deliveries(mine, campaign_id))["deliveries"]["nodes"][0]["state"] == "FAILED"


async def test_of_concurrent_decisions_one_succeeds(
    api: ApiClient, runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer
) -> None:
    """Of several requests to send it again one succeeds, and one message is sent."""
    owner, campaign_id = await send_in_doubt(runtime, scripted_sender, mailer, 1)
    mine = caller(api, runtime, owner)
    (one,) = (await list_deliveries(mine, campaign_id))["deliveries"]["nodes"]
    variables = {"input": {"deliveryId": one["id"], "as": "SEND_AGAIN"}}
    answers = await asyncio.gather(*(mine.execute(RESOLVE, variables) for _ in range(6)))
    won = [answer for answer in answers if not answer["resolveDelivery"]["userErrors"]]
    assert len(won) == 1
    await finish(runtime, scripted_sender, owner, campaign_id)
    assert len(mailer.accepted) == 1


async def test_a_decision_excludes_the_end_of_the_campaign(
    api: ApiClient, runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer
) -> None:
    """In either order, no pending delivery is left in a finished campaign."""
    owner, campaign_id = await send_in_doubt(runtime, scripted_sender, mailer, 1)
    mine = caller(api, runtime, owner)
    (one,) = (await list_deliveries(mine, campaign_id))["deliveries"]["nodes"]
    for _ in range(10):
        await asyncio.gather(
            mine.execute(RESOLVE, {"input": {"deliveryId": one["id"], "as": "SEND_AGAIN"}}),
            *(advance_campaign(runtime.work, owner, campaign_id) for _ in range(3)),
        )
        now = await progress(runtime, owner, campaign_id)
        assert now.status == CampaignStatus.SENDING or not now.counts.pending
        mailer.outcome = "failed before"
        await finish(runtime, scripted_sender, owner, campaign_id)


async def test_the_sweep_waits_for_an_uncommitted_decision(
    runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer
) -> None:
    """Then it sees the delivery that the decision made pending, and does not finish the campaign."""
    owner, _, campaign_id = await sending(runtime, 1)
    async with runtime.work.begin(owner) as uow:
        await uow.execute(update(EmailDelivery).values(status=DeliveryStatus.FAILED))
    delivery_id = (await runtime.reads(owner.tenant).rows(select(EmailDelivery.id)))[0].id
    async with runtime.work.begin(owner) as uow:
        await resolve(uow, delivery_id, DeliveryResolution.SEND_AGAIN, policy=runtime.sender_policy)
        ending = asyncio.create_task(advance_campaign(runtime.work, owner, campaign_id))
        await until(partial(waits_for_a_lock, runtime))
    await ending
    now = await progress(runtime, owner, campaign_id)
    assert (now.status, now.counts.pending) == (CampaignStatus.SENDING, 1)
    await finish(runtime, scripted_sender, owner, campaign_id)
    assert len(mailer.accepted) == 1


async def waits_for_a_lock(runtime: Runtime) -> bool:
    """Whether a session of this database waits for another session's lock."""
    async with runtime.engine.connect() as connection:
        count = await connection.scalar(
            text(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() "
                "AND wait_event_type = 'Lock')"
            )
        )
    return bool(count)


async def test_a_late_webhook_prevents_a_second_message(
    api: ApiClient, runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer
) -> None:
    """A webhook about the first message, received before the second one is sent, accepts the delivery."""
    owner, campaign_id = await send_in_doubt(runtime, scripted_sender, mailer, 1)
    mine = caller(api, runtime, owner)
    (one,) = (await list_deliveries(mine, campaign_id))["deliveries"]["nodes"]
    await resolve_delivery(mine, one["id"], "SEND_AGAIN")
    delivery = (await runtime.reads(owner.tenant).rows(select(EmailDelivery.id)))[0].id
    await deliver(
        runtime,
        {
            "RecordType": "Delivery",
            "MessageID": str(new_id()),
            "Recipient": one["email"],
            "Metadata": {"campaign": str(campaign_id), "delivery": str(delivery)},
        },
    )
    await apply_inbox(runtime)
    now = await finish(runtime, scripted_sender, owner, campaign_id)
    assert (now.status, now.counts.delivered) == (CampaignStatus.SENT, 1)
    assert mailer.accepted == []


async def test_a_decision_updates_the_counters(
    api: ApiClient, runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer
) -> None:
    """Each decision increments the sequence, so that subscribers see it."""
    owner, campaign_id = await send_in_doubt(runtime, scripted_sender, mailer, 1)
    mine = caller(api, runtime, owner)
    (one,) = (await list_deliveries(mine, campaign_id))["deliveries"]["nodes"]
    before = (await runtime.reads(owner.tenant).rows(select(CampaignStats.sequence)))[0].sequence
    await resolve_delivery(mine, one["id"], "SENT")
    after = (await runtime.reads(owner.tenant).rows(select(CampaignStats.sequence)))[0].sequence
    assert after > before
