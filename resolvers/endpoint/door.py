"""The parts of the endpoint, put together for one process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import strawberry
from starlette.routing import BaseRoute, Route, WebSocketRoute

from resolvers.budgets import Budgets
from resolvers.endpoint import assets
from resolvers.endpoint.ending import end_all
from resolvers.endpoint.execution import Executor
from resolvers.endpoint.fanout import FanOut
from resolvers.endpoint.http import HttpEndpoint
from resolvers.endpoint.sockets import Sockets
from resolvers.endpoint.websocket import WebSocketEndpoint
from services.runtime import Runtime

PATH = "/graphql"


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The GraphQL endpoint of a process."""

    executor: Executor
    http: HttpEndpoint
    websocket: WebSocketEndpoint
    sockets: Sockets
    fanout: FanOut

    @classmethod
    def build(cls, runtime: Runtime, schema: strawberry.Schema) -> "Door":
        """The endpoint of a runtime."""
        budgets = Budgets(limit=runtime.settings.cost_per_minute, redis=runtime.cache)
        executor = Executor(schema, runtime.settings, budgets)
        fanout = FanOut(executor)
        sockets = Sockets(runtime.settings.realtime)
        return cls(
            executor=executor,
            http=HttpEndpoint(runtime, executor),
            websocket=WebSocketEndpoint(runtime, executor, fanout, sockets),
            sockets=sockets,
            fanout=fanout,
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Keep budgets in step with the other processes while the block runs."""
        task = asyncio.create_task(self.executor.budgets.keep_in_step(), name="budgets")
        try:
            yield
        finally:
            await end_all([task])
            await self.fanout.aclose()


def graphql_routes(door: Door) -> list[BaseRoute]:
    """The endpoint's routes."""
    return [
        Route(PATH, door.http),
        WebSocketRoute(PATH, door.websocket),
        Route(f"{PATH}/assets/{{name}}", assets.serve),
    ]
