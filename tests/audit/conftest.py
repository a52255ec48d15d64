from collections.abc import AsyncIterator

import asyncpg
import pytest

from runtime import running
from tests.conftest import Servers, copy_template, settings_for
from tests.execution.company import Company, create_company
from tests.execution.keeping import Database
from tests.serving import Served, served


@pytest.fixture(scope="session")
async def audited_company(servers: Servers) -> AsyncIterator[Company]:
    database = await copy_template(servers)
    admin = await asyncpg.connect(servers.database_url(servers.postgres.admin_url, database))
    try:
        async with running(settings_for(servers, database, redis_database=3)) as runtime:
            yield await create_company(runtime, Database(admin))
    finally:
        await admin.close()


@pytest.fixture(scope="session")
async def audited_server(audited_company: Company) -> AsyncIterator[Served]:
    async with served(audited_company.runtime) as server:
        yield server


@pytest.fixture
async def company(audited_company: Company) -> Company:
    """The company in its initial state."""
    await audited_company.restore()
    return audited_company
