"""The log of our own PostgreSQL holds neither parameters nor rows."""

import asyncpg
import pytest

from tests.conftest import Servers
from tests.logs.planting import Planted


async def test_neither_parameters_nor_rows(servers: Servers) -> None:
    """A slow statement, a refused value and a duplicate are logged without the values."""
    planted = Planted()
    connection = await asyncpg.connect(servers.postgres.admin_url)
    try:
        await connection.fetch("SELECT $1::text, pg_sleep(0.6)", planted.body)
        await connection.execute("CREATE TEMPORARY TABLE probe (value text CONSTRAINT planted_once UNIQUE)")
        await connection.execute("INSERT INTO probe VALUES ($1)", planted.address)
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("INSERT INTO probe VALUES ($1)", planted.address)
    finally:
        await connection.close()
    log = (servers.home / "logs" / "postgres.log").read_text()
    assert "pg_sleep" in log
    assert "planted_once" in log
    assert planted.found_in(log) == []


def test_the_suite_listens() -> None:
    """A line with a secret of the tests' settings, or with an address, would fail the test that logged it."""
    from core.telemetry import logger
    from tests.logs.watching import WATCH

    WATCH.know({"a-secret-of-the-tests"})
    for words in ("a-secret-of-the-tests", "ada@people.example", "Bearer abcdefghijk"):
        logger("core.anything").debug("here it is", words=words)
    assert len(WATCH.found) == 3
    WATCH.found.clear()
