"""Refusals carry what a client needs to act: the state, the version, the quota."""

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
SEND_AGAIN_IN = ["SENDING", "PAUSED", "SENT", "SENT_WITH_ISSUES"]


class Company:
    """An organization, its owner's client, and a campaign of it."""

    def __init__(self, runtime: Runtime, api: ApiClient, owner: Actor, campaign: UUID) -> None:
        self.runtime, self.owner, self.campaign_id = runtime, owner, campaign
        self.client = api.as_(factories.token(runtime, owner))

    @property
    def campaign(self) -> str:
        """The global id of the campaign."""
        return encode_global_id("Campaign", self.campaign_id)

    async def becomes(self, status: CampaignStatus) -> None:
        """Put the campaign into a status, by hand."""
        async with self.runtime.work.begin(self.owner) as uow:
            await uow.execute(update(Campaign).where(Campaign.id == self.campaign_id).values(status=status))

    async def refused(self, mutation: str, **values: object) -> dict[str, Any]:
        """The one refusal of a mutation, with what its type has."""
        kind = f"{mutation[0].upper()}{mutation[1:]}Input"
        query = f"""mutation ($input: {kind}!) {{
          {mutation}(input: $input) {{ userErrors {{ {DETAILS} }} }}
        }}"""
        (error,) = (await self.client.execute(query, {"input": values}))[mutation]["userErrors"]
        found: dict[str, Any] = error
        return found


@pytest.fixture
async def company(runtime: Runtime, api: ApiClient) -> Company:
    owner = await factories.organization(runtime)
    await factories.contacts(runtime, owner, 1)
    return Company(runtime, api, owner, await factories.campaign(runtime, owner))


@pytest.mark.parametrize(
    ("mutation", "status", "allowed"),
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
async def test_a_wrong_state_names_itself_and_the_right_ones(
    company: Company, mutation: str, status: CampaignStatus, allowed: list[str]
) -> None:
    """For every order to a campaign, in the words of `CampaignStatus` and in their order."""
    await company.becomes(status)
    more = {"scheduledAt": (clock.now() + timedelta(days=1)).isoformat()} if mutation == "scheduleCampaign" else {}
    error = await company.refused(mutation, campaignId=company.campaign, **more)
    assert (error["__typename"], error["code"]) == ("InvalidStateError", "INVALID_STATE")
    assert (error["state"], error["allowed"]) == (status.name, allowed)
    assert error["field"] == ["input", "campaignId"]
    assert error["suggestion"]


async def test_a_campaign_with_recipients_is_not_deleted(company: Company, runtime: Runtime) -> None:
    """In a state in which others may be deleted, that state is not among those allowed."""
    (contact,) = await factories.contacts(runtime, company.owner, 1)
    await factories.delivery(runtime, company.owner, company.campaign_id, contact)
    await company.becomes(CampaignStatus.CANCELLED)
    error = await company.refused("deleteCampaign", campaignId=company.campaign)
    assert (error["state"], error["allowed"]) == ("CANCELLED", ["DRAFT", "SCHEDULED", "FAILED"])


async def test_a_settled_delivery_names_its_state(company: Company, runtime: Runtime) -> None:
    """And the two from which a person decides; the words are those of `DeliveryState`."""
    (contact,) = await factories.contacts(runtime, company.owner, 1)
    delivery = await factories.delivery(
        runtime, company.owner, company.campaign_id, contact, DeliveryStatus.DELIVERED
    )
    await company.becomes(CampaignStatus.SENT)
    given = {"deliveryId": encode_global_id("Delivery", delivery), "as": "SENT"}
    error = await company.refused("resolveDelivery", **given)
    assert (error["__typename"], error["state"]) == ("InvalidStateError", "DELIVERED")
    assert set(error["allowed"]) == {"UNKNOWN", "FAILED"}


async def test_a_cancelled_campaign_sends_nothing_again(company: Company, runtime: Runtime) -> None:
    """Then it is the campaign's state that stands in the way of the decision."""
    (contact,) = await factories.contacts(runtime, company.owner, 1)
    delivery = await factories.delivery(runtime, company.owner, company.campaign_id, contact)
    await company.becomes(CampaignStatus.CANCELLED)
    given = {"deliveryId": encode_global_id("Delivery", delivery), "as": "SEND_AGAIN"}
    error = await company.refused("resolveDelivery", **given)
    assert (error["state"], error["allowed"], error["field"]) == ("CANCELLED", SEND_AGAIN_IN, ["input", "as"])


async def test_what_has_no_state_has_none(company: Company, runtime: Runtime) -> None:
    """A sender in use, and a websocket's renewal over HTTP: `state` is null, and `allowed` empty."""
    sender = await factories.sender(runtime, company.owner)
    async with runtime.work.begin(company.owner) as uow:
        values = {"status": CampaignStatus.SENDING, "sender_id": sender}
        await uow.execute(update(Campaign).where(Campaign.id == company.campaign_id).values(**values))
    for error in (
        await company.refused("deleteSender", senderId=encode_global_id("Sender", sender)),
        await company.refused("renewConnection", accessToken="any"),
    ):
        assert (error["__typename"], error["state"], error["allowed"]) == ("InvalidStateError", None, [])


@pytest.mark.parametrize("mutation", ["updateCampaign", "archiveCampaign"])
async def test_a_conflict_names_the_version_of_now(company: Company, mutation: str) -> None:
    """A client that repeats its change with that version is not refused again."""
    given: dict[str, object] = {"campaignId": company.campaign, "version": 7}
    if mutation == "updateCampaign":
        given["name"] = "Summer"
    error = await company.refused(mutation, **given)
    assert (error["__typename"], error["code"], error["currentVersion"]) == ("ConflictError", "CONFLICT", 1)
    kind = f"{mutation[0].upper()}{mutation[1:]}Input"
    query = f"mutation ($input: {kind}!) {{ {mutation}(input: $input) {{ userErrors {{ code }} }} }}"
    found = await company.client.execute(query, {"input": given | {"version": error["currentVersion"]}})
    assert found[mutation]["userErrors"] == []


async def test_a_conflict_of_what_has_no_version_has_none(company: Company) -> None:
    """A conversation in which Maya still answers."""
    started = await company.client.execute("mutation { startConversation(input: {}) { conversation { id } } }")
    given = {"conversationId": started["startConversation"]["conversation"]["id"], "text": "Hello"}
    say = "mutation ($input: SendMayaMessageInput!) { sendMayaMessage(input: $input) { userErrors { code } } }"
    assert (await company.client.execute(say, {"input": given}))["sendMayaMessage"]["userErrors"] == []
    error = await company.refused("sendMayaMessage", **given)
    assert (error["__typename"], error["currentVersion"]) == ("ConflictError", None)


async def test_a_quota_says_how_much_of_it_is_used(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """Senders of an organization: time frees none, so that `resetsAt` is null."""
    monkeypatch.setattr(changing, "MAX_SENDERS", 2)
    for _ in range(2):
        await factories.sender(company.runtime, company.owner)
    error = await company.refused("createSender", email=f"{new_id().hex}@example.com", name="Acme")
    assert (error["__typename"], error["code"]) == ("QuotaError", "LIMIT_EXCEEDED")
    assert (error["limit"], error["used"], error["resetsAt"]) == (2, 2, None)


async def test_any_other_refusal_is_an_input_error(company: Company) -> None:
    """With the four fields of the interface, which is all that older documents select."""
    error = await company.refused("createList", name="")
    assert error.keys() == {"__typename", "code", "field", "message", "suggestion"}
    assert (error["__typename"], error["code"]) == ("InputError", "REQUIRED")


async def test_refusals_of_several_types_come_together(company: Company) -> None:
    """In one list each has what its own type selects; the four fields alone are the same as before."""
    await company.becomes(CampaignStatus.SENT)
    async with company.runtime.work.begin(company.owner) as uow:
        await uow.execute(update(Campaign).where(Campaign.id == company.campaign_id).values(subject=" "))
    query = f"query ($id: ID!) {{ validateCampaign(campaignId: $id) {{ errors {{ {DETAILS} }} }} }}"
    errors: list[dict[str, Any]] = []
    for _ in range(3):  # compiled when the document comes again
        errors = (await company.client.execute(query, {"id": company.campaign}))["validateCampaign"]["errors"]
        assert [error["__typename"] for error in errors] == ["InvalidStateError", "InputError"]
        assert ["state" in error for error in errors] == [True, False]
    plain = "query ($id: ID!) { validateCampaign(campaignId: $id) { errors { code field message suggestion } } }"
    found = (await company.client.execute(plain, {"id": company.campaign}))["validateCampaign"]["errors"]
    four = ("code", "field", "message", "suggestion")
    assert found == [{name: error[name] for name in four} for error in errors]
