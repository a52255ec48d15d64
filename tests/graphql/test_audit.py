"""The graphql-http audit (npm), which checks every MUST, SHOULD and MAY of GraphQL over HTTP."""

import asyncio
import json

from tests.graphql.nodejs import needs_node, run_node
from tests.serving import Served


@needs_node
async def test_the_audit_finds_nothing(api_server: Served) -> None:
    """Every check passes: no error, no warning, no notice."""
    results = json.loads(await asyncio.to_thread(run_node, "audit.mjs", api_server.url))
    assert len(results) > 50
    assert [result for result in results if result["status"] != "ok"] == []
