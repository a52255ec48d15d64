"""The product's queries on a real database: the same answers by the same statements, compiled and by graphql-core."""

from random import Random

import pytest

from core.database import scopes
from core.database.scopes import MAX_CONCURRENT_READS
from tests.execution.company import Company
from tests.execution.differential import MARKS
from tests.execution.product import BY_CORE, CASES, COMPILED, compared, drawn, ran
from tests.properties import examples

pytestmark = MARKS


async def compare(company: Company, random: Random) -> None:
    """Draw a query, run it all ways, compare; and once as in production, its reads concurrent, for the answer."""
    asked = drawn(company, random, "query", size=25)
    await ran(company, BY_CORE, asked)  # columns that are selected for the first time are read among all others
    expected = await compared(ran, company, asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scopes, "MAX_CONCURRENT_READS", MAX_CONCURRENT_READS)
        concurrent = await ran(company, COMPILED, asked)
    assert concurrent.story[0] == expected.story[0], asked


@examples(long=2_000, shrink=False)
@CASES
async def test_queries_answer_the_same(company: Company, random: Random) -> None:
    """Whatever is asked for."""
    await compare(company, random)
