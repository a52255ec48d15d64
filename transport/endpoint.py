"""The GraphQL endpoint of a process, composed of its parts."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import strawberry
from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute

from core.supervision import Supervisors
from resolvers.budgets import Budgets
from resolvers.context import Dependencies
from runtime import Runtime
from services.accounts.logins import Logins
from services.campaigns.test_sends import TestSends
from services.maya.watching import ReplySource
from services.senders.registration import SenderRegistration
from transport.executor import Executor
from transport.http import assets
from transport.http.endpoint import HttpEndpoint
from transport.websocket.endpoint import WebSocketEndpoint
from transport.websocket.fanout import FanOut
from transport.websocket.open_connections import OpenConnections

PATH = "/graphql"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The GraphQL endpoint of a process: HTTP and WebSocket, with what they share."""

    executor: Executor
    http: HttpEndpoint
    websocket: WebSocketEndpoint
    connections: OpenConnections
    fanout: FanOut
    supervisors: Supervisors

    @classmethod
    def build(cls, runtime: Runtime, schema: strawberry.Schema) -> "Endpoint":
        """Build the endpoint on a runtime."""
        dependencies = build_dependencies(runtime)
        budgets = Budgets(limit=runtime.settings.cost_per_minute, redis=runtime.cache)
        executor = Executor(schema, runtime.settings, budgets)
        fanout = FanOut(executor)
        connections = OpenConnections(runtime.settings.realtime)
        return cls(
            executor=executor,
            http=HttpEndpoint(dependencies, executor),
            websocket=WebSocketEndpoint(dependencies, executor, fanout, connections),
            connections=connections,
            fanout=fanout,
            supervisors=runtime.supervisors,
        )

    def metrics(self) -> Iterator[Metric]:
        """Metrics of this process. None is labeled by organization: labels must stay few."""
        connections, fanout = self.connections.statistics(), self.fanout.statistics()
        documents = len(self.executor.documents.entries)
        yield Gauge("nudge_graphql_documents", "Documents in the cache, parsed and validated.", documents)
        yield self.http.clients.metrics()
        yield Gauge("nudge_websockets_open", "Open WebSocket connections.", connections.open)
        yield Gauge(
            "nudge_websockets_authenticated",
            "Open WebSocket connections that are authenticated.",
            connections.authenticated,
        )
        yield Gauge(
            "nudge_websocket_operations", "Operations that run on WebSocket connections.", connections.operations
        )
        yield Gauge(
            "nudge_fanout_groups", "Groups of subscribers that share the execution of each event.", fanout.groups
        )
        yield Gauge("nudge_fanout_subscribers", "Subscribers in these groups.", fanout.subscribers)
        yield Counter("nudge_fanout_frames_written_total", "Events written to a subscriber at once.", fanout.written)
        yield Counter("nudge_fanout_messages_waited_total", "Events that waited for a connection.", fanout.waited)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Synchronize budgets with the other processes while the block runs; then end all fan-out groups."""
        task = self.supervisors.start("budgets", self.executor.budgets.synchronize)
        try:
            yield
        finally:
            await self.supervisors.stop(task)
            await self.fanout.aclose()


def build_dependencies(runtime: Runtime) -> Dependencies:
    """The parts of a runtime that resolvers use."""
    auth = runtime.settings.auth
    return Dependencies(
        work=runtime.work,
        reads=runtime.reads,
        hub=runtime.hub,
        identity=runtime.identity,
        logins=Logins(
            work=runtime.work,
            reads=runtime.reads,
            system=runtime.system,
            admission=runtime.admission,
            tokens=runtime.tokens,
            identity=runtime.identity,
            days=auth.refresh_token_days,
            issuer=auth.issuer,
        ),
        replies=ReplySource(logs=runtime.logs, hub=runtime.hub),
        features=runtime.features,
        sender_policy=runtime.sender_policy,
        sender_registration=SenderRegistration(
            work=runtime.work,
            reads=runtime.reads,
            policy=runtime.sender_policy,
            limit=runtime.mail_limits.confirmations,
        ),
        test_sends=TestSends(
            work=runtime.work,
            reads=runtime.reads,
            mailer=runtime.mailer,
            policy=runtime.sender_policy,
            limit=runtime.mail_limits.test_mails,
            public_url=runtime.settings.public_url,
        ),
    )


def graphql_routes(endpoint: Endpoint) -> list[BaseRoute]:
    """The routes of GraphQL, GraphiQL and its files."""
    return [
        Route("/", RedirectResponse(PATH)),
        Route(PATH, endpoint.http),
        WebSocketRoute(PATH, endpoint.websocket),
        Route(f"{PATH}/assets/{{name}}", assets.serve_asset),
    ]
