"""The product's queries on a real database: the same answers by the same statements, compiled and by graphql-core."""

from random import Random

from tests.execution.company import Company
from tests.execution.differential import MARKS
from tests.execution.product import BY_CORE, CASES, compared, drawn, ran
from tests.properties import examples

pytestmark = MARKS


async def compare(company: Company, random: Random) -> None:
    """Draw a query, run it all ways, compare."""
    asked = drawn(company, random, "query", size=25)
    await ran(company, BY_CORE, asked)  # columns that are selected for the first time are read among all others
    await compared(ran, company, asked)


@examples(long=2_000, shrink=False)
@CASES
async def test_queries_answer_the_same(company: Company, random: Random) -> None:
    """Whatever is asked for."""
    await compare(company, random)
