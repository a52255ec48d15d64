"""A client's normalized cache gets whole objects with their ids from subscriptions and events."""

from typing import Any
from uuid import UUID

from gql import GraphQLRequest
from sqlalchemy import insert

from core import clock
from core.access.actor import Actor
from core.ids import new_id
from core.pubsub import campaign_topic
from models.campaigns import CampaignRecipient, RecipientKind
from models.contact_events import ContactEvent, ContactEventKind
from models.deliveries import DeliveryStatus
from models.lists import ContactList, ListMembership
from runtime import Runtime
from tests import factories
from tests.campaigns.calls import gid
from tests.campaigns.test_realtime import advance, finish, sending_campaign, session_of
from tests.client import ApiClient
from tests.graphql.sockets import connected
from tests.serving import Served

WATCH = """subscription ($id: ID!) { campaignProgress(campaignId: $id) {
  sequence status pending
  campaign { id status name stats { audience sent } progress { pending status campaign { id status } } }
} }"""


class Cache:
    """Stores the fields of all objects with an id, newer values over older ones, as Apollo and Relay do."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}

    def store(self, value: object) -> None:
        """Store a response."""
        if isinstance(value, list):
            for each in value:
                self.store(each)
        if isinstance(value, dict):
            for each in value.values():
                self.store(each)
            if "id" in value:
                plain = {name: each for name, each in value.items() if not isinstance(each, dict | list)}
                self.objects.setdefault(value["id"], {}).update(plain)


async def test_a_cache_follows_the_progress_of_a_campaign(api_server: Served, runtime: Runtime) -> None:
    """After each message the cached campaign is as in the message, or newer; in the end it is SENT."""
    owner = await factories.organization(runtime)
    campaign_id = await sending_campaign(runtime, owner, 2)
    cache, order, cached = Cache(), ["SENDING", "SENT"], dict[str, Any]()
    async with session_of(api_server, runtime, owner) as session:
        request = GraphQLRequest(WATCH, variable_values={"id": gid(campaign_id)})
        async for event in session.subscribe(request):
            message = event["campaignProgress"]
            cache.store(message)
            cached = cache.objects[gid(campaign_id)]
            assert order.index(cached["status"]) >= order.index(message["status"])
            assert message["campaign"]["progress"]["pending"] <= message["pending"]
            assert message["campaign"]["stats"]["audience"] == 2
            if message["pending"] == 2:
                await advance(runtime, owner, campaign_id, DeliveryStatus.ACCEPTED, 2)
            elif message["status"] == "SENDING":
                await finish(runtime, owner, campaign_id)
    assert (cached["status"], cached["name"]) == ("SENT", "Spring")


async def test_each_message_reads_its_campaign_again(api_server: Served, runtime: Runtime) -> None:
    """No object is cached from the previous message; neither are counts that are loaded in a batch."""
    owner = await factories.organization(runtime)
    campaign_id = await sending_campaign(runtime, owner, 2)
    list_id, (first, second) = new_id(), await factories.contacts(runtime, owner, 2)
    async with runtime.work.begin(owner) as uow:
        own = {"organization_id": owner.organization_id}
        await uow.execute(insert(ContactList).values(**own, id=list_id, name="Readers"))
        await uow.execute(
            insert(CampaignRecipient).values(
                **own, id=new_id(), campaign_id=campaign_id, kind=RecipientKind.LIST, list_id=list_id
            )
        )

    async def join(contact_id: UUID) -> None:
        async with runtime.work.begin(owner) as uow:
            await uow.execute(insert(ListMembership).values(**own, list_id=list_id, contact_id=contact_id))

    query = WATCH.replace("name stats", "audience { lists { contactCount } } stats")
    async with connected(api_server) as socket:
        await socket.ready(factories.token(runtime, owner))
        await socket.subscribe(query, variables={"id": gid(campaign_id)})
        counts = []
        for contact_id in (first, second, None):
            message = (await socket.next())["payload"]["data"]["campaignProgress"]
            counts += [each["contactCount"] for each in message["campaign"]["audience"]["lists"]]
            if contact_id is not None:
                await join(contact_id)
                await advance(runtime, owner, campaign_id, DeliveryStatus.ACCEPTED, 1)
    assert counts == [0, 1, 2]


async def test_the_campaign_of_a_progress_is_complete(api: ApiClient, runtime: Runtime) -> None:
    """With any other selection, and also for a deleted campaign."""
    owner = await factories.organization(runtime)
    campaign_id = gid(await factories.campaign(runtime, owner))
    caller = api.as_(factories.token(runtime, owner))
    below = "progress { percent campaign { id name subject status createdAt version htmlContent } }"
    same = "id name subject status createdAt version htmlContent"
    campaign: dict[str, Any] = {}
    for selection in (f"{same} {below}", f"id {below} stats {{ sent }} {same}", f"{below} {same}"):
        for _ in range(3):  # an operation is compiled when it is executed again
            campaign = (await caller.execute(f'{{ campaign(id: "{campaign_id}") {{ {selection} }} }}'))["campaign"]
            nested = campaign.pop("progress")["campaign"]
            campaign.pop("stats", None)
            assert nested == campaign
    for _ in range(4):
        alone = (await caller.execute(f'{{ campaign(id: "{campaign_id}") {{ {below} }} }}'))["campaign"]
        assert alone["progress"]["campaign"] == campaign
    for _ in range(3):  # from its second execution on, a list is read without the columns that are not selected
        campaigns = (await caller.execute(f"{{ campaigns {{ nodes {{ {below} }} }} }}"))["campaigns"]["nodes"]
        assert [node["progress"]["campaign"] for node in campaigns] == [campaign]
    mutation = f'mutation {{ deleteCampaign(input: {{campaignId: "{campaign_id}"}}) {{ campaign {{ {below} }} }} }}'
    deleted = (await caller.execute(mutation))["deleteCampaign"]["campaign"]
    assert deleted["progress"]["campaign"] == campaign


async def add_event(runtime: Runtime, owner: Actor, contact_id: UUID, campaign_id: UUID | None) -> None:
    """Insert an event of a contact."""
    async with runtime.work.begin(owner) as uow:
        await uow.execute(
            insert(ContactEvent).values(
                organization_id=owner.organization_id,
                occurred_at=clock.now(),
                id=new_id(),
                contact_id=contact_id,
                campaign_id=campaign_id,
                kind=ContactEventKind.OPENED,
                dedupe_key=str(new_id()),
                data={},
            )
        )
        uow.publish(campaign_topic(owner.organization_id, contact_id))


async def test_events_of_contacts_are_nodes_with_their_campaign(api: ApiClient, runtime: Runtime) -> None:
    """`node(id)` finds an event with its campaign and contact; another organization does not."""
    owner, other = [await factories.organization(runtime) for _ in range(2)]
    (contact_id,) = await factories.contacts(runtime, owner, 1)
    campaign_id = await factories.campaign(runtime, owner)
    await add_event(runtime, owner, contact_id, campaign_id)
    await add_event(runtime, owner, contact_id, None)
    await add_event(runtime, owner, contact_id, new_id())
    caller = api.as_(factories.token(runtime, owner))
    fields = "id kind occurredAt campaignId campaign { id status } contact { id email }"
    query = f"{{ contacts {{ nodes {{ id events {{ nodes {{ __typename {fields} }} }} }} }} }}"
    (contact,) = (await caller.execute(query))["contacts"]["nodes"]
    deleted, alone, with_campaign = contact["events"]["nodes"]
    assert with_campaign["campaign"] == {"id": gid(campaign_id), "status": "DRAFT"}
    assert with_campaign["campaignId"] == gid(campaign_id)
    assert (alone["campaign"], alone["campaignId"]) == (None, None)
    assert deleted["campaign"] is None
    assert {each["contact"]["id"] for each in (deleted, alone, with_campaign)} == {contact["id"]}
    nodes = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ __typename ... on ContactEvent {{ {fields} }} }} }}"
    variables = {"ids": [with_campaign["id"], alone["id"], contact["id"]]}
    assert (await caller.execute(nodes, variables))["nodes"] == [with_campaign, alone, {"__typename": "Contact"}]
    theirs = api.as_(factories.token(runtime, other))
    assert (await theirs.execute(nodes, variables))["nodes"] == [None] * 3
