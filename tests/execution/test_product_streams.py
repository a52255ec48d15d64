"""The product's subscriptions: the same events and the same end, compiled and by graphql-core."""

import asyncio
from contextlib import aclosing
from random import Random
from typing import TYPE_CHECKING, cast

from graphql import ExecutionResult
from sqlalchemy import update

from core.pubsub import campaign_topic
from models.campaigns import CampaignStats, CampaignStatus
from services.campaigns.lifecycle import change_status
from tests.execution.company import SENDING, SENT, Company
from tests.execution.differential import MARKS, Way, require_plans
from tests.execution.product import (
    CASES,
    GeneratedOperation,
    Outcome,
    as_text,
    generate_operation,
    numbering,
    run_and_compare,
    start_operation,
)
from tests.properties import examples

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = MARKS
MAX_SECONDS = 60.0


async def run_subscription(company: Company, way: Way, operation: GeneratedOperation) -> Outcome:
    """The events of a stream up to its end, or up to the change of campaigns that follows the first one."""
    await company.restore()
    outcome = Outcome()
    with require_plans(way, outcome.results):
        async with asyncio.timeout(MAX_SECONDS):
            end = await follow(company, way, operation, outcome.results)
    numbers = numbering(company, operation)
    outcome.story = [numbers.numbered(text) for text in [*map(as_text, outcome.results), end]]
    return outcome


async def follow(company: Company, way: Way, operation: GeneratedOperation, results: list[ExecutionResult]) -> str:
    """Collect the results; returns how the stream ended."""
    stream = await start_operation(company, way, operation)
    if isinstance(stream, ExecutionResult):
        return f"refused: {as_text(stream)}"
    async with aclosing(cast("AsyncGenerator[ExecutionResult, None]", stream)) as events:
        try:
            async for event in events:
                results.append(event)
                if "campaignProgress" in operation.text and len(results) == 2:
                    return "left"
                if "campaignProgress" in operation.text:
                    await change_campaigns(company)
        except Exception as error:  # noqa: BLE001 - any exception must be the same
            return repr(error)
    return "ended"


async def change_campaigns(company: Company) -> None:
    """Finish the campaign that is being sent, and announce all others that have not ended."""
    async with company.live.begin(company.owner) as uow:
        for name, campaign_id in company.ids["Campaign"].items():
            if name == SENDING:
                await change_status(uow, campaign_id, CampaignStatus.SENT)
            elif name != SENT:
                await uow.execute(
                    update(CampaignStats)
                    .where(CampaignStats.campaign_id == campaign_id)
                    .values(sequence=CampaignStats.sequence + 1)
                )
                uow.publish(campaign_topic(company.owner.organization_id, campaign_id))


@examples(20, long=500, shrink=False)
@CASES
async def test_subscriptions_have_the_same_events(company: Company, random: Random) -> None:
    """For any selection of the events."""
    await run_and_compare(run_subscription, company, generate_operation(company, random, "subscription", size=25))
