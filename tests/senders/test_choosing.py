"""Which sender a campaign has, and that it does not change once the campaign is sent."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from core.access.actor import Actor
from core.configuration import Environment
from core.errors import Conflict
from core.ids import encode_global_id
from core.listing.pages import page_request
from models.campaigns import Campaign, CampaignStatus
from models.deliveries import DeliveryResolution, DeliveryStatus, EmailDelivery
from runtime import Runtime
from services.campaigns import drafting, test_sends
from services.campaigns import sending as campaign_sending
from services.campaigns.listing import CAMPAIGNS, CampaignRow
from services.deliveries import resolving
from services.deliveries.preparing import prepare
from services.deliveries.rendering import load_content
from services.deliveries.sweeping import advance_campaign
from services.senders import changing, confirming
from services.senders.changing import SenderInUse
from services.senders.policy import SenderNotConfirmed, SenderPolicy, sender_policy
from services.senders.reading import SENDERS
from tests import factories
from tests.campaigns.calls import DUPLICATE, mutate, user_errors
from tests.client import ApiClient
from tests.deliveries.worker import build_sender, finish, go
from tests.senders.calls import CHOOSE, DELETE, create, list_senders
from tests.senders.conftest import Installation
from tests.statements import statements

CREATE = (
    "mutation ($input: CreateCampaignInput!) { createCampaign(input: $input) {"
    " campaign { id sender { id email isDefault } } userErrors { code field message suggestion } } }"
)
SENDER_OF = "query ($id: ID!) { campaign(id: $id) { status sender { email } stats { sent } } }"
POLICY = SenderPolicy(confirmed_only=True, fallback="", max_from_bytes=255, pause=timedelta(0), per_day=100)
SOON = datetime(2026, 12, 24, 18, tzinfo=UTC)


def sender_gid(sender_id: UUID) -> str:
    """The global id of a sender."""
    return encode_global_id("Sender", sender_id)


async def header_of(runtime: Runtime, actor: Actor, campaign_id: UUID) -> str:
    """The From header with which a worker would send the campaign."""
    content = await load_content(runtime.reads(actor.tenant), campaign_id, batch_size=10)
    assert content is not None
    return content.sender


async def sendable(runtime: Runtime) -> tuple[Actor, UUID, UUID]:
    """An organization with a confirmed default sender and a draft with a recipient."""
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, 1)
    sender_id = await factories.sender(runtime, actor, default=True)
    return actor, sender_id, await factories.campaign(runtime, actor)


async def rename(runtime: Runtime, actor: Actor, sender_id: UUID, name: str) -> None:
    """Rename a sender, as `createSender` does."""
    row = (await SENDERS.by_ids(runtime.reads(actor.tenant), [sender_id]))[sender_id]
    async with runtime.work.begin(actor) as uow:
        await changing.create(uow, POLICY, *changing.check_sender(POLICY, row.email, name))


async def send(runtime: Runtime, actor: Actor, campaign_id: UUID) -> CampaignRow:
    """Send a campaign under production's rules."""
    async with runtime.work.begin(actor) as uow:
        return await campaign_sending.send(uow, campaign_id, policy=POLICY)


async def schedule(runtime: Runtime, actor: Actor, campaign_id: UUID) -> CampaignRow:
    """Schedule a campaign under production's rules."""
    async with runtime.work.begin(actor) as uow:
        return await campaign_sending.schedule(uow, campaign_id, SOON, policy=POLICY)


@pytest.mark.parametrize(
    ("environment", "confirmed_only", "pauses", "per_day"),
    [(Environment.PRODUCTION, True, True, 20), (Environment.DEVELOPMENT, False, False, 10_000)],
)
def test_production_requires_confirmed_senders(
    runtime: Runtime, environment: Environment, confirmed_only: bool, pauses: bool, per_day: int
) -> None:
    """Independent of the provider's address; elsewhere every sender is allowed."""
    policy = sender_policy(runtime.mailer, production=environment is Environment.PRODUCTION)
    assert (policy.confirmed_only, bool(policy.pause), policy.per_day) == (confirmed_only, pauses, per_day)


@pytest.mark.parametrize("act", [send, schedule])
async def test_the_from_header_is_fixed_when_a_campaign_is_sent_or_scheduled(
    runtime: Runtime, act: Callable[..., Any]
) -> None:
    """A later name, default or choice does not change it."""
    actor, sender_id, campaign_id = await sendable(runtime)
    row = await act(runtime, actor, campaign_id)
    header = await header_of(runtime, actor, campaign_id)
    assert header.startswith('"Acme, Inc." <sender-')
    assert (row.from_sender_id, row.sender_id) == (sender_id, None)
    await rename(runtime, actor, sender_id, "Other")
    await factories.sender(runtime, actor)
    assert await header_of(runtime, actor, campaign_id) == header


async def test_every_message_of_a_campaign_has_the_same_from(production: Installation) -> None:
    """Even if the sender is renamed and the campaign paused between two batches."""
    runtime = production.runtime
    actor, sender_id, campaign_id = await sendable(runtime)
    await factories.contacts(runtime, actor, 5)
    await send(runtime, actor, campaign_id)
    assert await prepare(runtime.work, actor, campaign_id)
    worker = build_sender(runtime, runtime.mailer)
    worker.resize(campaign_id, 2)
    content = await worker.content_of(actor, campaign_id)
    assert content is not None
    worker.resize(campaign_id, 2, shrink=True)
    await worker.send_batch(actor, campaign_id)
    await rename(runtime, actor, sender_id, "Other")
    worker.contents.clear()
    await go(runtime, actor, campaign_id, CampaignStatus.PAUSED)
    await go(runtime, actor, campaign_id, CampaignStatus.SENDING)
    await finish(runtime, worker, actor, campaign_id)
    entries = await production.provider.messages(campaign_id)
    assert (len(entries), len({entry["from_header"] for entry in entries})) == (6, 1)


async def test_unscheduling_removes_the_stored_from_header(runtime: Runtime) -> None:
    """The draft then uses the default sender at the time when it is sent."""
    actor, sender_id, campaign_id = await sendable(runtime)
    await schedule(runtime, actor, campaign_id)
    async with runtime.work.begin(actor) as uow:
        row = await campaign_sending.unschedule(uow, campaign_id)
    assert (row.from_sender_id, row.from_header) == (None, None)
    await rename(runtime, actor, sender_id, "Other")
    await send(runtime, actor, campaign_id)
    assert (await header_of(runtime, actor, campaign_id)).startswith("Other <")


async def test_a_scheduled_campaign_starts_with_its_stored_sender(runtime: Runtime) -> None:
    """The sweep starts it with the stored From header."""
    actor, _, campaign_id = await sendable(runtime)
    await schedule(runtime, actor, campaign_id)
    header = await header_of(runtime, actor, campaign_id)
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(Campaign).values(scheduled_at=Campaign.created_at))
    await advance_campaign(runtime.work, actor, campaign_id)
    row = await CAMPAIGNS.get(runtime.reads(actor.tenant), campaign_id)
    assert row is not None
    assert (row.status, row.from_header) == (CampaignStatus.PREPARING, header)


async def test_a_campaign_can_have_any_sender_of_its_organization(api: ApiClient, runtime: Runtime) -> None:
    """By id, null for the default; another organization's id is NOT_FOUND; a copy has the same sender."""
    actor = await factories.organization(runtime)
    other = await factories.organization(runtime)
    mine = api.as_(factories.token(runtime, actor))
    first, second = [sender_gid(await factories.sender(runtime, actor)) for _ in range(2)]
    strange = sender_gid(await factories.sender(runtime, other))
    first_campaign = (await mutate(mine, CREATE, name="One", senderId=first))["campaign"]
    assert first_campaign["sender"]["id"] == first
    assert (await mutate(mine, CREATE, name="Two"))["campaign"]["sender"] is None
    for bad in (strange, "nonsense", first_campaign["id"], ""):
        for document, values in ((CREATE, {"name": "Three"}), (CHOOSE, {"campaignId": first_campaign["id"]})):
            errors = await user_errors(mine, document, senderId=bad, **values)
            assert [(error["code"], error["field"]) for error in errors] == [("NOT_FOUND", ["input", "senderId"])]
    copy = (await mutate(mine, DUPLICATE, campaignId=first_campaign["id"]))["campaign"]["id"]
    for campaign, sender_id, expected in ((first_campaign["id"], second, second), (first_campaign["id"], None, None)):
        response = await mutate(mine, CHOOSE, campaignId=campaign, senderId=sender_id)
        assert (response["campaign"]["sender"] or {}).get("id") == expected
    assert (await mine.execute(SENDER_OF, {"id": copy}))["campaign"]["sender"] is not None
    nodes = "query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Sender { email } } }"
    nodes_of_senders = (await mine.execute(nodes, {"ids": [first, strange]}))["nodes"]
    assert [bool(node) for node in nodes_of_senders] == [True, False]


async def test_the_first_confirmed_sender_is_the_default_until_another_is_made_so(production: Installation) -> None:
    """`makeDefault` takes effect immediately, or at the sender's confirmation; there is one default."""
    actor, api = await production.owner()

    async def confirm(email: str, **more: object) -> None:
        await create(api, email, **more)  # type: ignore[arg-type]
        await production.deliver(actor)
        async with production.runtime.work.begin(actor) as uow:
            await confirming.confirm(uow, await production.token(email))

    async def default() -> list[str]:
        return [email for email, sender in (await list_senders(api)).items() if sender["isDefault"]]

    one, two, three = [f"{name}-{actor.require_user_id().hex}@acme.example" for name in ("one", "two", "three")]
    await confirm(one)
    await confirm(two)
    assert await default() == [one]
    await create(api, two, makeDefault=True)
    assert await default() == [two]
    await confirm(three, makeDefault=True)
    assert await default() == [three]
    await mutate(api, DELETE, senderId=(await list_senders(api))[three]["id"])
    assert await default() == [one]
    await mutate(api, DELETE, senderId=(await list_senders(api))[one]["id"])
    await mutate(api, DELETE, senderId=(await list_senders(api))[two]["id"])
    assert await list_senders(api) == {}


LIVE = ["scheduled", "preparing", "sending", "paused", "cancelling"]


@pytest.mark.parametrize("status", LIVE)
async def test_a_sender_in_use_cannot_be_deleted(runtime: Runtime, status: str) -> None:
    """By a campaign that is scheduled or being sent, which the error names; another sender can be deleted."""
    actor, sender_id, campaign_id = await sendable(runtime)
    other = await factories.sender(runtime, actor)
    await send(runtime, actor, campaign_id)
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(Campaign).values(status=status, name="Winter"))
    with pytest.raises(SenderInUse) as refusal:
        await delete(runtime, actor, sender_id)
    assert "“Winter”" in refusal.value.message
    assert refusal.value.suggestion
    await delete(runtime, actor, other)


async def delete(runtime: Runtime, actor: Actor, sender_id: UUID) -> None:
    """Delete a sender."""
    async with runtime.work.begin(actor) as uow:
        await changing.delete(uow, POLICY, sender_id)


@pytest.mark.parametrize("status", ["draft", "sent", "sent_with_issues", "cancelled", "failed"])
async def test_an_unused_sender_can_be_deleted(runtime: Runtime, status: str) -> None:
    """Drafts then use the default sender, and sent campaigns keep their From header."""
    actor, _, campaign_id = await sendable(runtime)
    sender_id = await factories.sender(runtime, actor)
    values = {
        "sender_id": sender_id,
        "from_sender_id": sender_id,
        "from_header": "Acme <a@b.example>",
        "status": status,
    }
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(Campaign).values(values))
    await delete(runtime, actor, sender_id)
    row = await CAMPAIGNS.get(runtime.reads(actor.tenant), campaign_id)
    assert row is not None
    assert (row.sender_id, row.from_sender_id, row.from_header) == (None, None, "Acme <a@b.example>")


async def send_in_doubt(runtime: Runtime, actor: Actor, campaign_id: UUID) -> UUID:
    """Send a campaign to its one recipient until it ends with the message in doubt; the delivery's id."""
    await send(runtime, actor, campaign_id)
    assert await prepare(runtime.work, actor, campaign_id)
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(EmailDelivery).values(status=DeliveryStatus.FAILED))
    await advance_campaign(runtime.work, actor, campaign_id)
    (row,) = await runtime.reads(actor.tenant).rows(select(EmailDelivery.id))
    return UUID(str(row.id))


async def resolve(runtime: Runtime, actor: Actor, delivery_id: UUID, resolution: DeliveryResolution) -> str:
    """Resolve a delivery under production's rules; the campaign's status then."""
    async with runtime.work.begin(actor) as uow:
        _, campaign = await resolving.resolve(uow, delivery_id, resolution, policy=POLICY)
    return campaign.status


async def test_nothing_is_sent_again_from_a_deleted_sender(runtime: Runtime) -> None:
    """Neither a message in doubt nor a test of the campaign; other decisions are possible."""
    actor, sender_id, campaign_id = await sendable(runtime)
    delivery_id = await send_in_doubt(runtime, actor, campaign_id)
    assert await resolve(runtime, actor, delivery_id, DeliveryResolution.NOT_SENT) == "sent_with_issues"
    await delete(runtime, actor, sender_id)
    with pytest.raises(SenderNotConfirmed) as refusal:
        await resolve(runtime, actor, delivery_id, DeliveryResolution.SEND_AGAIN)
    assert (refusal.value.field, bool(refusal.value.suggestion)) == (("input", "as"), True)
    assert await resolve(runtime, actor, delivery_id, DeliveryResolution.NOT_SENT) == "sent_with_issues"
    other = await factories.sender(runtime, actor, default=True)
    row = (await SENDERS.by_ids(runtime.reads(actor.tenant), [other]))[other]
    test = await test_sends.prepare(
        runtime.reads(actor.tenant),
        campaign_id,
        [row.email],
        contact={},
        policy=POLICY,
        public_url="https://nudge.example",
    )
    assert row.email in test.sender


async def test_sending_again_locks_the_sender(runtime: Runtime) -> None:
    """A concurrent deletion waits for the commit, and is refused."""
    actor, sender_id, campaign_id = await sendable(runtime)
    delivery_id = await send_in_doubt(runtime, actor, campaign_id)
    async with runtime.work.begin(actor) as uow:
        await resolving.resolve(uow, delivery_id, DeliveryResolution.SEND_AGAIN, policy=POLICY)
        deleting = asyncio.create_task(delete(runtime, actor, sender_id))
        done, _ = await asyncio.wait([deleting], timeout=0.5)
        assert not done
    with pytest.raises(SenderInUse):
        await deleting


async def test_deleting_waits_for_sending(runtime: Runtime) -> None:
    """A deletion during a transaction that sends waits for it, and is refused."""
    actor, sender_id, campaign_id = await sendable(runtime)
    async with runtime.work.begin(actor) as uow:
        await campaign_sending.send(uow, campaign_id, policy=POLICY)
        deleting = asyncio.create_task(delete(runtime, actor, sender_id))
        done, _ = await asyncio.wait([deleting], timeout=0.5)
        assert not done
    with pytest.raises(SenderInUse):
        await deleting


async def test_sending_waits_for_deleting(runtime: Runtime) -> None:
    """A send during the deletion of its sender is refused with a user error."""
    actor, sender_id, campaign_id = await sendable(runtime)
    async with runtime.work.begin(actor) as uow:
        await changing.delete(uow, POLICY, sender_id)
        sending = asyncio.create_task(send(runtime, actor, campaign_id))
        done, _ = await asyncio.wait([sending], timeout=0.5)
        assert not done
    with pytest.raises(Exception, match="deleted at the same time") as refusal:
        await sending
    assert getattr(refusal.value, "code", None) == "CONFLICT"


async def test_choosing_waits_for_deleting(runtime: Runtime) -> None:
    """A draft cannot choose a sender during its deletion: it waits, and is refused with a user error."""
    actor, sender_id, _ = await sendable(runtime)
    draft = await factories.campaign(runtime, actor)

    async def choose() -> None:
        async with runtime.work.begin(actor) as uow:
            await drafting.update(uow, draft, {"sender_id": sender_id})

    async with runtime.work.begin(actor) as uow:
        await changing.delete(uow, POLICY, sender_id)
        choosing = asyncio.create_task(choose())
        done, _ = await asyncio.wait([choosing], timeout=0.5)
        assert not done
    with pytest.raises(Conflict):
        await choosing


async def test_an_organization_has_at_most_a_hundred_senders(runtime: Runtime) -> None:
    """The next one is refused; an existing one can still be renamed."""
    actor = await factories.organization(runtime)
    for _ in range(100):
        await factories.sender(runtime, actor)
    async with runtime.work.begin(actor) as uow:
        with pytest.raises(Exception, match="at most 100 senders"):
            await changing.create(uow, POLICY, *changing.check_sender(POLICY, "next@acme.example", "Acme"))
    some = (await SENDERS.page(runtime.reads(actor.tenant), page_request(first=1))).rows[0]
    await rename(runtime, actor, some.id, "Other")


async def test_the_senders_of_campaigns_are_read_in_one_statement(api: ApiClient, runtime: Runtime) -> None:
    """For ten campaigns with different senders."""
    actor = await factories.organization(runtime)
    for _ in range(10):
        campaign_id, sender_id = (
            await factories.campaign(runtime, actor),
            await factories.sender(runtime, actor),
        )
        async with runtime.work.begin(actor) as uow:
            await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(sender_id=sender_id))
    query = "{ campaigns { nodes { sender { email confirmationProblem } } } }"
    with statements(runtime) as seen:
        data = await api.as_(factories.token(runtime, actor)).execute(query)
    assert len({node["sender"]["email"] for node in data["campaigns"]["nodes"]}) == 10
    assert len([text for text, _ in seen if "FROM senders" in text]) == 1
    assert len([text for text, _ in seen if "FROM outbox" in text]) == 1
