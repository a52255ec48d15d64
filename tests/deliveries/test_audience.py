"""The audience of a campaign as it is prepared, and why some recipients get no message."""

from collections import Counter
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import insert, select, update

from core.access.actor import Actor
from core.ids import new_id
from integrations.recording import UNLIMITED
from models.campaigns import Campaign, CampaignRecipient, CampaignStatus, RecipientKind
from models.contacts import Contact, ContactStatus, ContactTag
from models.deliveries import DeliveryDecision, DeliveryStatus, EmailDelivery
from models.suppressions import Suppression, SuppressionReason
from runtime import Runtime
from services import lists
from services.campaigns.lifecycle import change_status
from services.campaigns.work import SendBatches
from services.contacts import changing
from services.deliveries import preparing
from services.deliveries.preparing import prepare_page
from services.deliveries.rendering import RenderedBatch, render_batch
from services.deliveries.sending import CampaignSender
from services.deliveries.sweeping import advance_campaign
from tests import factories
from tests.deliveries.model import ModelMailer
from tests.deliveries.worker import drain, go, progress, sending, start, statuses

DECISIONS = {
    ContactStatus.UNSUBSCRIBED: DeliveryDecision.UNSUBSCRIBED,
    ContactStatus.PENDING: DeliveryDecision.NOT_CONFIRMED,
    ContactStatus.BOUNCED: DeliveryDecision.BOUNCED,
    ContactStatus.COMPLAINED: DeliveryDecision.COMPLAINED,
}


async def decisions(runtime: Runtime, actor: Actor, campaign_id: UUID) -> dict[UUID, tuple[str, str | None]]:
    """The status of each recipient's delivery, and why it was not sent."""
    rows = await runtime.reads(actor.tenant).rows(
        select(EmailDelivery.contact_id, EmailDelivery.status, EmailDelivery.decision).where(
            EmailDelivery.campaign_id == campaign_id
        )
    )
    return {row.contact_id: (row.status, row.decision) for row in rows}


async def add_to_audience(runtime: Runtime, actor: Actor, campaign_id: UUID, *rules: dict[str, object]) -> None:
    """Add contacts, lists or tags to the campaign's audience."""
    of_campaign = {"organization_id": actor.organization_id, "campaign_id": campaign_id}
    empty = {"tag": None, "list_id": None, "contact_id": None, "excluded": False}
    async with runtime.work.begin(actor) as uow:
        await uow.execute(
            insert(CampaignRecipient), [{"id": new_id(), **of_campaign, **empty, **rule} for rule in rules]
        )


@pytest.mark.parametrize("excluded", [False, True])
async def test_the_audience_has_the_named_contacts_once(runtime: Runtime, *, excluded: bool) -> None:
    """By tag, list or contact; an excluded contact gets no row, even if it is named twice."""
    actor = await factories.organization(runtime)
    tagged = await factories.contacts(runtime, actor, 2, tag="named")
    on_lists, single, other = [await factories.contacts(runtime, actor, 2) for _ in range(3)]
    async with runtime.work.begin(actor) as uow:
        mine, others = [(await lists.create(uow, one)).id for one in ("mine", "others")]
        await lists.add_members(uow, [mine], [*on_lists, tagged[0]])
        await lists.add_members(uow, [others], other)
    # Excluded from all contacts, or the only ones named.
    campaign_id = await factories.campaign(runtime, actor, tag=None if excluded else "named")
    rules: list[dict[str, object]] = [
        {"kind": RecipientKind.TAG, "tag": "named", "excluded": excluded},
        {"kind": RecipientKind.LIST, "list_id": mine, "excluded": excluded},
        *({"kind": RecipientKind.CONTACT, "contact_id": one, "excluded": excluded} for one in single),
    ]
    await add_to_audience(runtime, actor, campaign_id, *rules)
    other_campaign = await factories.campaign(runtime, actor)
    await add_to_audience(runtime, actor, other_campaign, {"kind": RecipientKind.ALL, "excluded": True})
    await start(runtime, actor, campaign_id)
    rows = await runtime.reads(actor.tenant).rows(select(EmailDelivery.contact_id))
    expected = other if excluded else [*tagged, *on_lists, *single]
    assert Counter(row.contact_id for row in rows) == Counter(expected)


async def test_a_campaign_is_prepared_page_by_page(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each contact once, in the order of their ids; the cursor is removed at the end."""
    monkeypatch.setattr(preparing, "PAGE", 2)
    actor = await factories.organization(runtime)
    contacts = sorted(await factories.contacts(runtime, actor, 5))
    campaign_id, other_campaign = [await factories.campaign(runtime, actor) for _ in range(2)]
    for each in (campaign_id, other_campaign):
        async with runtime.work.begin(actor) as uow:
            await change_status(uow, each, CampaignStatus.PREPARING)
    reads = runtime.reads(actor.tenant)
    for frozen, cursor in ((2, contacts[1]), (4, contacts[3]), (5, None)):
        async with runtime.work.begin(actor) as uow:
            assert await prepare_page(uow, campaign_id) is (cursor is None)
            order = SendBatches(organization_id=actor.organization_id, campaign_id=campaign_id)
            assert uow.jobs == ([order] if cursor is None else [])
        assert sorted(await statuses(runtime, actor, campaign_id)) == contacts[:frozen]
        rows = await reads.rows(select(Campaign.id, Campaign.prepare_cursor, Campaign.status, Campaign.started_at))
        rows_by_id = {row.id: row for row in rows}
        assert rows_by_id[campaign_id].prepare_cursor == cursor
        assert (rows_by_id[campaign_id].started_at is None) is (cursor is not None)
        assert rows_by_id[other_campaign][1:] == (None, CampaignStatus.PREPARING, None)
    assert (await progress(runtime, actor, campaign_id)).status == CampaignStatus.SENDING


async def test_recipients_who_may_not_be_mailed_are_skipped_with_a_reason(
    runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer
) -> None:
    """Whether it was so when the campaign was prepared, or became so before their batch was sent."""
    actor = await factories.organization(runtime)
    early, late = [await factories.contacts(runtime, actor, len(DECISIONS)) for _ in range(2)]
    suppressed, deleted, mailed = await factories.contacts(runtime, actor, 3)

    async def set_statuses(contacts: list[UUID]) -> None:
        async with runtime.work.begin(actor) as uow:
            for contact_id, status in zip(contacts, DECISIONS, strict=True):
                await uow.execute(update(Contact).where(Contact.id == contact_id).values(status=status))

    await set_statuses(early)
    async with runtime.work.begin(actor) as uow:
        norm = select(Contact.email_norm).where(Contact.id == suppressed).scalar_subquery()
        suppression = {"organization_id": actor.organization_id, "reason": SuppressionReason.HARD_BOUNCE}
        await uow.execute(insert(Suppression).values(email_norm=norm, **suppression))
    campaign_id = await factories.campaign(runtime, actor)
    await start(runtime, actor, campaign_id)
    skipped = {
        contact_id: (DeliveryStatus.SKIPPED, decision)
        for contact_id, decision in zip(early, DECISIONS.values(), strict=True)
    } | {suppressed: (DeliveryStatus.SKIPPED, DeliveryDecision.SUPPRESSED)}
    waiting = dict.fromkeys((*late, deleted, mailed), (DeliveryStatus.PENDING, None))
    assert await decisions(runtime, actor, campaign_id) == skipped | waiting
    await set_statuses(late)
    async with runtime.work.begin(actor) as uow:
        await changing.remove(uow, deleted)
    await drain(scripted_sender, actor, campaign_id)
    skipped |= {
        contact_id: (DeliveryStatus.SKIPPED, decision)
        for contact_id, decision in zip(late, DECISIONS.values(), strict=True)
    }
    skipped[deleted] = (DeliveryStatus.SKIPPED, DeliveryDecision.CONTACT_DELETED)
    assert await decisions(runtime, actor, campaign_id) == skipped | {mailed: (DeliveryStatus.ACCEPTED, None)}
    assert len(mailer.accepted) == 1


async def test_an_empty_audience_fails_only_its_own_campaign(runtime: Runtime) -> None:
    """Another campaign of the organization, with recipients, is sent."""
    actor, _, other = await sending(runtime, 2)
    campaign_id = await factories.campaign(runtime, actor, tag="unused")
    await start(runtime, actor, campaign_id)
    assert (await progress(runtime, actor, campaign_id)).status == CampaignStatus.FAILED
    assert (await progress(runtime, actor, other)).status == CampaignStatus.SENDING


async def test_unsent_deliveries_of_a_cancelled_campaign_have_the_reason(
    runtime: Runtime, scripted_sender: CampaignSender
) -> None:
    """Pending and claimed ones are skipped as cancelled, or as suppressed; submitted ones continue."""
    actor, _, campaign_id = await sending(runtime, 5)
    content = await scripted_sender.content_of(actor, campaign_id)
    assert content is not None
    await scripted_sender.deliver(actor, content, await scripted_sender.claim_batch(actor, content, 1))
    claimed = await scripted_sender.claim_batch(actor, content, 2)
    suppressed, cancelled = claimed.rows
    async with runtime.work.begin(actor) as uow:
        suppression = {"organization_id": actor.organization_id, "reason": SuppressionReason.HARD_BOUNCE}
        await uow.execute(insert(Suppression).values(email_norm=suppressed.email, **suppression))
    await go(runtime, actor, campaign_id, CampaignStatus.CANCELLING)
    assert (await scripted_sender.deliver(actor, content, claimed)).handed_over == 0
    decisions_by_contact = await decisions(runtime, actor, campaign_id)
    assert decisions_by_contact[suppressed.contact_id] == (DeliveryStatus.SKIPPED, DeliveryDecision.SUPPRESSED)
    assert decisions_by_contact[cancelled.contact_id] == (DeliveryStatus.SKIPPED, DeliveryDecision.CANCELLED)
    await advance_campaign(runtime.work, actor, campaign_id)
    decisions_by_contact = await decisions(runtime, actor, campaign_id)
    assert Counter(decisions_by_contact.values()) == {
        (DeliveryStatus.ACCEPTED, None): 1,
        (DeliveryStatus.SKIPPED, DeliveryDecision.SUPPRESSED): 1,
        (DeliveryStatus.SKIPPED, DeliveryDecision.CANCELLED): 3,
    }


async def test_pausing_and_cancelling_affect_one_campaign(
    runtime: Runtime, scripted_sender: CampaignSender, mailer: ModelMailer
) -> None:
    """A paused campaign neither sends because another one does, nor is skipped because another one is cancelled."""
    actor, contacts, campaign_id = await sending(runtime, 3)
    content = await scripted_sender.content_of(actor, campaign_id)
    assert content is not None
    claimed = await scripted_sender.claim_batch(actor, content, 2)
    going, ending = [await factories.campaign(runtime, actor) for _ in range(2)]
    for each in (going, ending):
        await start(runtime, actor, each)
    await go(runtime, actor, ending, CampaignStatus.CANCELLING)
    await go(runtime, actor, campaign_id, CampaignStatus.PAUSED)
    assert (await scripted_sender.deliver(actor, content, claimed)).handed_over == 0
    assert not (await scripted_sender.send_batch(actor, campaign_id)).claimed
    waiting = dict.fromkeys(contacts, (DeliveryStatus.PENDING, None))
    assert await decisions(runtime, actor, campaign_id) == waiting
    assert mailer.accepted == []


async def test_a_message_has_the_tags_of_its_contact(runtime: Runtime, scripted_sender: CampaignSender) -> None:
    """In alphabetical order, and none if the contact has none."""
    actor = await factories.organization(runtime)
    contacts = await factories.contacts(runtime, actor, 3)
    tags = {contacts[0]: ["b", "a"], contacts[1]: ["c"], contacts[2]: []}
    campaign_id = await factories.campaign(runtime, actor)
    async with runtime.work.begin(actor) as uow:
        rows = [{"contact_id": one, "tag": tag} for one, some in tags.items() for tag in some]
        await uow.execute(insert(ContactTag), [{"organization_id": actor.organization_id, **row} for row in rows])
        columns = {"html_content": "<p>[{{ contact.tags | join: ',' }}]</p>"}
        await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(**columns))
    await start(runtime, actor, campaign_id)
    content = await scripted_sender.content_of(actor, campaign_id)
    assert content is not None
    claimed = await scripted_sender.claim_batch(actor, content, 3)
    rendered = await render_batch(claimed, content, signer=scripted_sender.signer, public_url="https://x.example")
    html_by_contact = {row.contact_id: rendered.messages[row.id].html for row in claimed.rows}
    for contact_id, some in tags.items():
        assert f"[{','.join(sorted(some))}]" in html_by_contact[contact_id]


@pytest.fixture
def slow(scripted_sender: CampaignSender, mailer: ModelMailer) -> CampaignSender:
    """A sender with an account of its own, at one message per second."""
    mailer.account = f"account-{new_id()}"
    mailer.limits = replace(UNLIMITED, messages_per_second=1)
    return scripted_sender


async def test_batches_wait_for_the_rate_limit(slow: CampaignSender, waits: list[float]) -> None:
    """A batch is no larger than a second's worth, and is sent when the seconds of those before it are over."""
    assert await slow.wait_for_rate(20) == 1
    assert waits == []
    await slow.reserve(1_000)
    assert [await slow.wait_for_rate(20) for _ in range(2)] == [1, 1]
    first, second = waits
    assert 0 < first <= 1_001
    assert 0 < second <= 1_002


async def test_the_rate_limit_has_no_bursts_after_idle_time(slow: CampaignSender) -> None:
    """After ten idle minutes one batch is sent immediately, and the next one waits."""
    assert await slow.reserve(-600) == 0
    assert await slow.reserve(60) == 0
    assert 0 < await slow.reserve(60) <= 60


async def test_unused_reservations_of_the_rate_are_returned(runtime: Runtime, slow: CampaignSender) -> None:
    """For recipients that were not claimed, and messages that were not rendered in time."""
    actor, _, campaign_id = await sending(runtime, 15)
    content = await slow.content_of(actor, campaign_id)
    assert content is not None
    assert await slow.reserve(40) < 1
    claimed = await slow.claim_batch(actor, content, 40)
    assert len(claimed.rows) == 15
    assert await slow.reserve(0) <= 15
    await slow.adapt_batch_size(campaign_id, claimed, RenderedBatch(remaining=[row.id for row in claimed.rows[5:]]))
    assert await slow.reserve(0) <= 5
    assert slow.contents[campaign_id].batch_size == 5
