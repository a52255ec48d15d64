"""From a draft to the provider's ledger and the campaign's end, over every kind of trouble with the provider."""

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
from services.deliveries.sending import Sender
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


async def test_every_recipient_gets_one_message(runtime: Runtime, provider: Provider, sender: Sender) -> None:
    """A campaign to 1,203 contacts puts exactly one message for each into the provider's ledger, and is sent."""
    actor, contacts, campaign_id = await sending(runtime, 1_203)
    assert await drain(sender, actor, campaign_id) == len(contacts)
    ledger = await provider.ledger(campaign_id)
    assert len(ledger) == len(set(recipients(ledger))) == len(contacts)
    assert (await progress(runtime, actor, campaign_id)).counts.accepted == len(contacts)
    now = await finish(runtime, sender, actor, campaign_id)
    assert now.status == CampaignStatus.SENT


async def test_a_batch_is_never_larger_than_the_provider_takes(runtime: Runtime, provider: Provider) -> None:
    """The setting has no bound of its own: it is the adapter that knows how much goes into a request."""
    many = runtime.settings.model_copy(update={"sending": SendingSettings(batch_size=100_000)})
    actor, _, campaign_id = await sending(runtime, 1)
    mail = await sender_for(runtime, provider, many).mail_of(actor, campaign_id)
    assert mail is not None
    assert mail.max_batch_size == provider.mailer.limits.max_messages


async def test_a_message_carries_what_it_must(runtime: Runtime, provider: Provider, sender: Sender) -> None:
    """Metadata finds the delivery again, the stream is the broadcast one, and one click unsubscribes (RFC 8058)."""
    actor, _, campaign_id = await sending(runtime, 1)
    await drain(sender, actor, campaign_id)
    [entry] = await provider.ledger(campaign_id)
    found = await provider.client.call("GET", f"/sandbox/messages/{entry['message_id']}")
    message = found.object()["message"]
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
    runtime: Runtime, provider: Provider, sender: Sender
) -> None:
    """Unsubscribed and suppressed contacts are in the ledger as skipped, and get nothing."""
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
    assert len(await provider.ledger(campaign_id)) == 1


async def suppress_contact(uow: UnitOfWork, contact_id: UUID) -> None:
    """Put a contact's address on the suppression list."""
    norm = select(Contact.email_norm).where(Contact.id == contact_id).scalar_subquery()
    await uow.execute(
        insert(Suppression).values(
            organization_id=uow.tenant.organization_id, email_norm=norm, reason=SuppressionReason.UNSUBSCRIBED
        )
    )


async def decisions(runtime: Runtime, actor: Actor, campaign_id: UUID) -> dict[UUID, str | None]:
    """Why each contact got no message."""
    rows = await runtime.reads(actor.tenant).rows(
        select(EmailDelivery.contact_id, EmailDelivery.decision).where(EmailDelivery.campaign_id == campaign_id)
    )
    return {row.contact_id: row.decision for row in rows}


TROUBLES: dict[str, object] = {
    "rate_limited": {"count": 2},
    "server_error_before_accept": {"count": 2},
    "server_error_after_accept": {"count": 2},
    "cut_reply": {"count": 1},
    "half_batch": {"count": 2},
    "unreadable_reply": {"count": 1},
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_trouble_of_the_provider_neither_loses_nor_doubles(
    runtime: Runtime, provider: Provider, sender: Sender, trouble: str
) -> None:
    """Whether the provider refused, failed, or accepted without saying so: one message each in the end."""
    actor, contacts, campaign_id = await sending(runtime, 700)
    assert (await provider.fail(**{trouble: TROUBLES[trouble]})).status == 200
    now = await finish(runtime, sender, actor, campaign_id)
    assert now.status == CampaignStatus.SENT
    ledger = await provider.ledger(campaign_id)
    assert len(ledger) == len(set(recipients(ledger))) == len(contacts)


async def test_a_lost_reply_is_found_at_the_provider(runtime: Runtime, provider: Provider, sender: Sender) -> None:
    """A batch accepted with a 500 is in doubt, is found by its metadata, and is not sent again."""
    actor, contacts, campaign_id = await sending(runtime, 20)
    await provider.fail(server_error_after_accept={"count": 1})
    await drain(sender, actor, campaign_id)
    assert (await progress(runtime, actor, campaign_id)).counts.unknown == len(contacts)
    await sweep(runtime, sender.mailer, actor, campaign_id)
    assert (await progress(runtime, actor, campaign_id)).counts.accepted == len(contacts)
    assert len(await provider.ledger(campaign_id)) == len(contacts)


async def test_three_empty_looks_come_before_another_attempt(
    runtime: Runtime, provider: Provider, sender: Sender
) -> None:
    """Messages in doubt that the provider does not have are pending again after the third lookup, not before."""
    actor, contacts, campaign_id = await sending(runtime, 5)
    await provider.fail(server_error_before_accept={"count": 1})
    await drain(sender, actor, campaign_id)
    for _ in range(2):
        await sweep(runtime, sender.mailer, actor, campaign_id)
        assert (await progress(runtime, actor, campaign_id)).counts.unknown == len(contacts)
    await sweep(runtime, sender.mailer, actor, campaign_id)
    assert (await progress(runtime, actor, campaign_id)).counts.pending == len(contacts)


async def test_a_failed_search_is_no_empty_lookup(runtime: Runtime, provider: Provider, sender: Sender) -> None:
    """While the provider's search fails nothing is concluded, however often it is asked."""
    actor, contacts, campaign_id = await sending(runtime, 5)
    await provider.fail(server_error_before_accept={"count": 1}, search_error={})
    await drain(sender, actor, campaign_id)
    for _ in range(4):
        await sweep(runtime, sender.mailer, actor, campaign_id)
    assert (await progress(runtime, actor, campaign_id)).counts.unknown == len(contacts)


async def test_hold_keeps_doubtful_messages_for_a_person(
    runtime: Runtime, provider: Provider, sender: Sender
) -> None:
    """With onDoubt HOLD a message without a trace at the provider fails, and the campaign ends with issues."""
    actor, contacts, campaign_id = await sending(runtime, 5)
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(on_doubt=OnDoubt.HOLD))
    await provider.fail(server_error_before_accept={"count": 1})
    now = await finish(runtime, sender, actor, campaign_id)
    assert (now.status, now.counts.failed) == (CampaignStatus.SENT_WITH_ISSUES, len(contacts))
    assert await provider.ledger(campaign_id) == []


async def test_one_bad_message_does_not_spoil_its_batch(runtime: Runtime, provider: Provider, sender: Sender) -> None:
    """Items that the provider refuses are rejected alone; an inactive address is suppressed for good."""
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
async def test_an_account_in_trouble_pauses_the_campaign(
    runtime: Runtime, provider: Provider, sender: Sender, answer: tuple[int, int]
) -> None:
    """What no retry can cure pauses the campaign with a reason to act on; resumed, it sends everything once."""
    actor, contacts, campaign_id = await sending(runtime, 10)
    await provider.fail(http_status={"status": answer[0], "error_code": answer[1], "count": 1})
    await drain(sender, actor, campaign_id)
    now = await progress(runtime, actor, campaign_id)
    assert now.status == CampaignStatus.PAUSED
    assert ADVICE[answer] in (now.status_reason or "")
    assert now.counts.pending == len(contacts)
    await go(runtime, actor, campaign_id, CampaignStatus.SENDING)
    assert (await finish(runtime, sender, actor, campaign_id)).status == CampaignStatus.SENT
    assert len(await provider.ledger(campaign_id)) == len(contacts)


async def test_a_batch_refused_whole_is_halved(runtime: Runtime, provider: Provider, sender: Sender) -> None:
    """A 422 for a whole batch is bisected; here every part is accepted in the end."""
    actor, contacts, campaign_id = await sending(runtime, 8)
    await provider.fail(http_status={"status": 422, "error_code": 300, "count": 1})
    await drain(sender, actor, campaign_id)
    assert (await progress(runtime, actor, campaign_id)).counts.accepted == len(contacts)


async def test_a_lapsed_claim_is_pending_again_and_its_worker_can_not_submit(
    runtime: Runtime, provider: Provider, sender: Sender
) -> None:
    """The lease token is a fence: whoever lost the lease submits nothing, whatever its own clock says."""
    actor, contacts, campaign_id = await sending(runtime, 4)
    mail = await sender.mail_of(actor, campaign_id)
    assert mail is not None
    held = await sender.claim_batch(actor, mail, 4)
    assert len(held.rows) == len(contacts)
    await expire_leases(runtime, actor, campaign_id)
    await advance_campaign(runtime.work, actor, campaign_id)
    assert (await progress(runtime, actor, campaign_id)).counts.pending == len(contacts)
    assert (await sender.deliver(actor, mail, held)).handed_over == 0
    assert await provider.ledger(campaign_id) == []


async def test_nothing_is_claimed_of_a_paused_campaign(runtime: Runtime, provider: Provider, sender: Sender) -> None:
    """A paused campaign gives no claims, and what was claimed before the pause is not handed over."""
    actor, contacts, campaign_id = await sending(runtime, 4)
    mail = await sender.mail_of(actor, campaign_id)
    assert mail is not None
    held = await sender.claim_batch(actor, mail, 2)
    await go(runtime, actor, campaign_id, CampaignStatus.PAUSED)
    assert (await sender.deliver(actor, mail, held)).handed_over == 0
    async with runtime.work.begin(actor) as uow:
        assert not (await claim(uow, campaign_id, limit=10, lease_seconds=60)).rows
    assert (await progress(runtime, actor, campaign_id)).counts.pending == len(contacts)
    assert await provider.ledger(campaign_id) == []


async def test_cancelling_skips_what_was_not_submitted(runtime: Runtime, provider: Provider, sender: Sender) -> None:
    """A cancelled campaign keeps what was sent, skips the rest with a reason, and ends as cancelled."""
    actor, _, campaign_id = await sending(runtime, 10)
    mail = await sender.mail_of(actor, campaign_id)
    assert mail is not None
    await sender.deliver(actor, mail, await sender.claim_batch(actor, mail, 3))
    await go(runtime, actor, campaign_id, CampaignStatus.CANCELLING)
    now = await finish(runtime, sender, actor, campaign_id)
    assert (now.status, now.counts.accepted, now.counts.skipped) == (CampaignStatus.CANCELLED, 3, 7)
    assert len(await provider.ledger(campaign_id)) == 3


async def test_an_audience_of_nobody_fails_with_a_reason(runtime: Runtime) -> None:
    """A campaign that names nobody does not end as sent."""
    actor = await factories.organization(runtime)
    campaign_id = await factories.campaign(runtime, actor, tag="nobody")
    await start(runtime, actor, campaign_id)
    now = await progress(runtime, actor, campaign_id)
    assert now.status == CampaignStatus.FAILED
    assert "Nobody" in (now.status_reason or "")


async def test_counters_that_went_wrong_are_put_right(runtime: Runtime, provider: Provider, sender: Sender) -> None:
    """A finished campaign's counters come from the ledger, whatever happened to them."""
    actor, contacts, campaign_id = await sending(runtime, 3)
    await drain(sender, actor, campaign_id)
    async with runtime.work.begin(actor) as uow:
        await uow.execute(
            update(CampaignStats).where(CampaignStats.campaign_id == campaign_id).values(accepted=1, audience=1)
        )
    await advance_campaign(runtime.work, actor, campaign_id)
    now = await progress(runtime, actor, campaign_id)
    assert now.status == CampaignStatus.SENT
    assert now.counts.accepted == now.counts.audience == len(contacts) == len(await provider.ledger(campaign_id))
