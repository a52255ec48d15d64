"""The log of the local PostgreSQL contains neither parameters nor rows."""

import asyncpg
import pytest

from tests.conftest import Servers
from tests.logs.markers import Markers


async def test_neither_parameters_nor_rows(servers: Servers) -> None:
    """A slow statement, a refused value and a duplicate are logged without the values."""
    markers = Markers()
    connection = await asyncpg.connect(servers.postgres.admin_url)
    try:
        await connection.fetch("SELECT $1::text, pg_sleep(0.6)", markers.body)
        await connection.execute("CREATE TEMPORARY TABLE probe (value text CONSTRAINT marker_once UNIQUE)")
        await connection.execute("INSERT INTO probe VALUES ($1)", markers.address)
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("INSERT INTO probe VALUES ($1)", markers.address)
    finally:
        await connection.close()
    log = (servers.home / "logs" / "postgres.log").read_text()
    assert "pg_sleep" in log
    assert "marker_once" in log
    assert markers.find_in(log) == []


def test_leaks_are_detected() -> None:
    """A line with a secret of the tests' settings, or with an address, would fail the test that logged it."""
    from core.telemetry import logger
    from tests.logs.leaks import LEAKS

    LEAKS.search_for({"a-secret-of-the-tests"})
    for secret in ("a-secret-of-the-tests", "ada@people.example", "Bearer abcdefghijk"):
        logger("core.anything").debug("leak", value=secret)
    assert len(LEAKS.leaks) == 3
    LEAKS.leaks.clear()
