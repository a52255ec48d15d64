"""The product's queries on a real database: the same answers by the same statements, compiled and by graphql-core."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.execution.company import Company
from tests.execution.differential import MARKS, drawing
from tests.execution.product import WAYS, drawn, ran

pytestmark = MARKS
CASES = given(random=st.randoms(use_true_random=True))


async def compare(company: Company, random: Random) -> None:
    """Draw a query, run it all ways, compare."""
    asked = drawn(company, random, "query", size=25)
    expected = await ran(company, WAYS[0], asked)
    for way in WAYS[1:]:
        assert (await ran(company, way, asked)).story == expected.story, asked


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
