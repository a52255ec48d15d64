"""The README's operations, executed by the clients that its readers use: Apollo Client, urql and gql."""

import asyncio
import json
from typing import Any

from gql import Client, GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport

from development import DEMO_EMAIL, DEMO_PASSWORD
from runtime import Runtime
from services.seeding import demonstration
from tests.client import ApiClient
from tests.documents.operations import readme_operations
from tests.graphql.nodejs import needs_node, run_node
from tests.serving import served


def comparable(value: Any) -> Any:  # noqa: ANN401 - JSON of any operation
    """Data without `__typename`, which Apollo and urql add, and without tokens, which differ in each response."""
    if isinstance(value, dict):
        return {name: comparable(item) for name, item in value.items() if name not in {"__typename", "accessToken"}}
    return [comparable(item) for item in value] if isinstance(value, list) else value


async def by_gql(url: str, token: str, operations: list[str]) -> list[dict[str, Any]]:
    """The data that gql returns."""
    transport = AIOHTTPTransport(url=url, headers={"authorization": f"Bearer {token}"})
    async with Client(transport=transport, fetch_schema_from_transport=True) as client:
        return [await client.execute(GraphQLRequest(text)) for text in operations]


@needs_node
async def test_clients_read_the_same_data(fresh_runtime: Runtime) -> None:
    """Each client accepts each operation, gql against the introspected schema, and returns what the API sent."""
    await demonstration.seed(fresh_runtime.work, fresh_runtime.admission, email=DEMO_EMAIL, password=DEMO_PASSWORD)
    operations = readme_operations()
    async with served(fresh_runtime) as server:
        anonymous = ApiClient(server.url)
        token = (await anonymous.execute(operations[0]))["logIn"]["accessToken"]
        client = anonymous.as_(token)
        expected = [comparable(await client.execute(text)) for text in operations]
        results = json.loads(
            await asyncio.to_thread(run_node, "operations.mjs", server.url, token, stdin=json.dumps(operations))
        )
        results["gql"] = await by_gql(server.url, token, operations)
    assert expected[1]["contacts"]["totalCount"] > 0
    assert len(expected[2]["createCampaign"]["userErrors"]) == 1
    assert {name: comparable(data) for name, data in results.items()} == dict.fromkeys(results, expected)
    assert all(data[0]["logIn"]["accessToken"] for data in results.values())
