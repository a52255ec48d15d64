"""The operations and statements that the pages show fit the schema and run on the database."""

import re
from uuid import uuid4

import asyncpg
import pytest
from _pytest.mark import ParameterSet
from graphql import build_schema, parse, validate

from tests.conftest import Servers, copy_template, with_database
from tests.documents.pages import blocks, handbook, text_of

AS_APP = "-- as nudge_app"
"""The first line of a block that the app's own role can run."""
VARIABLE = re.compile(r":'(\w+)'")
OWN_SCHEMA = "docs/execution.md"
"""Its example is of a schema of its own."""


def blocks_of(language: str) -> list[ParameterSet]:
    """Every block of the language, with its page and its position there as its id."""
    numbered = ((page, number, text) for page in handbook() for number, text in enumerate(blocks(page, language)))
    return [pytest.param(text, id=f"{page}-{number}") for page, number, text in numbered if page != OWN_SCHEMA]


@pytest.mark.parametrize("text", blocks_of("graphql"))
def test_operations_fit_the_schema(text: str) -> None:
    """Every operation of a page is valid against schema.graphql."""
    assert validate(build_schema(text_of("schema.graphql")), parse(text)) == []


@pytest.fixture(scope="module")
async def database(servers: Servers) -> str:
    """A migrated database without rows."""
    return await copy_template(servers)


@pytest.mark.parametrize("text", blocks_of("sql"))
async def test_statements_run(servers: Servers, database: str, text: str) -> None:
    """Every statement of a page runs, as the role that the page names, with an id for each variable of psql."""
    url = servers.postgres.app_url if text.startswith(AS_APP) else servers.postgres.admin_url
    address = with_database(url, database).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(address)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(VARIABLE.sub(f"'{uuid4()}'", text))
        await transaction.rollback()
    finally:
        await connection.close()
