from collections.abc import AsyncIterator

import asyncpg
import pytest

import execution
from core.database import scopes
from runtime import running
from tests.conftest import Servers, copy_template, settings_for
from tests.execution.company import Company, create_company
from tests.execution.keeping import Database


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations are compiled at their first use, however long it takes."""
    monkeypatch.setattr(execution.limits, "min_uses", 1)
    monkeypatch.setattr(execution.limits, "time_share", 1000.0)


@pytest.fixture(scope="session")
async def founded_company(servers: Servers) -> AsyncIterator[Company]:
    database = await copy_template(servers)
    admin = await asyncpg.connect(servers.database_url(servers.postgres.admin_url, database))
    try:
        async with running(settings_for(servers, database, redis_database=2)) as runtime:
            yield await create_company(runtime, Database(admin))
    finally:
        await admin.close()


@pytest.fixture
async def company(founded_company: Company, monkeypatch: pytest.MonkeyPatch) -> Company:
    """The company in its initial state, whose operations send one read after the other.

    Concurrent reads arrive in any order, and so do the rows that they load: together in one statement, or in
    two. The statements of two runs could not be compared.
    """
    monkeypatch.setattr(scopes, "MAX_CONCURRENT_READS", 1)
    await founded_company.restore()
    return founded_company
