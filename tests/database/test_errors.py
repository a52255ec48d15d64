"""Errors of the database that no retry cures, distinguished by their state from those that may pass."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core.database.errors import is_permanent
from runtime import Runtime
from tests import factories

STATEMENTS = {
    "SELECT CAST(:value AS text)": (True, "a\x00b"),
    "SELECT CAST(:value AS integer)": (True, 2**40),
    "SELECT 1 / CAST(:value AS integer)": (True, 0),
    "SELECT nothing FROM nowhere WHERE a = :value": (True, "x"),
    "SELECT CAST(:value AS text) FROM pg_terminate_backend(pg_backend_pid())": (False, "x"),
}


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_a_refusal_is_told_from_an_outage(runtime: Runtime, statement: str) -> None:
    """A value that cannot be stored is always refused; after a broken connection a retry can succeed."""
    is_refusal, value = STATEMENTS[statement]
    actor = await factories.organization(runtime)
    with pytest.raises(DBAPIError) as excinfo:
        async with runtime.work.begin(actor) as uow:
            await uow.connection.execute(text(statement), {"value": value})
    assert is_permanent(excinfo.value) is is_refusal
