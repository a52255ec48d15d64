"""Refusals of the account or the campaign that the provider reports for each recipient."""

import pytest
from sqlalchemy import select, update

from core.access.actor import Actor
from integrations.mail import BatchProcessed, Message, NotSent, SubmissionResult, SubmissionStatus
from integrations.postmark.mailer import PostmarkMailer
from integrations.recording import RecordingMailer
from models.campaigns import Campaign, CampaignStatus
from models.contacts import Contact
from runtime import Runtime
from services.deliveries.sending import CampaignSender
from services.mailing.handover import RequestOutcome, refusal_of_all
from tests.deliveries.conftest import Provider, sender_for
from tests.deliveries.worker import drain, finish, go, progress, sending

NO = SubmissionResult(SubmissionStatus.REFUSED, None, 300, "Invalid 'From' address.")
YES = SubmissionResult(SubmissionStatus.ACCEPTED, "m")
LATER = SubmissionResult(SubmissionStatus.RETRY_LATER, None, 429, "Rate limit exceeded.")
INACTIVE = SubmissionResult(SubmissionStatus.INACTIVE, None, 406, "Inactive recipient.")


async def set_from(runtime: Runtime, actor: Actor, header: str) -> None:
    """Set the From header of the actor's campaigns."""
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(Campaign).values(from_header=header))


async def test_a_refused_sender_rejects_no_recipient(runtime: Runtime, provider: Provider) -> None:
    """All messages are refused for the From address: no delivery is rejected, and the campaign is paused."""
    actor, contacts, campaign_id = await sending(runtime, 5)
    await set_from(runtime, actor, "no address at all")
    await drain(sender_for(runtime, provider), actor, campaign_id)
    now = await progress(runtime, actor, campaign_id)
    assert (now.status, now.counts.pending, now.counts.rejected) == (CampaignStatus.PAUSED, len(contacts), 0)
    assert "Invalid 'From' address." in (now.status_reason or "")
    await set_from(runtime, actor, "news@nudge.example")
    await go(runtime, actor, campaign_id, CampaignStatus.SENDING)
    now = await finish(runtime, sender_for(runtime, provider), actor, campaign_id)
    assert (now.status, now.counts.accepted) == (CampaignStatus.SENT, len(contacts))


@pytest.mark.parametrize("how_many", [1, 3])
async def test_an_unknown_stream_pauses_the_campaign(
    runtime: Runtime, provider: Provider, sender: CampaignSender, how_many: int
) -> None:
    """The stream is a setting of ours: its error code pauses the campaign even for a single message."""
    actor, _, campaign_id = await sending(runtime, how_many)
    base_url = provider.mailer.batch_url.removesuffix("/email/batch")
    sender.mailer = PostmarkMailer(
        base_url=base_url, server_token="token", message_stream="nowhere", sender="news@nudge.example"
    )
    try:
        await drain(sender, actor, campaign_id)
    finally:
        await sender.mailer.aclose()
    now = await progress(runtime, actor, campaign_id)
    assert (now.status, now.counts.pending) == (CampaignStatus.PAUSED, how_many)
    assert "NUDGE_POSTMARK__MESSAGE_STREAM" in (now.status_reason or "")


async def test_inactive_addresses_do_not_pause_the_campaign(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """Even if a whole batch is inactive, each is recorded, and the campaign is finished."""
    actor, contacts, campaign_id = await sending(runtime, 3)
    for row in await runtime.reads(actor.tenant).rows(select(Contact.email_norm)):
        await provider.client.call("POST", "/sandbox/suppressions", {"email": row.email_norm})
    now = await finish(runtime, sender, actor, campaign_id)
    assert (now.status, now.counts.rejected) == (CampaignStatus.SENT_WITH_ISSUES, len(contacts))


@pytest.mark.parametrize(
    ("submission_status", "status", "counts"),
    [
        (SubmissionStatus.REFUSED, CampaignStatus.PAUSED, (3, 0)),
        (SubmissionStatus.ACCOUNT_REFUSED, CampaignStatus.PAUSED, (3, 0)),
        (SubmissionStatus.RETRY_LATER, CampaignStatus.SENDING, (3, 0)),
        (SubmissionStatus.INACTIVE, CampaignStatus.SENDING, (0, 3)),
    ],
)
async def test_a_batch_with_the_same_answer_for_each_message(
    runtime: Runtime,
    sender: CampaignSender,
    submission_status: SubmissionStatus,
    status: CampaignStatus,
    counts: tuple[int, int],
) -> None:
    """Refusals pause the campaign, others are retried, and inactive addresses are recorded."""
    sender.mailer = RecordingMailer(
        lambda *_: BatchProcessed(results=[SubmissionResult(submission_status, None, 1, "The same words.")] * 3)
    )
    actor, _, campaign_id = await sending(runtime, 3)
    await drain(sender, actor, campaign_id)
    now = await progress(runtime, actor, campaign_id)
    assert (now.status, (now.counts.pending, now.counts.rejected)) == (status, counts)


def request_outcome(*results: SubmissionResult) -> RequestOutcome:
    """The outcome of a request with these results."""
    messages = [Message(str(number), "a@b.example", "s", "h", "t", "u") for number in range(len(results))]
    return RequestOutcome(messages, BatchProcessed(results=results))


@pytest.mark.parametrize(
    ("parts", "all_refused"),
    [
        ([request_outcome(NO, NO)], True),
        ([request_outcome(NO), request_outcome(NO), RequestOutcome([], NotSent(reason="Not tried."))], True),
        ([request_outcome(NO)], False),
        ([request_outcome(NO, YES)], False),
        ([request_outcome(NO), request_outcome(YES)], False),
        ([request_outcome(NO, NO._replace(text="Invalid 'To' address."))], False),
        ([request_outcome(NO, NO._replace(code=301))], False),
        ([request_outcome(YES, YES)], False),
        ([request_outcome(INACTIVE, NO, NO)], True),
        ([request_outcome(INACTIVE, NO)], False),
        ([request_outcome(INACTIVE, YES)], False),
        ([request_outcome(INACTIVE, INACTIVE)], False),
        ([request_outcome(NO, LATER, NO)], True),
        ([request_outcome(NO, LATER)], False),
        ([request_outcome(YES, LATER)], False),
        ([request_outcome(LATER, LATER)], False),
        ([], False),
    ],
)
def test_when_all_messages_count_as_refused(parts: list[RequestOutcome], all_refused: bool) -> None:
    """Several messages with the same refusal, also in halves or next to other causes; not a single one."""
    assert (refusal_of_all("The provider", parts) is not None) is all_refused
