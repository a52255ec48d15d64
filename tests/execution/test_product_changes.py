"""The product's mutations: the same responses and changes in the same order, compiled and by graphql-core."""

from collections.abc import Iterator
from random import Random

import pytest

from tests.execution.company import Company
from tests.execution.differential import MARKS, Way
from tests.execution.product import (
    CASES,
    CORE,
    GeneratedOperation,
    Outcome,
    generate_operation,
    numbering,
    run_and_compare,
    run_operation,
)
from tests.properties import examples, is_long

pytestmark = MARKS
OF_A_SOCKET = {"renewConnection"}  # over HTTP refused
REFUSALS = {"userErrors": "{ code field message suggestion }"}


async def run_mutations(company: Company, way: Way, operation: GeneratedOperation) -> Outcome:
    """The outcome of mutations on the restored company, and all rows afterwards, in the order of writing."""
    await company.restore()
    outcome = await run_operation(company, way, operation)
    numbers = numbering(company, operation)
    rows = await company.database.written()
    rows.sort(key=lambda row: (row.transaction, row.statement, numbers.masked(row.text)))
    outcome.story = [numbers.numbered(text) for text in [*outcome.story, *(row.text for row in rows)]]
    return outcome


async def compare(company: Company, random: Random) -> list[str]:
    """Generate mutations, compare their outcomes on equal rows; returns which of them succeeded."""
    expected = await run_and_compare(
        run_mutations, company, generate_operation(company, random, "mutation", always=REFUSALS, each=10)
    )
    data = expected.results[0].data or {}
    payloads = {key: payload for key, payload in data.items() if isinstance(payload, dict)}
    return [key.partition("_")[0] for key, payload in payloads.items() if not payload["userErrors"]]


@pytest.fixture
def succeeded() -> Iterator[set[str]]:
    """The mutations that succeeded; finally these must be all, or eight in the quick form."""
    mutations: set[str] = set()
    yield mutations
    if is_long():
        assert CORE.mutation_type is not None
        assert mutations == set(CORE.mutation_type.fields) - OF_A_SOCKET
    else:
        assert len(mutations) >= 8


@examples(20, long=2_000, shrink=False)
@CASES
async def test_mutations_have_the_same_effects(company: Company, succeeded: set[str], random: Random) -> None:
    """Operations of up to six mutations each; in the long form every mutation succeeds at least once."""
    succeeded.update(await compare(company, random))
