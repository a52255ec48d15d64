"""The public unsubscribe page and one-click unsubscribe."""

from html import escape
from uuid import UUID

import aiohttp
from sqlalchemy import select

from core import clock
from core.access.actor import Actor
from core.ids import new_id
from core.pubsub import campaign_topic
from models.accounts import Organization
from models.campaigns import CampaignStatus
from models.contact_events import ContactEvent, ContactEventKind
from models.contacts import Contact, ContactStatus
from models.deliveries import DeliveryStatus, EmailDelivery
from models.suppressions import Suppression, SuppressionReason, SuppressionSource
from runtime import Runtime
from services.campaigns.progress import read_stats
from services.deliveries.claiming import claim
from services.deliveries.rendering import render_batch
from services.deliveries.sending import CampaignSender
from services.suppressions.facts import HistoryEntry, SuppressionFact
from services.suppressions.suppressing import suppress
from services.suppressions.unsubscribing import UnsubscribeLink, link_token
from tests.deliveries.conftest import Provider
from tests.deliveries.worker import drain, finish, sending, statuses

ONE_CLICK = b"List-Unsubscribe=One-Click"
FORM = {"content-type": "application/x-www-form-urlencoded"}


async def link_in_mail(provider: Provider, campaign_id: UUID) -> str:
    """The path of the link in the List-Unsubscribe header of a campaign's first message."""
    entry = (await provider.messages(campaign_id))[0]
    answer = await provider.client.call("GET", f"/sandbox/messages/{entry['message_id']}")
    message = answer.object()["message"]
    assert isinstance(message, dict)
    [url] = [one["Value"] for one in message["Headers"] if one["Name"] == "List-Unsubscribe"]
    assert isinstance(url, str)
    return url.strip("<>").removeprefix("http://127.0.0.1:8000")


async def contact_status(runtime: Runtime, actor: Actor) -> list[str]:
    """The status of every contact."""
    return [row.status for row in await runtime.reads(actor.tenant).rows(select(Contact.status))]


async def test_get_shows_a_page_and_changes_nothing(
    runtime: Runtime, provider: Provider, sender: CampaignSender, base_url: str, http: aiohttp.ClientSession
) -> None:
    """Link scanners follow every link: a GET shows a button, sets no cookie, and unsubscribes no one."""
    actor, _, campaign_id = await sending(runtime, 1)
    await drain(sender, actor, campaign_id)
    async with http.get(base_url + await link_in_mail(provider, campaign_id)) as answer:
        page = await answer.text()
        assert answer.status == 200
        assert "<button" in page
        assert 'lang="en"' in page
        assert "set-cookie" not in answer.headers
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert await contact_status(runtime, actor) == [ContactStatus.SUBSCRIBED]


async def test_one_click_unsubscribes(
    runtime: Runtime, provider: Provider, sender: CampaignSender, base_url: str, http: aiohttp.ClientSession
) -> None:
    """A POST of RFC 8058 suppresses the address, changes the contact, and counts once, however often it is sent."""
    actor, _, campaign_id = await sending(runtime, 1)
    await drain(sender, actor, campaign_id)
    url = base_url + await link_in_mail(provider, campaign_id)
    text = ""
    for _ in range(2):
        async with http.post(url, data=ONE_CLICK, headers=FORM, allow_redirects=False) as answer:
            assert answer.status == 200
            assert "set-cookie" not in answer.headers
            text = await answer.text()
    reads = runtime.reads(actor.tenant)
    [[name]] = await reads.rows(select(Organization.name))
    assert f"You will get no more e-mail from {escape(name)}." in text
    assert await contact_status(runtime, actor) == [ContactStatus.UNSUBSCRIBED]
    assert [row.reason for row in await reads.rows(select(Suppression.reason))] == ["unsubscribed"]
    assert [row.kind for row in await reads.rows(select(ContactEvent.kind))] == ["unsubscribed"]
    stats = await read_stats(reads, campaign_id)
    assert stats is not None
    assert stats.unsubscribed == 1
    async with http.get(url) as answer:
        assert "<button" not in await answer.text()


async def test_unsubscribing_after_the_claim_prevents_the_message(
    runtime: Runtime, provider: Provider, sender: CampaignSender, base_url: str, http: aiohttp.ClientSession
) -> None:
    """It counts until the message is submitted."""
    actor, contacts, campaign_id = await sending(runtime, 2)
    content = await sender.content_of(actor, campaign_id)
    assert content is not None
    claimed = await sender.claim_batch(actor, content, 2)
    link = UnsubscribeLink(actor.organization_id, campaign_id, claimed.rows[0].id, claimed.rows[0].contact_id)
    async with http.post(f"{base_url}/u/{link_token(runtime.unsubscribe_signer, link)}", data=ONE_CLICK) as answer:
        assert answer.status == 200
    assert (await sender.deliver(actor, content, claimed)).handed_over == 1
    assert (await statuses(runtime, actor, campaign_id))[claimed.rows[0].contact_id] is DeliveryStatus.SKIPPED
    assert len(contacts) == 2
    assert (await finish(runtime, sender, actor, campaign_id)).status == CampaignStatus.SENT
    assert len(await provider.messages(campaign_id)) == 1


async def test_unsubscribing_publishes_the_campaign_s_progress(runtime: Runtime) -> None:
    """Its counter changes without an event of the provider."""
    actor, [contact_id], campaign_id = await sending(runtime, 1)
    async with runtime.work.begin(actor) as uow:
        [row] = await uow.rows(
            select(EmailDelivery.id, EmailDelivery.email_norm).where(EmailDelivery.campaign_id == campaign_id)
        )
        entry = HistoryEntry(kind=ContactEventKind.UNSUBSCRIBED, dedupe_key=f"unsubscribe:{row.id}", only_if_new=True)
        fact = SuppressionFact(
            email_norm=row.email_norm,
            reason=SuppressionReason.UNSUBSCRIBED,
            source=SuppressionSource.OWN,
            at=clock.now(),
            entry=entry,
            contact_id=contact_id,
            campaign_id=campaign_id,
            delivery_id=row.id,
        )
        await suppress(uow, [fact])
        assert list(uow.signals) == [campaign_topic(actor.organization_id, campaign_id)]


async def test_an_invalid_link_is_answered_with_404(
    runtime: Runtime, provider: Provider, sender: CampaignSender, base_url: str, http: aiohttp.ClientSession
) -> None:
    """Changed, cut, foreign and invented tokens get the same answer, and change nothing."""
    actor, _, campaign_id = await sending(runtime, 1)
    await drain(sender, actor, campaign_id)
    good = (await link_in_mail(provider, campaign_id)).removeprefix("/u/")
    unknown = link_token(runtime.unsubscribe_signer, UnsubscribeLink(new_id(), new_id(), new_id(), new_id()))
    short = runtime.unsubscribe_signer.sign(b"short")
    middle = "A" if good[40] != "A" else "B"
    for token in (good[:40] + middle + good[41:], good[:-1], "x", "%C3%A4", unknown, short, "a" * 5_000):
        for method in ("GET", "POST"):
            async with http.request(method, f"{base_url}/u/{token}") as answer:
                assert (answer.status, "does not work" in await answer.text()) == (404, True)
    assert await contact_status(runtime, actor) == [ContactStatus.SUBSCRIBED]


async def test_every_message_has_its_own_link(runtime: Runtime, sender: CampaignSender) -> None:
    """No two messages have the same unsubscribe link."""
    actor, _, campaign_id = await sending(runtime, 20)
    content = await sender.content_of(actor, campaign_id)
    assert content is not None
    async with runtime.work.begin(actor) as uow:
        claimed = await claim(uow, campaign_id, limit=20, lease_seconds=60)
    rendered = await render_batch(
        claimed, content, signer=runtime.unsubscribe_signer, public_url="https://go.example"
    )
    assert len({message.unsubscribe_url for message in rendered.messages.values()}) == 20
