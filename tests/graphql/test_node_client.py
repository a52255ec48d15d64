"""The protocol with the official JavaScript client."""

import asyncio
import json
from typing import Any

from runtime import Runtime
from tests import factories
from tests.graphql.nodejs import needs_node, run_node
from tests.graphql.sockets import settles
from tests.graphql.test_renewal import token_of
from tests.serving import Served


@needs_node
async def test_the_official_client_subscribes(probe_server: Served, runtime: Runtime) -> None:
    """Streams, an early end, a query, a refusal and ten concurrent streams on one connection."""
    token = factories.token(runtime, await factories.organization(runtime))
    results = json.loads(await asyncio.to_thread(run_node, "subscribe.mjs", probe_server.websocket_url, token))
    assert results["stream"] == [{"count": number} for number in range(4)]
    assert results["dropped"] == [{"count": 0}, {"count": 1}]
    assert results["query"] == [{"viewer": {"role": "OWNER"}}]
    assert results["refused"] == [{"failed": "BAD_USER_INPUT"}]
    assert results["together"] == [[{"count": 0}, {"count": 1}, {"count": 2}]] * 10
    endpoint = probe_server.application.endpoint
    assert endpoint is not None
    await settles(lambda: endpoint.connections.statistics().open == 0)


@needs_node
async def test_the_official_client_gets_the_reason_for_a_refusal(probe_server: Served) -> None:
    """An invalid token closes the connection with 4401, which the client passes on."""
    results = json.loads(await asyncio.to_thread(run_node, "subscribe.mjs", probe_server.websocket_url, "nonsense"))
    assert results["stream"] == [{"closed": 4401}]


@needs_node
async def test_clients_report_an_invalid_token_and_stop(probe_server: Served, runtime: Runtime) -> None:
    """graphql-ws, Apollo and urql, by default, try once and pass code and reason to the subscription."""
    actor = await factories.organization(runtime)
    for token, reason in (("nonsense", "not valid"), (token_of(runtime, actor, -60), "expired")):
        results = json.loads(
            await asyncio.to_thread(run_node, "invalid_token.mjs", probe_server.websocket_url, token)
        )
        assert set(results) == {"graphql-ws", "apollo", "urql"}
        for found_by_client in results.values():
            assert found_by_client["closings"] == [4401]
            assert "4401" in found_by_client["message"]
            assert reason in found_by_client["message"]


@needs_node
async def test_a_client_reconnects_when_its_token_expires(probe_server: Served, runtime: Runtime) -> None:
    """The official client, by default, asks for parameters again and subscribes again."""
    actor = await factories.organization(runtime)
    lasting, results = factories.token(runtime, actor), dict[str, Any]()
    for seconds in (3, 15, 60):  # a busy machine may need longer to get as far as the first event
        ending = token_of(runtime, actor, seconds)
        output = await asyncio.to_thread(run_node, "reconnect.mjs", probe_server.websocket_url, ending, lasting)
        results = json.loads(output)
        if results["closings"][0][0] != 4401:
            break
    assert results["closings"][0] == [4403, "The access token has expired"]
    assert results["counts"][-3:] == [0, 1, 2]
