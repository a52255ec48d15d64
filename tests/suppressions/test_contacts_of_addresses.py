"""Changes of contacts, and requests of users, for addresses with events of the provider."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from core.access.actor import Actor
from core.ids import new_id
from models.contacts import Contact, ContactStatus
from models.webhooks import WebhookInbox
from runtime import Runtime
from services.campaigns.progress import read_stats
from services.contacts import changing, upserting
from services.deliveries.sending import CampaignSender
from services.suppressions.unsubscribing import UnsubscribeLink, read_subscription, unsubscribe
from services.webhooks.applying import apply_pages
from services.webhooks.attributing import attribute_events
from tests import factories
from tests.client import ApiClient
from tests.deliveries.conftest import Provider
from tests.deliveries.worker import drain, progress, sending, start
from tests.inbox import deliver
from tests.suppressions.test_addresses import (
    HOUR,
    LONG_AGO,
    address,
    at,
    history,
    manual_suppression,
    of,
    reactivation,
    row_of,
    same_address,
    with_contact,
)
from tests.webhooks.outcomes import bounce, change, complaint
from tests.webhooks.test_events import deliver_events, messages_of, send_campaign


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (bounce("HardBounce", 1, inactive=True), "bounced"),
        (bounce("BadEmailAddress", 100_000, inactive=False), "bounced"),
        (bounce("Unsubscribe", 16), "unsubscribed"),
        (complaint(), "complained"),
    ],
)
async def test_a_new_contact_gets_the_status_of_its_address(
    runtime: Runtime, provider: Provider, sender: CampaignSender, event: dict[str, Any], status: str
) -> None:
    """Deleted and created again between the message and its event: the address is the same."""
    actor, _, [message] = await send_campaign(runtime, provider, sender)
    [contact] = await runtime.reads(actor.tenant).rows(select(Contact.id))
    async with runtime.work.begin(actor) as uow:
        await changing.remove(uow, contact.id)
        anew = await changing.create(uow, {"email": message.recipients[0]})
    await deliver_events(runtime, of(message, event))
    assert (await row_of(runtime, actor, anew.id)).status == status
    assert [line.kind for line in await history(runtime, actor, anew.id)] == [status]


async def test_an_event_reported_twice_is_recorded_with_its_message(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """Even if the event without the message waited longer than the other."""
    actor, campaign_id, [message] = await send_campaign(runtime, provider, sender)
    [contact] = await runtime.reads(actor.tenant).rows(select(Contact.id))
    await deliver(runtime, of(message, change(suppress=True, reason="HardBounce", origin="Recipient")))
    await attribute_events(runtime.system)
    async with runtime.work.begin(actor) as uow:
        of_address = update(WebhookInbox).where(WebhookInbox.email_norm.is_not(None))
        assert (await uow.execute(of_address.values(due_at=WebhookInbox.due_at - HOUR))).rowcount == 1
    assert await apply_pages(runtime.work, actor, runtime.webhooks) == 2
    [line] = await history(runtime, actor, contact.id)
    assert (line.kind, line.campaign_id) == ("bounced", campaign_id)


async def test_a_bounced_recipient_can_still_unsubscribe(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """The page offers it, the contact is unsubscribed, and the campaign's counter changes."""
    actor, campaign_id, [message] = await send_campaign(runtime, provider, sender)
    [contact] = await runtime.reads(actor.tenant).rows(select(Contact.id))
    await deliver_events(runtime, of(message, bounce("HardBounce", 1, inactive=True)))
    link = UnsubscribeLink(actor.organization_id, campaign_id, UUID(message.metadata["delivery"]), contact.id)
    for is_gone in (False, True):
        subscription = await read_subscription(runtime.reads(actor.tenant), link)
        assert subscription is not None
        assert subscription.is_unsubscribed is is_gone
        assert await unsubscribe(runtime.work, link)
    assert (await row_of(runtime, actor, contact.id)).status == ContactStatus.UNSUBSCRIBED
    kinds = [line.kind for line in await history(runtime, actor, contact.id)]
    assert sorted(kinds) == ["bounced", "unsubscribed"]


async def test_a_bounced_contact_can_be_unsubscribed_by_the_api(runtime: Runtime) -> None:
    """It is unsubscribed, which the provider does not lift; one that complained stays so."""
    email = address()
    actor, contact_id = await with_contact(runtime, email)
    await deliver_events(runtime, manual_suppression(email, LONG_AGO))
    async with runtime.work.begin(actor) as uow:
        unsubscribed = await changing.unsubscribe(uow, contact_id)
        assert await changing.unsubscribe(uow, contact_id) == unsubscribed
    assert unsubscribed.status == ContactStatus.UNSUBSCRIBED
    await deliver_events(runtime, reactivation(email, datetime.now(UTC) + timedelta(minutes=1)))
    assert (await row_of(runtime, actor, contact_id)).status == ContactStatus.UNSUBSCRIBED
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(Contact).values(status=ContactStatus.COMPLAINED))
        assert (await changing.unsubscribe(uow, contact_id)).status == ContactStatus.COMPLAINED


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (complaint(), "complained"),
        (change(suppress=True, reason="ManualSuppression", origin="Recipient"), "unsubscribed"),
        (bounce("Unsubscribe", 16), "unsubscribed"),
    ],
)
async def test_a_person_s_decision_about_a_test_message(
    runtime: Runtime, provider: Provider, sender: CampaignSender, event: dict[str, Any], status: str
) -> None:
    """A test message has our campaign's id and no delivery: the event is applied by its address, for the sender."""
    actor, message, other_owner, contact_id = await same_address(runtime, provider, sender)
    [contact] = await runtime.reads(actor.tenant).rows(select(Contact.id))
    test = {**message.metadata, "delivery": str(new_id())}
    await deliver_events(runtime, {**of(message, event), "MessageID": str(new_id()), "Metadata": test})
    assert (await row_of(runtime, actor, contact.id)).status == status
    assert [line.kind for line in await history(runtime, actor, contact.id)] == [status]
    assert (await row_of(runtime, other_owner, contact_id)).status == "subscribed"


@pytest.mark.parametrize("time", ["2999-01-01T00:00:00Z", "0001-01-01T00:00:00Z", None, "soon", 5])
async def test_a_reactivation_with_an_impossible_time(runtime: Runtime, time: object) -> None:
    """It has the time of its receipt, so it neither lifts later suppressions nor is lost."""
    email = address()
    actor, contact_id = await with_contact(runtime, email)
    await deliver_events(runtime, manual_suppression(email, LONG_AGO))
    await deliver_events(runtime, {**reactivation(email, LONG_AGO), "ChangedAt": time})
    assert (await row_of(runtime, actor, contact_id)).status == ContactStatus.SUBSCRIBED
    await deliver_events(runtime, manual_suppression(email, datetime.now(UTC) + timedelta(minutes=1)))
    assert (await row_of(runtime, actor, contact_id)).status == ContactStatus.BOUNCED


async def test_concurrent_changes_do_not_deadlock(
    runtime: Runtime, provider: Provider, sender: CampaignSender
) -> None:
    """Events, pages, mutations and upserts about the same contacts wait for each other."""
    actor, contact_ids, first = await sending(runtime, 6)
    second = await factories.campaign(runtime, actor)
    await start(runtime, actor, second)
    for campaign_id in (first, second):
        await drain(sender, actor, campaign_id)
    messages = [*await messages_of(provider, first), *await messages_of(provider, second)]
    emails = sorted({message.recipients[0] for message in messages})
    for _ in range(3):
        for message in messages:
            await deliver(runtime, of(message, bounce("HardBounce", 1, inactive=True)))
            await deliver(runtime, reactivation(message.recipients[0], datetime.now(UTC)))
        await attribute_events(runtime.system)
        pages = [
            unsubscribe(
                runtime.work,
                UnsubscribeLink(
                    actor.organization_id,
                    UUID(message.metadata["campaign"]),
                    UUID(message.metadata["delivery"]),
                    contact_id,
                ),
            )
            for message, contact_id in zip(reversed(messages), [*contact_ids, *contact_ids], strict=True)
        ]
        await asyncio.gather(
            *(apply_pages(runtime.work, actor, runtime.webhooks) for _ in range(3)),
            *pages,
            *(unsubscribe_contact(runtime, actor, contact_id) for contact_id in reversed(contact_ids)),
            upsert_all(runtime, actor, emails),
            upsert_all(runtime, actor, emails[::-1]),
        )
    await deliver_events(runtime)
    rows = await runtime.reads(actor.tenant).rows(select(Contact.status))
    assert {row.status for row in rows} == {ContactStatus.UNSUBSCRIBED}
    for campaign_id in (first, second):
        await progress(runtime, actor, campaign_id)
        stats = await read_stats(runtime.reads(actor.tenant), campaign_id)
        assert stats is not None
        assert stats.unsubscribed == len(contact_ids)


async def unsubscribe_contact(runtime: Runtime, actor: Actor, contact_id: UUID) -> None:
    """The mutation that unsubscribes."""
    async with runtime.work.begin(actor) as uow:
        await changing.unsubscribe(uow, contact_id)


async def upsert_all(runtime: Runtime, actor: Actor, emails: list[str]) -> None:
    """An upsert that changes every contact."""
    async with runtime.work.begin(actor) as uow:
        await upserting.upsert(uow, [{"email": email, "first_name": str(new_id())} for email in emails])


async def test_the_api_shows_the_whole_history(
    runtime: Runtime, provider: Provider, sender: CampaignSender, api: ApiClient
) -> None:
    """From the webhook to `contact.events`: each event with the provider's text, and its effect."""
    actor, _, campaign_id = await sending(runtime, 1)
    await drain(sender, actor, campaign_id)
    [message] = await messages_of(provider, campaign_id)
    for event in (
        bounce("AutoResponder", 64, BouncedAt=at(LONG_AGO)),
        bounce("SoftBounce", 4096, BouncedAt=at(LONG_AGO + HOUR)),
        bounce("HardBounce", 1, inactive=True, BouncedAt=at(LONG_AGO + 2 * HOUR)),
        change(suppress=False, reason=None, origin="Customer", ChangedAt=at(LONG_AGO + 3 * HOUR)),
        change(suppress=True, reason="ManualSuppression", origin="Recipient", ChangedAt=at(LONG_AGO + 4 * HOUR)),
    ):
        await deliver_events(runtime, of(message, event))
    data = await api.as_(factories.token(runtime, actor)).execute(
        """query ($email: EmailAddress!) { contactByEmail(email: $email) {
             status unsubscribedAt events { nodes { kind occurredAt data } } } }""",
        {"email": message.recipients[0]},
    )
    contact = data["contactByEmail"]
    assert (contact["status"], contact["unsubscribedAt"][:19]) == ("UNSUBSCRIBED", "2022-06-05T21:17:32")
    kinds = [node["kind"] for node in contact["events"]["nodes"]]
    assert kinds == ["UNSUBSCRIBED", "REACTIVATED", "BOUNCED", "BOUNCED", "NOTICE"]
    assert contact["events"]["nodes"][2]["data"]["Details"] == "smtp;550 5.1.1 what the other server said"
    assert contact["events"]["nodes"][4]["data"]["Type"] == "AutoResponder"
