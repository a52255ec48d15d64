"""The protocol as the official JavaScript client speaks it."""

import asyncio
import json

from services.runtime import Runtime
from tests import factories
from tests.graphql.nodejs import needs_node, run_node
from tests.graphql.sockets import settles
from tests.serving import Served


@needs_node
async def test_the_official_client_subscribes(probe_server: Served, runtime: Runtime) -> None:
    """Streams, an early end, a query, a refusal and ten streams at once on one socket."""
    token = factories.token(runtime, await factories.organization(runtime))
    found = json.loads(await asyncio.to_thread(run_node, "subscribe.mjs", probe_server.websocket_url, token))
    assert found["stream"] == [{"count": number} for number in range(4)]
    assert found["dropped"] == [{"count": 0}, {"count": 1}]
    assert found["query"] == [{"viewer": {"role": "OWNER"}}]
    assert found["refused"] == [{"failed": "BAD_USER_INPUT"}]
    assert found["together"] == [[{"count": 0}, {"count": 1}, {"count": 2}]] * 10
    door = probe_server.application.door
    assert door is not None
    await settles(lambda: door.sockets.statistics().open == 0)


@needs_node
async def test_the_official_client_is_told_why_it_may_not(probe_server: Served) -> None:
    """A bad token closes the socket 4401, which the client hands on."""
    found = json.loads(await asyncio.to_thread(run_node, "subscribe.mjs", probe_server.websocket_url, "nonsense"))
    assert found["stream"] == [{"closed": 4401}]
