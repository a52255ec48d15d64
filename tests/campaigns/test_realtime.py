"""`campaignProgress` over a real websocket: complete messages, conflated, in order, until the end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from gql import Client, GraphQLRequest
from gql.client import AsyncClientSession
from gql.transport.exceptions import TransportQueryError
from gql.transport.websockets import WebsocketsTransport
from sqlalchemy import insert, select, update

from core.access.actor import Actor, shared_actor, user_actor
from core.access.permissions import Role
from core.ids import new_id
from core.pubsub import campaign_topic
from models.campaigns import CampaignStatus
from models.deliveries import DeliveryStatus, EmailDelivery
from runtime import Runtime
from services.campaigns import drafting
from services.campaigns.lifecycle import change_status
from services.campaigns.watching import watch_progress
from services.deliveries.sweeping import advance_campaign
from services.deliveries.waiting import SENDING_DISABLED_REASON
from services.features import Feature, Features
from tests import factories
from tests.campaigns.calls import gid
from tests.clocks import simulate
from tests.graphql.sockets import settles
from tests.serving import Served
from tests.waiting import WAIT_SECONDS

COUNTS = (
    "pending",
    "inFlight",
    "accepted",
    "delivered",
    "bounced",
    "complained",
    "rejected",
    "skipped",
    "failed",
    "unknown",
)
WATCH = (
    "subscription ($id: ID!) { campaignProgress(campaignId: $id) { campaignId sequence status statusReason audience "
    + " ".join(COUNTS)
    + " percent ratePerSecond estimatedSecondsLeft occurredAt } }"
)
Message = dict[str, Any]


@asynccontextmanager
async def session_of(server: Served, runtime: Runtime, actor: Actor) -> AsyncIterator[AsyncClientSession]:
    """A WebSocket session of an actor."""
    transport = WebsocketsTransport(
        url=server.websocket_url,
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
        init_payload={"authorization": f"Bearer {factories.token(runtime, actor)}"},
    )
    async with Client(transport=transport) as session:
        yield session


async def messages(session: AsyncClientSession, campaign_id: str) -> AsyncGenerator[Message, None]:
    """The campaign's progress as it arrives; the counts of each message must add up."""
    request = GraphQLRequest(WATCH, variable_values={"id": campaign_id})
    async with aclosing(session.subscribe(request)) as events:
        async for event in events:
            message: Message = event["campaignProgress"]
            assert sum(message[name] for name in COUNTS) == message["audience"]
            yield message


async def snapshot(session: AsyncClientSession, campaign_id: str) -> Message:
    """The first message; then unsubscribe."""
    async with aclosing(messages(session, campaign_id)) as stream:
        return await anext(stream)


async def sending_campaign(runtime: Runtime, owner: Actor, recipients: int) -> UUID:
    """A campaign in `sending` with all its deliveries pending."""
    campaign_id = await factories.campaign(runtime, owner)
    contact_ids = await factories.contacts(runtime, owner, recipients)
    async with runtime.work.begin(owner) as uow:
        await change_status(uow, campaign_id, CampaignStatus.PREPARING)
        rows = [
            {
                "organization_id": owner.organization_id,
                "campaign_id": campaign_id,
                "contact_id": contact_id,
                "email": f"{contact_id}@example.com",
                "email_norm": f"{contact_id}@example.com",
            }
            for contact_id in contact_ids
        ]
        await uow.execute(insert(EmailDelivery), rows)
        await change_status(uow, campaign_id, CampaignStatus.SENDING)
    return campaign_id


async def advance(runtime: Runtime, owner: Actor, campaign_id: UUID, to: DeliveryStatus, how_many: int) -> None:
    """Change the status of pending deliveries of the campaign, and publish that, as a worker does."""
    async with runtime.work.begin(owner) as uow:
        delivery_ids = (
            select(EmailDelivery.id)
            .where(EmailDelivery.campaign_id == campaign_id, EmailDelivery.status == DeliveryStatus.PENDING)
            .limit(how_many)
        )
        await uow.execute(
            update(EmailDelivery)
            .where(EmailDelivery.campaign_id == campaign_id, EmailDelivery.id.in_(delivery_ids))
            .values(status=to)
        )
        uow.publish(campaign_topic(owner.organization_id, campaign_id))


async def finish(runtime: Runtime, owner: Actor, campaign_id: UUID) -> None:
    """End the campaign, as the sweeper does."""
    async with runtime.work.begin(owner) as uow:
        await change_status(uow, campaign_id, CampaignStatus.SENT)


async def test_the_snapshot_comes_first_and_the_end_last(api_server: Served, runtime: Runtime) -> None:
    """Each change arrives complete; after the final status the stream completes."""
    owner = await factories.organization(runtime)
    campaign_id = await sending_campaign(runtime, owner, 4)
    received_messages: list[Message] = []
    async with session_of(api_server, runtime, owner) as session:
        async for message in messages(session, gid(campaign_id)):
            received_messages.append(message)
            if message["pending"] == 4:
                await advance(runtime, owner, campaign_id, DeliveryStatus.ACCEPTED, 3)
            elif message["pending"] == 1:
                await advance(runtime, owner, campaign_id, DeliveryStatus.REJECTED, 1)
            elif message["status"] == "SENDING":
                await finish(runtime, owner, campaign_id)
    assert [(m["status"], m["pending"], m["accepted"], m["rejected"], m["percent"]) for m in received_messages] == [
        ("SENDING", 4, 0, 0, 0.0),
        ("SENDING", 1, 3, 0, 75.0),
        ("SENDING", 0, 3, 1, 100.0),
        ("SENT", 0, 3, 1, 100.0),
    ]
    assert {message["campaignId"] for message in received_messages} == {gid(campaign_id)}
    sequences = [message["sequence"] for message in received_messages]
    assert sequences == sorted(set(sequences))


async def test_many_changes_become_at_most_ten_messages_a_second(
    api_server: Served, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst is conflated, in order and without repetition, and its last state always arrives."""
    simulated = simulate(monkeypatch, "core.pubsub.states")  # the server runs in this process
    owner = await factories.organization(runtime)
    campaign_id = await sending_campaign(runtime, owner, 150)

    async def burst() -> None:
        for _ in range(150):
            await advance(runtime, owner, campaign_id, DeliveryStatus.ACCEPTED, 1)
        await finish(runtime, owner, campaign_id)

    arrived: list[Message] = []
    async with session_of(api_server, runtime, owner) as session, asyncio.TaskGroup() as tasks:
        async for message in messages(session, gid(campaign_id)):
            if not arrived:
                tasks.create_task(burst())
            arrived.append(message)
    assert len(arrived) <= simulated.now * 10 + 1.1
    sequences = [message["sequence"] for message in arrived]
    assert sequences == sorted(set(sequences))
    assert (arrived[-1]["status"], arrived[-1]["accepted"]) == ("SENT", 150)


async def test_a_client_that_reconnects_gets_the_current_state(api_server: Served, runtime: Runtime) -> None:
    """Changes while it was disconnected are in the first message."""
    owner = await factories.organization(runtime)
    campaign_id = await sending_campaign(runtime, owner, 5)
    async with session_of(api_server, runtime, owner) as session:
        before = await snapshot(session, gid(campaign_id))
    await advance(runtime, owner, campaign_id, DeliveryStatus.ACCEPTED, 5)
    async with session_of(api_server, runtime, owner) as session:
        after = await snapshot(session, gid(campaign_id))
    assert (before["accepted"], after["accepted"]) == (0, 5)
    assert after["sequence"] > before["sequence"]


async def test_a_finished_campaign_is_one_message(api_server: Served, runtime: Runtime) -> None:
    """A subscription after the end gets the final state, and completes."""
    owner = await factories.organization(runtime)
    campaign_id = await sending_campaign(runtime, owner, 2)
    await advance(runtime, owner, campaign_id, DeliveryStatus.SKIPPED, 2)
    await finish(runtime, owner, campaign_id)
    async with session_of(api_server, runtime, owner) as session:
        received_messages = [message async for message in messages(session, gid(campaign_id))]
    assert [
        (m["status"], m["skipped"], m["ratePerSecond"], m["estimatedSecondsLeft"]) for m in received_messages
    ] == [("SENT", 2, 0.0, None)]


async def test_a_draft_is_a_snapshot_without_an_end(api_server: Served, runtime: Runtime) -> None:
    """Further messages arrive only after a change."""
    owner = await factories.organization(runtime)
    campaign_id = await factories.campaign(runtime, owner)
    async with (
        session_of(api_server, runtime, owner) as session,
        aclosing(messages(session, gid(campaign_id))) as stream,
    ):
        first = await anext(stream)
        assert (first["status"], first["audience"], first["percent"]) == ("DRAFT", 0, 0.0)
        following = asyncio.ensure_future(anext(stream))
        done, _ = await asyncio.wait([following], timeout=0.5)
        assert not done
        async with runtime.work.begin(owner) as uow:
            await change_status(uow, campaign_id, CampaignStatus.PREPARING)
        assert (await following)["status"] == "PREPARING"


async def test_the_progress_shows_that_sending_is_switched_off(api_server: Served, runtime: Runtime) -> None:
    """And that it is on again: a change of the reason alone is a newer message."""
    owner = await factories.organization(runtime)
    campaign_id = await sending_campaign(runtime, owner, 1)
    async with (
        session_of(api_server, runtime, owner) as session,
        aclosing(messages(session, gid(campaign_id))) as stream,
    ):
        last = await anext(stream)
        assert last["statusReason"] is None
        for off, reason in (
            (Features(off=frozenset({Feature.SENDING})), SENDING_DISABLED_REASON),
            (Features(), None),
        ):
            await advance_campaign(runtime.work, owner, campaign_id, off)
            async with asyncio.timeout(WAIT_SECONDS):
                message = await anext(stream)
            assert (message["status"], message["statusReason"]) == ("SENDING", reason)
            assert message["sequence"] > last["sequence"]
            last = message


async def test_a_campaign_of_another_organization_is_unknown(api_server: Served, runtime: Runtime) -> None:
    """The stream ends with NOT_FOUND and the same message for all ids that are not the caller's."""
    theirs = await factories.campaign(runtime, await factories.organization(runtime))
    errors = []
    for value in (gid(theirs), gid(new_id()), "nonsense"):
        async with session_of(api_server, runtime, await factories.organization(runtime)) as session:
            with pytest.raises(TransportQueryError) as excinfo:
                await snapshot(session, value)
        assert excinfo.value.errors is not None
        errors.append([(error["message"], error["extensions"]["code"]) for error in excinfo.value.errors])
        assert [error["extensions"]["field"] for error in excinfo.value.errors] == [["campaignId"]]
    assert errors[0] == errors[1] == errors[2] == [("There is no such campaign.", "NOT_FOUND")]


async def test_deleting_the_campaign_ends_its_subscriptions(api_server: Served, runtime: Runtime) -> None:
    """The subscription ends with the error that there is no such campaign."""
    owner = await factories.organization(runtime)
    campaign_id = await factories.campaign(runtime, owner)
    async with session_of(api_server, runtime, owner) as session:
        stream = messages(session, gid(campaign_id))
        await anext(stream)
        async with runtime.work.begin(owner) as uow:
            await drafting.delete(uow, campaign_id)
        with pytest.raises(TransportQueryError, match="no such campaign"):
            await anext(stream)


async def test_a_deletion_is_published(runtime: Runtime) -> None:
    """Subscriptions end immediately, before their next poll."""
    owner = await factories.organization(runtime)
    campaign_id = await factories.campaign(runtime, owner)
    async with runtime.work.begin(owner) as uow:
        await drafting.delete(uow, campaign_id)
        assert list(uow.signals) == [campaign_topic(owner.organization_id, campaign_id)]


async def test_subscribers_of_a_campaign_share_its_reads(api_server: Served, runtime: Runtime) -> None:
    """Ten subscribers have one reader; when the last one has left, no state remains."""
    owner = await factories.organization(runtime)
    campaign_id = await sending_campaign(runtime, owner, 1)
    await settles(lambda: runtime.hub.statistics().shared == 0)
    async with session_of(api_server, runtime, owner) as session:
        async with AsyncExitStack() as stack:
            streams = [
                await stack.enter_async_context(aclosing(messages(session, gid(campaign_id)))) for _ in range(10)
            ]
            await asyncio.gather(*(anext(stream) for stream in streams))
            assert runtime.hub.statistics().shared == 1
            following = [asyncio.ensure_future(anext(stream)) for stream in streams]
            await advance(runtime, owner, campaign_id, DeliveryStatus.ACCEPTED, 1)
            assert {message["accepted"] for message in await asyncio.gather(*following)} == {1}
        await settles(lambda: runtime.hub.statistics().shared == 0)
    await settles(lambda: runtime.hub.statistics().topics == 0)


async def test_reads_are_shared_only_within_a_tenant(runtime: Runtime) -> None:
    """A user's reads are not shared with other users; API keys without a user share by their role."""
    owner = await factories.organization(runtime)
    campaign_id = await sending_campaign(runtime, owner, 1)
    colleague, viewer = (user_actor(owner.organization_id, new_id(), role) for role in (Role.OWNER, Role.VIEWER))
    actors = [owner, colleague, *map(shared_actor, (owner, colleague, viewer))]
    async with AsyncExitStack() as stack:
        for actor in actors:
            rows = watch_progress(runtime.hub, runtime.reads(actor.tenant), campaign_id)
            await anext(await stack.enter_async_context(aclosing(rows)))
        assert runtime.hub.statistics().shared == len(actors) - 1
    await settles(lambda: runtime.hub.statistics().shared == 0)
