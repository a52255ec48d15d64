from collections.abc import AsyncIterator

import pytest

from runtime import Runtime
from tests.client import ApiClient
from tests.graphql.probe import probe_schema
from tests.serving import Served, served


@pytest.fixture(scope="session")
async def probe_server(runtime: Runtime) -> AsyncIterator[Served]:
    async with served(runtime, probe_schema) as result:
        yield result


@pytest.fixture(scope="session")
async def probe(probe_server: Served) -> ApiClient:
    return ApiClient(probe_server.url)
