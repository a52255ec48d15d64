"""What becomes of subscriptions when a process stops."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from resolvers.context import RequestContext
from runtime import Runtime
from tests import factories
from tests.graphql.probe import probe_schema
from tests.graphql.sockets import connected, settles
from tests.graphql.test_fanout import board, fanout_of
from tests.serving import served
from transport.endpoint import Endpoint, build_dependencies
from transport.requests import GraphQLRequest
from transport.websocket.adapter import WebSocketAdapter
from transport.websocket.fanout import Subscriber


async def test_shutdown_closes_subscribers(runtime: Runtime) -> None:
    """At shutdown a group's subscribers are closed with 1001, and no group remains."""
    token = factories.token(runtime, await factories.organization(runtime))
    async with AsyncExitStack() as stack:
        async with served(runtime, probe_schema) as server:
            sockets = [await stack.enter_async_context(connected(server)) for _ in range(3)]
            for socket in sockets:
                await socket.ready(token)
                await board(socket)
            fanout = fanout_of(server)
            waiting = [asyncio.create_task(socket.closed()) for socket in sockets]
        assert [(await each)[0] for each in waiting] == [1001, 1001, 1001]
        assert (len(fanout.groups), len(fanout.ending_tasks)) == (0, 0)


async def test_shutdown_ends_groups_whose_subscribers_have_not_left(runtime: Runtime) -> None:
    """The endpoint waits until the execution has ended: nothing reads from the database after it has closed."""
    endpoint = Endpoint.build(runtime, probe_schema)
    actor = await factories.organization(runtime)
    query = "subscription { board(to: 100000) }"
    operation = endpoint.executor.documents.operation(query, None)
    context = RequestContext(
        dependencies=build_dependencies(runtime), actor=actor, request_id="r", budgets=endpoint.executor.budgets
    )
    adapter = WebSocketAdapter(never, never, send_timeout=1.0)  # type: ignore[arg-type] # neither is called
    async with endpoint.open():
        request = GraphQLRequest(query=query, variables={})
        group = endpoint.fanout.join(operation, request, context, Subscriber(adapter, "1"))
        await settles(lambda: group.version > 0)
        assert not group.task.done()
    assert group.task.done()
    assert endpoint.fanout.groups == {}


async def never() -> None:
    """In place of a connection."""
    pytest.fail("nothing is read or written")
