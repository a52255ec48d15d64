"""The product's own schema on a real database: queries answer the same compiled and by graphql-core."""

from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from graphql import ExecutionResult, execute, parse, validate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import execution
from core.ids import encode_global_id, new_id
from core.permissions import Principal, Role
from resolvers import build_schema
from resolvers.budgets import Budgets
from resolvers.context import RequestContext
from resolvers.endpoint.execution import is_awaitable
from services.runtime import Runtime
from tests import factories
from tests.execution.differential import encoded, seen
from tests.execution.documents import document

# A task that is cancelled before it starts leaves what it was to await; graphql-core's do, too.
pytestmark = pytest.mark.filterwarnings(
    "ignore:coroutine .* was never awaited:RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
MOVING = frozenset({"rateLimit"})  # tells the time


@dataclass
class Company:
    """An organisation with something in it, and texts that mean something to its queries."""

    runtime: Runtime
    principals: list[Principal]
    literals: dict[str, list[tuple[str, Any]]]

    def context(self, principal: Principal | None) -> RequestContext:
        """A fresh context for an operation."""
        budgets = Budgets(limit=10_000_000, redis=self.runtime.cache)
        return RequestContext(runtime=self.runtime, principal=principal, request_id="request", budgets=budgets)


@pytest.fixture(scope="session")
async def company(runtime: Runtime) -> Company:
    owner = await factories.organization(runtime)
    contacts = await factories.contacts(runtime, owner, 7, tag="new")
    campaign = await factories.campaign(runtime, owner)
    ids = [encode_global_id("Contact", contact) for contact in contacts[:2]]
    ids += [encode_global_id("Campaign", campaign)]
    ids += [encode_global_id("Contact", new_id()), encode_global_id("Campaign", new_id()), "nonsense"]
    literals: dict[str, list[tuple[str, Any]]] = {
        "Int": [(str(number), number) for number in (1, 2, 5, 25, 0, 1000)],
        "ID": [(f'"{one}"', one) for one in ids],
        "EmailAddress": [('"ada@example.com"', "ada@example.com"), ('"none"', "none")],
        "DateTime": [('"2026-11-24T09:30:00Z"', "2026-11-24T09:30:00Z")],
        "JSON": [("{a: 1}", {"a": 1})],
    }
    viewer = await factories.organization(runtime, role=Role.VIEWER)
    return Company(runtime, [owner, viewer], literals)


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution.limits, "sights", 1)
    monkeypatch.setattr(execution.limits, "share", 1000.0)


async def compare(company: Company, random: Random) -> None:
    """Draw a query, run it both ways, compare."""
    schema = build_schema()
    core = schema._schema
    text, variables = document(core, random, "query", size=20, literals=company.literals, without=MOVING)
    parsed = parse(text)
    assert validate(core, parsed) == [], text
    principal = random.choice([*company.principals, company.principals[0], None])
    answers = []
    for call in (execute, execution.execute):
        result = call(
            core,
            parsed,
            context_value=company.context(principal),
            variable_values=variables,
            executor_class=schema.execution_context_class,
            is_awaitable=is_awaitable,
        )
        answers.append(encoded(seen(result if isinstance(result, ExecutionResult) else await result)))
    assert answers[0] == answers[1], text


CASES = given(random=st.randoms(use_true_random=False))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@CASES
async def test_queries_answer_the_same(company: Company, random: Random) -> None:
    """A short run of the comparison, in `make test`."""
    await compare(company, random)


@pytest.mark.slow
@settings(max_examples=2_000, deadline=None, suppress_health_check=list(HealthCheck))
@CASES
async def test_product_execution_at_length(company: Company, random: Random) -> None:
    """Two thousand queries."""
    await compare(company, random)
