"""From a draft to the provider's messages and the campaign's end, with every kind of provider error."""

from uuid import UUID

import pytest
from sqlalchemy import insert, select, update

from core.access.actor import Actor
from core.unit_of_work import UnitOfWork
from models.campaigns import Campaign, CampaignStats, CampaignStatus, OnDoubt
from models.contacts import Contact, ContactStatus
from models.deliveries import DeliveryDecision, DeliveryStatus, EmailDelivery
from models.suppressions import Suppression, SuppressionReason
from runtime import Runtime
from services.deliveries.claiming import claim
from services.deliveries.sending import CampaignSender
from services.deliveries.sweeping import advance_campaign
from services.mailing.settings import SendingSettings
from tests import factories
from tests.deliveries.conftest import Provider, sender_for
from tests.deliveries.worker import (
    drain,
    expire_leases,
    finish,
    go,
    progress,
    recipients,
    sending,
    start,
    statuses,
    sweep,
)


async def test_every_recipient_gets_one_message(runtime: Runtime, provider: Provider, sender: CampaignSender) -> None:
    """The provider gets exactly one message for each of 1,203 contacts, and the campaign is sent."""
    actor, contacts, campaign_id = await sending(runtime, 1_203)
    assert await drain(sender, actor, campaign_id) == len(contacts)
    messages = await provider.messages(campaign_id)
    assert len(messages) == len(set(recipients(messages))) == len(contacts)
    assert (await progress(runtime, actor, campaign_id)).counts.accepted == len(contacts)
    now = await finish(runtime, sender, actor, campaign_id)
    assert now.status == CampaignStatus.SENT


async def test_a_batch_is_within_the_provider_s_limit(runtime: Runtime, provider: Provider) -> None:
    """The setting has no maximum: the limit comes from the adapter."""
    many = runtime.settings.model_copy(update={"sending": SendingSettings(batch_size=100_000)})
    actor, _, campaign_id = await sending(runtime, 1)
    content = await sender_for(runtime, provider, many).content_of(actor, campaign_id)
    assert content is not None
    assert content.max_batch_size == provider.mailer.limits.max_messages


async def test_a_message_has_metadata_stream_and_unsubscribe_headers(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """Metadata identifies the delivery, the stream is the broadcast one, and one click unsubscribes (RFC 8058)."""
    actor, _, campaign_id = await sending(runtime, 1)
    await drain(sender, actor, campaign_id)
    [entry] = await provider.messages(campaign_id)
    answer = await provider.client.call("GET", f"/sandbox/messages/{entry['message_id']}")
    message = answer.object()["message"]
    assert isinstance(message, dict)
    headers = {header["Name"]: header["Value"] for header in message["Headers"]}
    assert message["MessageStream"] == "broadcast"
    assert message["TrackOpens"] is True
    assert message["TrackLinks"] == "HtmlAndText"
    assert message["Subject"] == "Hello Ada"
    assert set(message["Metadata"]) == {"batch", "delivery", "campaign"}
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert headers["List-Unsubscribe"].startswith(f"<{runtime.settings.public_url}/u/")
    assert headers["List-Unsubscribe"].strip("<>") in message["HtmlBody"]
    assert headers["List-Unsubscribe"].strip("<>") in message["TextBody"]


async def test_contacts_that_may_not_be_mailed_are_skipped_with_a_reason(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """Unsubscribed and suppressed contacts have a skipped delivery, and get no message."""
    actor = await factories.organization(runtime)
    contacts = await factories.contacts(runtime, actor, 4)
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(Contact).where(Contact.id == contacts[0]).values(status=ContactStatus.UNSUBSCRIBED))
        await suppress_contact(uow, contacts[1])
    campaign_id = await factories.campaign(runtime, actor)
    await start(runtime, actor, campaign_id)
    async with runtime.work.begin(actor) as uow:
        await suppress_contact(uow, contacts[2])
    now = await finish(runtime, sender, actor, campaign_id)
    assert (now.status, now.counts.accepted, now.counts.skipped) == (CampaignStatus.SENT, 1, 3)
    assert await decisions(runtime, actor, campaign_id) == {
        contacts[0]: DeliveryDecision.UNSUBSCRIBED,
        contacts[1]: DeliveryDecision.SUPPRESSED,
        contacts[2]: DeliveryDecision.SUPPRESSED,
        contacts[3]: None,
    }
    assert len(await provider.messages(campaign_id)) == 1


async def suppress_contact(uow: UnitOfWork, contact_id: UUID) -> None:
    """Suppress a contact's address."""
    norm = select(Contact.email_norm).where(Contact.id == contact_id).scalar_subquery()
    await uow.execute(
        insert(Suppression).values(
            organization_id=uow.tenant.organization_id, email_norm=norm, reason=SuppressionReason.UNSUBSCRIBED
        )
    )


async def decisions(runtime: Runtime, actor: Actor, campaign_id: UUID) -> dict[UUID, str | None]:
    """The reason why each contact got no message."""
    rows = await runtime.reads(actor.tenant).rows(
        select(EmailDelivery.contact_id, EmailDelivery.decision).where(EmailDelivery.campaign_id == campaign_id)
    )
    return {row.contact_id: row.decision for row in rows}


FAULTS: dict[str, object] = {
    "rate_limited": {"count": 2},
    "server_error_before_accept": {"count": 2},
    "server_error_after_accept": {"count": 2},
    "cut_reply": {"count": 1},
    "half_batch": {"count": 2},
    "unreadable_reply": {"count": 1},
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_provider_errors_neither_lose_nor_duplicate_messages(
    runtime: Runtime, provider: Provider, sender: CampaignSender, fault: str
) -> None:
    """After a refusal, a failure, or a lost response of the provider, each recipient gets exactly one message."""
    actor, contacts, campaign_id = await sending(runtime, 700)
    assert (await provider.fail(**{fault: FAULTS[fault]})).status == 200
    now = await finish(runtime, sender, actor, campaign_id)
    assert now.status == CampaignStatus.SENT
    messages = await provider.messages(campaign_id)
    assert len(messages) == len(set(recipients(messages))) == len(contacts)


async def test_a_lookup_finds_messages_whose_reply_was_lost(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """A batch accepted with a 500 is in doubt, is found by its metadata, and is not sent again."""
    actor, contacts, campaign_id = await sending(runtime, 20)
    await provider.fail(server_error_after_accept={"count": 1})
    await drain(sender, actor, campaign_id)
    assert (await progress(runtime, actor, campaign_id)).counts.unknown == len(contacts)
    await sweep(runtime, sender.mailer, actor, campaign_id)
    assert (await progress(runtime, actor, campaign_id)).counts.accepted == len(contacts)
    assert len(await provider.messages(campaign_id)) == len(contacts)


async def test_a_message_is_sent_again_after_three_empty_lookups(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """Messages in doubt that the provider does not have are pending after the third lookup, not before."""
    actor, contacts, campaign_id = await sending(runtime, 5)
    await provider.fail(server_error_before_accept={"count": 1})
    await drain(sender, actor, campaign_id)
    for _ in range(2):
        await sweep(runtime, sender.mailer, actor, campaign_id)
        assert (await progress(runtime, actor, campaign_id)).counts.unknown == len(contacts)
    await sweep(runtime, sender.mailer, actor, campaign_id)
    assert (await progress(runtime, actor, campaign_id)).counts.pending == len(contacts)


async def test_a_failed_search_does_not_count_as_a_lookup(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """However often it fails."""
    actor, contacts, campaign_id = await sending(runtime, 5)
    await provider.fail(server_error_before_accept={"count": 1}, search_error={})
    await drain(sender, actor, campaign_id)
    for _ in range(4):
        await sweep(runtime, sender.mailer, actor, campaign_id)
    assert (await progress(runtime, actor, campaign_id)).counts.unknown == len(contacts)


async def test_hold_leaves_messages_in_doubt_to_a_person(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """With onDoubt HOLD a message that is not found fails, and the campaign ends with issues."""
    actor, contacts, campaign_id = await sending(runtime, 5)
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(on_doubt=OnDoubt.HOLD))
    await provider.fail(server_error_before_accept={"count": 1})
    now = await finish(runtime, sender, actor, campaign_id)
    assert (now.status, now.counts.failed) == (CampaignStatus.SENT_WITH_ISSUES, len(contacts))
    assert await provider.messages(campaign_id) == []


async def test_a_refused_message_does_not_affect_its_batch(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """Refused messages are rejected alone; an inactive address is suppressed."""
    actor, contacts, campaign_id = await sending(runtime, 6)
    emails = await addresses(runtime, actor)
    await provider.client.call("POST", "/sandbox/suppressions", {"email": emails[contacts[2]]})
    now = await finish(runtime, sender, actor, campaign_id)
    assert (now.counts.accepted, now.counts.rejected) == (5, 1)
    assert (await statuses(runtime, actor, campaign_id))[contacts[2]] is DeliveryStatus.REJECTED
    suppressed = await runtime.reads(actor.tenant).rows(select(Suppression.email_norm, Suppression.reason))
    assert [tuple(row) for row in suppressed] == [(emails[contacts[2]], SuppressionReason.PROVIDER)]


async def addresses(runtime: Runtime, actor: Actor) -> dict[UUID, str]:
    """The contacts' addresses."""
    rows = await runtime.reads(actor.tenant).rows(select(Contact.id, Contact.email_norm))
    return {row.id: row.email_norm for row in rows}


ADVICE = {
    (401, 10): "NUDGE_POSTMARK__SERVER_TOKEN",
    (422, 405): "plan",
    (422, 412): "Reactivate",
    (422, 413): "approval",
}


@pytest.mark.parametrize("answer", ADVICE)
async def test_an_account_error_pauses_the_campaign(
    runtime: Runtime, provider: Provider, sender: CampaignSender, answer: tuple[int, int]
) -> None:
    """The campaign has a reason to act on; resumed, it sends every message once."""
    actor, contacts, campaign_id = await sending(runtime, 10)
    await provider.fail(http_status={"status": answer[0], "error_code": answer[1], "count": 1})
    await drain(sender, actor, campaign_id)
    now = await progress(runtime, actor, campaign_id)
    assert now.status == CampaignStatus.PAUSED
    assert ADVICE[answer] in (now.status_reason or "")
    assert now.counts.pending == len(contacts)
    await go(runtime, actor, campaign_id, CampaignStatus.SENDING)
    assert (await finish(runtime, sender, actor, campaign_id)).status == CampaignStatus.SENT
    assert len(await provider.messages(campaign_id)) == len(contacts)


async def test_a_refused_batch_is_halved(runtime: Runtime, provider: Provider, sender: CampaignSender) -> None:
    """A batch refused with 422 is bisected until every part is accepted."""
    actor, contacts, campaign_id = await sending(runtime, 8)
    await provider.fail(http_status={"status": 422, "error_code": 300, "count": 1})
    await drain(sender, actor, campaign_id)
    assert (await progress(runtime, actor, campaign_id)).counts.accepted == len(contacts)


async def test_an_expired_claim_is_pending_and_cannot_be_submitted(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """A worker whose lease has expired cannot submit, independent of its own clock."""
    actor, contacts, campaign_id = await sending(runtime, 4)
    content = await sender.content_of(actor, campaign_id)
    assert content is not None
    claimed = await sender.claim_batch(actor, content, 4)
    assert len(claimed.rows) == len(contacts)
    await expire_leases(runtime, actor, campaign_id)
    await advance_campaign(runtime.work, actor, campaign_id)
    assert (await progress(runtime, actor, campaign_id)).counts.pending == len(contacts)
    assert (await sender.deliver(actor, content, claimed)).handed_over == 0
    assert await provider.messages(campaign_id) == []


async def test_a_paused_campaign_is_neither_claimed_nor_submitted(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """Messages claimed before the pause are not submitted to the provider."""
    actor, contacts, campaign_id = await sending(runtime, 4)
    content = await sender.content_of(actor, campaign_id)
    assert content is not None
    claimed = await sender.claim_batch(actor, content, 2)
    await go(runtime, actor, campaign_id, CampaignStatus.PAUSED)
    assert (await sender.deliver(actor, content, claimed)).handed_over == 0
    async with runtime.work.begin(actor) as uow:
        assert not (await claim(uow, campaign_id, limit=10, lease_seconds=60)).rows
    assert (await progress(runtime, actor, campaign_id)).counts.pending == len(contacts)
    assert await provider.messages(campaign_id) == []


async def test_cancelling_skips_deliveries_that_were_not_submitted(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """Sent messages stay, the rest is skipped with the reason, and the campaign is cancelled."""
    actor, _, campaign_id = await sending(runtime, 10)
    content = await sender.content_of(actor, campaign_id)
    assert content is not None
    await sender.deliver(actor, content, await sender.claim_batch(actor, content, 3))
    await go(runtime, actor, campaign_id, CampaignStatus.CANCELLING)
    now = await finish(runtime, sender, actor, campaign_id)
    assert (now.status, now.counts.accepted, now.counts.skipped) == (CampaignStatus.CANCELLED, 3, 7)
    assert len(await provider.messages(campaign_id)) == 3


async def test_an_empty_audience_fails_with_a_reason(runtime: Runtime) -> None:
    """A campaign without recipients is not sent."""
    actor = await factories.organization(runtime)
    campaign_id = await factories.campaign(runtime, actor, tag="unused")
    await start(runtime, actor, campaign_id)
    now = await progress(runtime, actor, campaign_id)
    assert now.status == CampaignStatus.FAILED
    assert "The audience is empty" in (now.status_reason or "")


async def test_wrong_counters_are_corrected_at_the_end(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """The counters of a finished campaign equal the numbers of its deliveries."""
    actor, contacts, campaign_id = await sending(runtime, 3)
    await drain(sender, actor, campaign_id)
    async with runtime.work.begin(actor) as uow:
        await uow.execute(
            update(CampaignStats).where(CampaignStats.campaign_id == campaign_id).values(accepted=1, audience=1)
        )
    await advance_campaign(runtime.work, actor, campaign_id)
    now = await progress(runtime, actor, campaign_id)
    assert now.status == CampaignStatus.SENT
    assert now.counts.accepted == now.counts.audience == len(contacts) == len(await provider.messages(campaign_id))
