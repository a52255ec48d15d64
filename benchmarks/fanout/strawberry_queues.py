"""The same subscription as most Strawberry applications implement it: an async generator with a queue per client.

Run as a process: `python -m benchmarks.fanout.strawberry_queues`, with PORT. An event is sent to POST /publish.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from typing import Any

import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from strawberry.asgi import GraphQL

from models.campaigns import CampaignStatus

strawberry.enum(CampaignStatus)
queues: set[asyncio.Queue[dict[str, Any]]] = set()
current: dict[str, Any] = {}


@strawberry.type
class CampaignProgress:
    campaign_id: strawberry.ID
    sequence: int
    status: CampaignStatus
    audience: int
    pending: int
    in_flight: int
    accepted: int
    delivered: int
    bounced: int
    failed: int
    percent: float
    rate_per_second: float
    estimated_seconds_left: int | None
    occurred_at: str


@strawberry.type
class Query:
    ok: bool = True


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def campaign_progress(self, campaign_id: strawberry.ID) -> AsyncGenerator[CampaignProgress, None]:
        """The current state, then each change."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        queues.add(queue)
        try:
            yield to_progress(campaign_id, current)
            while True:
                yield to_progress(campaign_id, await queue.get())
        finally:
            queues.discard(queue)


def to_progress(campaign_id: strawberry.ID, event: dict[str, Any]) -> CampaignProgress:
    """An event as its GraphQL type."""
    return CampaignProgress(
        campaign_id=campaign_id,
        sequence=event["sequence"],
        status=CampaignStatus[event["status"]],
        audience=event["audience"],
        pending=event["pending"],
        in_flight=event["inFlight"],
        accepted=event["accepted"],
        delivered=event["delivered"],
        bounced=event["bounced"],
        failed=event["failed"],
        percent=event["percent"],
        rate_per_second=event["ratePerSecond"],
        estimated_seconds_left=event["estimatedSecondsLeft"],
        occurred_at=event["occurredAt"],
    )


async def publish(request: Request) -> Response:
    """Send an event to every subscriber."""
    event = await request.json()
    current.update(event)
    for queue in queues:
        queue.put_nowait(event)
    return JSONResponse({})


schema = strawberry.Schema(Query, subscription=Subscription)
graphql: GraphQL[Any, None] = GraphQL(schema)
application = Starlette(routes=[Route("/publish", publish, methods=["POST"]), Mount("/graphql", graphql)])

if __name__ == "__main__":
    uvicorn.run(application, port=int(os.environ["PORT"]), log_level="warning", access_log=False)
