"""The API without a vendor: every mutation that needs the vendor is refused, all others work."""

from typing import Any

import aiohttp
import pytest
from strawberry.types import get_object_definition

import resolvers
from core.access.permissions import Permission
from core.ids import encode_global_id, new_id
from models.campaigns import CampaignStatus
from models.deliveries import DeliveryStatus
from resolvers.fields import Requires
from runtime import Runtime
from services.features import Feature
from tests import factories
from tests.campaigns.calls import CREATE, VALIDATE, caller, command, gid, mutation_payload
from tests.client import ApiClient
from tests.conftest import Servers
from tests.deliveries.worker import go
from tests.features.conftest import installed

REFUSED: dict[str, dict[str, object]] = {
    "sendCampaign": {},
    "scheduleCampaign": {"scheduledAt": "2026-12-24T18:00:00Z"},
    "resumeCampaign": {},
    "sendTestEmail": {"to": ["ada@example.com"]},
}
STOPPING = {"pauseCampaign", "cancelCampaign", "unscheduleCampaign"}


async def codes(api: ApiClient, mutation: str, **values: object) -> list[str]:
    """The codes of a mutation's user errors; checks the message for a feature that is off."""
    kind = f"{mutation[0].upper()}{mutation[1:]}Input"
    text = f"mutation($input: {kind}!) {{ {mutation}(input: $input) {{ userErrors {{ code message suggestion }} }} }}"
    data = await api.execute(text, {"input": values})
    errors: list[dict[str, Any]] = data[mutation]["userErrors"]
    for error in errors:
        if error["code"] == "FEATURE_UNAVAILABLE":
            assert "disabled in this installation" in error["message"]
            assert "ask the operator of the installation" in error["suggestion"].lower()
    return [error["code"] for error in errors]


@pytest.mark.parametrize("name", REFUSED)
async def test_nothing_is_sent_without_a_mail_provider(no_mail: tuple[Runtime, ApiClient], name: str) -> None:
    """Each mutation that would send is refused with only this code, and changes nothing."""
    runtime, api = no_mail
    owner = await factories.organization(runtime)
    await factories.contacts(runtime, owner, 1)
    campaign_id = await factories.campaign(runtime, owner)
    mine = caller(api, runtime, owner)
    if name == "resumeCampaign":
        for status in (CampaignStatus.PREPARING, CampaignStatus.SENDING, CampaignStatus.PAUSED):
            await go(runtime, owner, campaign_id, status)
    before = await read_status(mine, gid(campaign_id))
    assert await codes(mine, name, campaignId=gid(campaign_id), **REFUSED[name]) == ["FEATURE_UNAVAILABLE"]
    assert await read_status(mine, gid(campaign_id)) == before


async def read_status(api: ApiClient, campaign_id: str) -> object:
    """The status and the version of a campaign."""
    data = await api.execute("query($id: ID!) { campaign(id: $id) { status version } }", {"id": campaign_id})
    return data["campaign"]


def test_every_sending_mutation_is_listed() -> None:
    """A new mutation that requires campaign:send must be added here: does it need the mail provider?"""
    fields = get_object_definition(resolvers.Mutation, strict=True).fields
    mutations = {
        field.graphql_name or camel(field.python_name)
        for field in fields
        for rule in field.extensions
        if isinstance(rule, Requires) and rule.permission is Permission.CAMPAIGN_SEND
    }
    assert mutations == REFUSED.keys() | STOPPING | {"resolveDelivery"}


def camel(name: str) -> str:
    """The name in camelCase."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


async def test_drafts_can_be_written_and_live_campaigns_stopped(no_mail: tuple[Runtime, ApiClient]) -> None:
    """Mutations that send nothing work; `validateCampaign` returns the error of `sendCampaign`."""
    runtime, api = no_mail
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    payload = await mutation_payload(
        mine, CREATE, name="Spring", subject="Hi", htmlContent="<p>Hi</p>", audience={"all": True}
    )
    assert payload["userErrors"] == []
    validation = (await mine.execute(VALIDATE, {"id": payload["campaign"]["id"]}))["validateCampaign"]
    assert "FEATURE_UNAVAILABLE" in [error["code"] for error in validation["errors"]]
    live = await factories.campaign(runtime, owner)
    for status in (CampaignStatus.PREPARING, CampaignStatus.SENDING):
        await go(runtime, owner, live, status)
    for name in ("pause", "cancel"):
        assert (await mutation_payload(mine, command(name), campaignId=gid(live)))["userErrors"] == []
    due = await factories.campaign(runtime, owner)
    await go(runtime, owner, due, CampaignStatus.SCHEDULED)
    assert (await mutation_payload(mine, command("unschedule"), campaignId=gid(due)))["userErrors"] == []


async def test_a_delivery_in_doubt_is_not_sent_again(no_mail: tuple[Runtime, ApiClient]) -> None:
    """Sending again would need the provider; the other resolutions work."""
    runtime, api = no_mail
    owner = await factories.organization(runtime)
    [contact_id] = await factories.contacts(runtime, owner, 1)
    campaign_id = await factories.campaign(runtime, owner)
    delivery_id = await factories.delivery(runtime, owner, campaign_id, contact_id, status=DeliveryStatus.FAILED)
    mine = caller(api, runtime, owner)
    delivery = encode_global_id("Delivery", delivery_id)
    for decision, refusals in (("SEND_AGAIN", ["FEATURE_UNAVAILABLE"]), ("NOT_SENT", [])):
        assert await codes(mine, "resolveDelivery", deliveryId=delivery, **{"as": decision}) == refusals


async def test_a_sender_cannot_be_asked_to_confirm(no_mail: tuple[Runtime, ApiClient]) -> None:
    """A new sender is refused, because its mail would never arrive; a confirmed one can be renamed."""
    runtime, api = no_mail
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    assert await codes(mine, "createSender", email="new@acme.example", name="Acme") == ["FEATURE_UNAVAILABLE"]
    sender_id = await factories.sender(runtime, owner)
    [row] = (await mine.execute("{ senders { nodes { id email } } }"))["senders"]["nodes"]
    assert row["id"] == encode_global_id("Sender", sender_id)
    assert await codes(mine, "createSender", email=row["email"], name="Renamed") == []


async def test_maya_is_off_without_a_language_model(no_maya: tuple[Runtime, ApiClient]) -> None:
    """Conversations and messages are refused; a reply can be cancelled, and old conversations can be read."""
    runtime, api = no_maya
    owner = await factories.organization(runtime)
    mine = caller(api, runtime, owner)
    assert await codes(mine, "startConversation") == ["FEATURE_UNAVAILABLE"]
    conversation = encode_global_id("Conversation", new_id())
    assert await codes(mine, "sendMayaMessage", conversationId=conversation, text="Hi") == ["FEATURE_UNAVAILABLE"]
    message = encode_global_id("MayaMessage", new_id())
    assert await codes(mine, "cancelMayaReply", messageId=message) == ["NOT_FOUND"]
    assert (await mine.execute("{ conversations { totalCount } }")) == {"conversations": {"totalCount": 0}}


@pytest.mark.parametrize("feature", Feature)
async def test_readiness_lists_features_that_are_off(servers: Servers, feature: Feature) -> None:
    """A process without a feature is ready, and lists it."""
    async with (
        installed(servers, feature) as (_, server),
        aiohttp.ClientSession() as session,
        session.get(f"{server.base}/readyz") as response,
    ):
        expected = {"ready": True, "problem": None, "degraded": None, "features_off": [feature]}
        assert (response.status, await response.json()) == (200, expected)


async def test_webhooks_are_refused_without_a_password(servers: Servers) -> None:
    """Without a configured password every password is wrong, even an empty one: 401."""
    async with installed(servers, Feature.SENDING) as (_, server), aiohttp.ClientSession() as session:
        for password in ("", "None", "test-webhook-password"):
            headers = {"authorization": aiohttp.encode_basic_auth("postmark", password)}
            async with session.post(f"{server.base}/webhooks/postmark", json={}, headers=headers) as response:
                assert response.status == 401
