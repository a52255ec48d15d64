"""`InvalidStateError.allowed` is true: a call succeeds in each of these states, and is refused in all others."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from core import clock
from core.access.actor import Actor
from core.ids import encode_global_id
from models.campaigns import Campaign, CampaignStatus
from models.deliveries import DeliveryResolution, DeliveryStatus
from runtime import Runtime
from tests import factories
from tests.client import ApiClient

TOMORROW = (clock.now() + timedelta(days=1)).isoformat()
IN_DOUBT = (
    CampaignStatus.SENDING,
    CampaignStatus.PAUSED,
    CampaignStatus.SENT_WITH_ISSUES,
    CampaignStatus.CANCELLING,
    CampaignStatus.CANCELLED,
)
CALLS: dict[str, dict[str, object]] = {
    "updateCampaign": {"name": "Summer"},
    "archiveCampaign": {"archived": True},
    "deleteCampaign": {},
    "sendCampaign": {},
    "scheduleCampaign": {"scheduledAt": TOMORROW},
    "unscheduleCampaign": {},
    "pauseCampaign": {},
    "resumeCampaign": {},
    "cancelCampaign": {},
}


async def refusals(client: ApiClient, mutation: str, values: Mapping[str, object]) -> list[dict[str, Any]]:
    """The user errors of a call."""
    query = f"""mutation ($input: {mutation[0].upper()}{mutation[1:]}Input!) {{
      {mutation}(input: $input) {{ userErrors {{ __typename code ... on InvalidStateError {{ state allowed }} }} }}
    }}"""
    errors: list[dict[str, Any]] = (await client.execute(query, {"input": values}))[mutation]["userErrors"]
    return errors


async def put_into(runtime: Runtime, actor: Actor, campaign: UUID, status: CampaignStatus) -> None:
    """Put a campaign into a status, by hand."""
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(Campaign).where(Campaign.id == campaign).values(status=status))


@pytest.mark.parametrize("mutation", CALLS)
async def test_calls_to_a_campaign_succeed_in_the_states_that_refusals_list(
    runtime: Runtime, api: ApiClient, mutation: str
) -> None:
    """For each mutation of a campaign, in each of its states."""
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, 1)
    client = api.as_(factories.token(runtime, actor))
    accepted, allowed_states = set(), set()
    for status in CampaignStatus:
        campaign = await factories.campaign(runtime, actor)
        await put_into(runtime, actor, campaign, status)
        values = {"campaignId": encode_global_id("Campaign", campaign), **CALLS[mutation]}
        errors = await refusals(client, mutation, values)
        if not errors:
            accepted.add(status.name)
            continue
        assert [(error["code"], error["state"]) for error in errors] == [("INVALID_STATE", status.name)]
        allowed_states.add(tuple(errors[0]["allowed"]))
    assert [set(states) for states in allowed_states] == [accepted]


@pytest.mark.parametrize("resolution", DeliveryResolution)
async def test_deliveries_are_resolved_in_the_states_that_refusals_list(
    runtime: Runtime, api: ApiClient, resolution: DeliveryResolution
) -> None:
    """For each decision, in each state of a delivery."""
    actor = await factories.organization(runtime)
    client = api.as_(factories.token(runtime, actor))
    accepted, allowed_states = set(), set()
    for status in DeliveryStatus:
        campaign = await factories.campaign(runtime, actor)
        (contact,) = await factories.contacts(runtime, actor, 1)
        delivery = await factories.delivery(runtime, actor, campaign, contact, status)
        await put_into(runtime, actor, campaign, CampaignStatus.SENDING)
        values = {"deliveryId": encode_global_id("Delivery", delivery), "as": resolution.name}
        errors = await refusals(client, "resolveDelivery", values)
        if not errors:
            accepted.add(status.name)
            continue
        assert [(error["code"], error["state"]) for error in errors] == [("INVALID_STATE", status.name)]
        allowed_states.add(tuple(errors[0]["allowed"]))
    assert [set(states) for states in allowed_states] == [accepted]


async def test_a_delivery_is_sent_again_in_the_states_that_refusals_list(runtime: Runtime, api: ApiClient) -> None:
    """In each state of a campaign that may have a delivery in doubt."""
    actor = await factories.organization(runtime)
    client = api.as_(factories.token(runtime, actor))
    accepted, allowed_states = set(), set()
    for status in IN_DOUBT:
        campaign = await factories.campaign(runtime, actor)
        (contact,) = await factories.contacts(runtime, actor, 1)
        delivery = await factories.delivery(runtime, actor, campaign, contact, DeliveryStatus.FAILED)
        await put_into(runtime, actor, campaign, status)
        values = {"deliveryId": encode_global_id("Delivery", delivery), "as": "SEND_AGAIN"}
        errors = await refusals(client, "resolveDelivery", values)
        if not errors:
            accepted.add(status.name)
            continue
        assert [error["state"] for error in errors] == [status.name]
        allowed_states.add(tuple(errors[0]["allowed"]))
    assert [set(states) for states in allowed_states] == [accepted]
