"""Campaigns that were sent, with calls of the API that read and resolve their deliveries."""

from typing import Any
from uuid import UUID

from sqlalchemy import update

from core.access.actor import Actor
from models.campaigns import Campaign, CampaignStatus, OnDoubt
from models.deliveries import DeliveryStatus
from runtime import Runtime
from services.deliveries.sending import CampaignSender
from tests.campaigns.calls import ERRORS, gid, mutate
from tests.client import ApiClient
from tests.deliveries.model import ModelMailer
from tests.deliveries.worker import finish, sending

LISTED = """query ($id: ID!, $filter: DeliveryFilter, $first: Int, $after: String) { campaign(id: $id) {
    status statusReason deliveries(filter: $filter, first: $first, after: $after) { totalCount
    pageInfo { hasNextPage endCursor } nodes { id email state reason providerCode attempts contact { email }
    campaign { id status } } } } }"""


RESOLVE = (
    "mutation ($input: ResolveDeliveryInput!) { resolveDelivery(input: $input) { delivery { id state reason }"
    " campaign { id status statusReason sentAt } " + ERRORS + " } }"
)


STATES = [status.name for status in DeliveryStatus]


async def send_in_doubt(
    runtime: Runtime, sender: CampaignSender, mailer: ModelMailer, people: int
) -> tuple[Actor, UUID]:
    """Send a campaign with onDoubt HOLD until it ends with every message in doubt."""
    actor, _, campaign_id = await sending(runtime, people)
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(on_doubt=OnDoubt.HOLD))
    mailer.outcome = "failed before"
    now = await finish(runtime, sender, actor, campaign_id)
    assert (now.status, now.counts.failed) == (CampaignStatus.SENT_WITH_ISSUES, people)
    mailer.outcome = "ok"
    return actor, campaign_id


async def list_deliveries(mine: ApiClient, campaign_id: UUID, *states: str, **more: object) -> dict[str, Any]:
    """The campaign with its deliveries in some states."""
    variables = {"filter": {"state": {"in": list(states)}}} if states else {}
    campaign: dict[str, Any] = (await mine.execute(LISTED, {"id": gid(campaign_id), **variables, **more}))["campaign"]
    return campaign


async def resolve_delivery(mine: ApiClient, delivery: str, decision: str) -> dict[str, Any]:
    """Resolve a delivery; the payload, without errors."""
    return await mutate(mine, RESOLVE, deliveryId=delivery, **{"as": decision})


async def resolve_refused(mine: ApiClient, delivery: str, decision: str) -> dict[str, Any]:
    """Resolve a delivery where it must be refused; the error."""
    data = await mine.execute(RESOLVE, {"input": {"deliveryId": delivery, "as": decision}})
    payload = data["resolveDelivery"]
    assert (payload["delivery"], payload["campaign"]) == (None, None)
    (error,) = payload["userErrors"]
    user_error: dict[str, Any] = error
    return user_error
