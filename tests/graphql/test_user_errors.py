"""User errors contain the values that a client needs: the state, the version, the quota."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from core import clock
from core.access.actor import Actor
from core.ids import encode_global_id, new_id
from models.campaigns import Campaign, CampaignStatus
from models.deliveries import DeliveryStatus
from runtime import Runtime
from services.senders import changing
from tests import factories
from tests.client import ApiClient

DETAILS = """__typename code field message suggestion
  ... on InvalidStateError { state allowed }
  ... on ConflictError { currentVersion }
  ... on QuotaError { limit used resetsAt }"""
FINAL = ["SENT", "SENT_WITH_ISSUES", "CANCELLED", "FAILED"]
LIVE = ["SCHEDULED", "PREPARING", "SENDING", "PAUSED"]
SEND_AGAIN_IN = ["SENDING", "PAUSED", "SENT_WITH_ISSUES"]


class Company:
    """An organization, its owner's client, and a campaign of it."""

    def __init__(self, runtime: Runtime, api: ApiClient, owner: Actor, campaign: UUID) -> None:
        self.runtime, self.owner, self.campaign_id = runtime, owner, campaign
        self.client = api.as_(factories.token(runtime, owner))

    @property
    def campaign(self) -> str:
        """The global id of the campaign."""
        return encode_global_id("Campaign", self.campaign_id)

    async def set_status(self, status: CampaignStatus) -> None:
        """Set the campaign's status in the database."""
        async with self.runtime.work.begin(self.owner) as uow:
            await uow.execute(update(Campaign).where(Campaign.id == self.campaign_id).values(status=status))

    async def user_error(self, mutation: str, **values: object) -> dict[str, Any]:
        """The single user error of a mutation, with the fields of its type."""
        kind = f"{mutation[0].upper()}{mutation[1:]}Input"
        query = f"""mutation ($input: {kind}!) {{
          {mutation}(input: $input) {{ userErrors {{ {DETAILS} }} }}
        }}"""
        (error,) = (await self.client.execute(query, {"input": values}))[mutation]["userErrors"]
        error_with_type: dict[str, Any] = error
        return error_with_type


@pytest.fixture
async def company(runtime: Runtime, api: ApiClient) -> Company:
    owner = await factories.organization(runtime)
    await factories.contacts(runtime, owner, 1)
    return Company(runtime, api, owner, await factories.campaign(runtime, owner))


@pytest.mark.parametrize(
    ("mutation", "status", "expected"),
    [
        ("updateCampaign", CampaignStatus.SCHEDULED, ["DRAFT"]),
        ("archiveCampaign", CampaignStatus.SENDING, ["DRAFT", *FINAL]),
        ("sendCampaign", CampaignStatus.SENT, ["DRAFT", "SCHEDULED"]),
        ("scheduleCampaign", CampaignStatus.PAUSED, ["DRAFT"]),
        ("pauseCampaign", CampaignStatus.DRAFT, ["SENDING"]),
        ("resumeCampaign", CampaignStatus.SENDING, ["PAUSED"]),
        ("cancelCampaign", CampaignStatus.DRAFT, LIVE),
        ("unscheduleCampaign", CampaignStatus.SENT, ["SCHEDULED"]),
    ],
)
async def test_an_invalid_state_error_has_the_state_and_the_allowed_ones(
    company: Company, mutation: str, status: CampaignStatus, expected: list[str]
) -> None:
    """For every action on a campaign, as values of `CampaignStatus` in their order."""
    await company.set_status(status)
    more = {"scheduledAt": (clock.now() + timedelta(days=1)).isoformat()} if mutation == "scheduleCampaign" else {}
    error = await company.user_error(mutation, campaignId=company.campaign, **more)
    assert (error["__typename"], error["code"]) == ("InvalidStateError", "INVALID_STATE")
    assert (error["state"], error["allowed"]) == (status.name, expected)
    assert error["field"] == ["input", "campaignId"]
    assert error["suggestion"]


async def test_a_campaign_with_recipients_is_not_deleted(company: Company, runtime: Runtime) -> None:
    """Even in a state in which others may be deleted: no state allows it, because the deliveries stay."""
    (contact,) = await factories.contacts(runtime, company.owner, 1)
    await factories.delivery(runtime, company.owner, company.campaign_id, contact)
    await company.set_status(CampaignStatus.CANCELLED)
    error = await company.user_error("deleteCampaign", campaignId=company.campaign)
    assert (error["state"], error["allowed"]) == ("CANCELLED", [])


async def test_a_resolved_delivery_has_its_state(company: Company, runtime: Runtime) -> None:
    """And the two states in which a user can resolve it, as values of `DeliveryState`."""
    (contact,) = await factories.contacts(runtime, company.owner, 1)
    delivery = await factories.delivery(
        runtime, company.owner, company.campaign_id, contact, DeliveryStatus.DELIVERED
    )
    await company.set_status(CampaignStatus.SENT)
    values = {"deliveryId": encode_global_id("Delivery", delivery), "as": "SENT"}
    error = await company.user_error("resolveDelivery", **values)
    assert (error["__typename"], error["state"]) == ("InvalidStateError", "DELIVERED")
    assert set(error["allowed"]) == {"UNKNOWN", "FAILED"}


async def test_a_cancelled_campaign_sends_no_message_again(company: Company, runtime: Runtime) -> None:
    """Then the error has the campaign's state."""
    (contact,) = await factories.contacts(runtime, company.owner, 1)
    delivery = await factories.delivery(runtime, company.owner, company.campaign_id, contact)
    await company.set_status(CampaignStatus.CANCELLED)
    values = {"deliveryId": encode_global_id("Delivery", delivery), "as": "SEND_AGAIN"}
    error = await company.user_error("resolveDelivery", **values)
    assert (error["state"], error["allowed"], error["field"]) == ("CANCELLED", SEND_AGAIN_IN, ["input", "as"])


async def test_errors_without_a_state(company: Company, runtime: Runtime) -> None:
    """A sender in use, and a WebSocket's renewal over HTTP: `state` is null, and `allowed` empty."""
    sender = await factories.sender(runtime, company.owner)
    async with runtime.work.begin(company.owner) as uow:
        values = {"status": CampaignStatus.SENDING, "sender_id": sender}
        await uow.execute(update(Campaign).where(Campaign.id == company.campaign_id).values(**values))
    for error in (
        await company.user_error("deleteSender", senderId=encode_global_id("Sender", sender)),
        await company.user_error("renewConnection", accessToken="any"),
    ):
        assert (error["__typename"], error["state"], error["allowed"]) == ("InvalidStateError", None, [])


@pytest.mark.parametrize("mutation", ["updateCampaign", "archiveCampaign"])
async def test_a_conflict_has_the_current_version(company: Company, mutation: str) -> None:
    """A client that repeats its change with that version succeeds."""
    values: dict[str, object] = {"campaignId": company.campaign, "version": 7}
    if mutation == "updateCampaign":
        values["name"] = "Summer"
    error = await company.user_error(mutation, **values)
    assert (error["__typename"], error["code"], error["currentVersion"]) == ("ConflictError", "CONFLICT", 1)
    kind = f"{mutation[0].upper()}{mutation[1:]}Input"
    query = f"mutation ($input: {kind}!) {{ {mutation}(input: $input) {{ userErrors {{ code }} }} }}"
    data = await company.client.execute(query, {"input": values | {"version": error["currentVersion"]}})
    assert data[mutation]["userErrors"] == []


async def test_a_conflict_without_a_version(company: Company) -> None:
    """A conversation in which Maya is still replying."""
    started = await company.client.execute("mutation { startConversation(input: {}) { conversation { id } } }")
    values = {"conversationId": started["startConversation"]["conversation"]["id"], "text": "Hello"}
    say = "mutation ($input: SendMayaMessageInput!) { sendMayaMessage(input: $input) { userErrors { code } } }"
    assert (await company.client.execute(say, {"input": values}))["sendMayaMessage"]["userErrors"] == []
    error = await company.user_error("sendMayaMessage", **values)
    assert (error["__typename"], error["currentVersion"]) == ("ConflictError", None)


async def test_a_quota_error_has_its_usage(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """Senders of an organization: the quota does not reset, so `resetsAt` is null."""
    monkeypatch.setattr(changing, "MAX_SENDERS", 2)
    for _ in range(2):
        await factories.sender(company.runtime, company.owner)
    error = await company.user_error("createSender", email=f"{new_id().hex}@example.com", name="Acme")
    assert (error["__typename"], error["code"]) == ("QuotaError", "LIMIT_EXCEEDED")
    assert (error["limit"], error["used"], error["resetsAt"]) == (2, 2, None)


async def test_any_other_error_is_an_input_error(company: Company) -> None:
    """With the four fields of the interface, which is all that older documents select."""
    error = await company.user_error("createList", name="")
    assert error.keys() == {"__typename", "code", "field", "message", "suggestion"}
    assert (error["__typename"], error["code"]) == ("InputError", "REQUIRED")


async def test_errors_of_several_types_in_one_list(company: Company) -> None:
    """Each has the fields of its own type; the four common fields are the same as before."""
    await company.set_status(CampaignStatus.SENT)
    async with company.runtime.work.begin(company.owner) as uow:
        await uow.execute(update(Campaign).where(Campaign.id == company.campaign_id).values(subject=" "))
    query = f"query ($id: ID!) {{ validateCampaign(campaignId: $id) {{ errors {{ {DETAILS} }} }} }}"
    errors: list[dict[str, Any]] = []
    for _ in range(3):  # compiled at the second use of the document
        errors = (await company.client.execute(query, {"id": company.campaign}))["validateCampaign"]["errors"]
        assert [error["__typename"] for error in errors] == ["InvalidStateError", "InputError"]
        assert ["state" in error for error in errors] == [True, False]
    plain = "query ($id: ID!) { validateCampaign(campaignId: $id) { errors { code field message suggestion } } }"
    errors_with_fragments = (await company.client.execute(plain, {"id": company.campaign}))["validateCampaign"][
        "errors"
    ]
    four = ("code", "field", "message", "suggestion")
    assert errors_with_fragments == [{name: error[name] for name in four} for error in errors]
