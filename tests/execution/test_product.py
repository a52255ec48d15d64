"""The product's queries on a real database: the same answers by the same statements, compiled and by graphql-core."""

from random import Random

import pytest

from tests.execution.company import Company
from tests.execution.differential import MARKS, drawing
from tests.execution.product import BY_CORE, CASES, compared, drawn, ran

pytestmark = MARKS


async def compare(company: Company, random: Random) -> None:
    """Draw a query, run it all ways, compare."""
    asked = drawn(company, random, "query", size=25)
    await ran(company, BY_CORE, asked)  # columns that are selected for the first time are read among all others
    await compared(ran, company, asked)


@drawing(80)
@CASES
async def test_queries_answer_the_same(company: Company, random: Random) -> None:
    """Eighty queries, in `make test`."""
    await compare(company, random)


@pytest.mark.slow
@drawing(2_000)
@CASES
async def test_product_execution_at_length(company: Company, random: Random) -> None:
    """Two thousand queries."""
    await compare(company, random)
