"""Operations on the product's own schema, run by graphql-core and compiled, on equal rows."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphql import DocumentNode, ExecutionResult, execute, parse, validate
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

import execution
from core.permissions import Principal
from resolvers import build_schema
from resolvers.endpoint.execution import is_awaitable
from tests.execution.company import Company
from tests.execution.differential import encoded, seen
from tests.execution.documents import document
from tests.execution.numbering import Numbering
from tests.execution.words import words
from tests.statements import statements

SCHEMA = build_schema()
CORE = SCHEMA._schema
BY_CORE = StrawberryGraphQLCoreExecutionContext
COMPILED = SCHEMA.execution_context_class
# The second time the operation is known, and what its values look like.
WAYS = (BY_CORE, COMPILED, COMPILED)
MOVING = frozenset({"rateLimit"})  # tells the time


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A valid operation, and who sends it."""

    text: str
    document: DocumentNode = field(repr=False)
    variables: dict[str, Any]
    principal: Principal | None


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of an operation: its results, and in words everything that can be seen from outside."""

    results: list[ExecutionResult] = field(default_factory=list)
    story: list[str] = field(default_factory=list)


def drawn(company: Company, random: Random, kind: str, **options: Any) -> Asked:
    """An operation of the kind that somebody asks the company."""
    text, variables = document(CORE, random, kind, literals=words(company), without=MOVING, **options)
    parsed = parse(text)
    assert validate(CORE, parsed) == [], text
    return Asked(text=text, document=parsed, variables=variables, principal=random.choice(company.callers))


async def ran(company: Company, way: Any, asked: Asked) -> Outcome:
    """The outcome of a query or mutation: its answer, its statements, and what it sent after they were committed.

    Without the statements where there are errors, as those of siblings are cancelled sooner or later.
    """
    outcome = Outcome()
    with by_plan_or_not(way, outcome), statements(company.runtime) as sent:
        result = execute(
            CORE,
            asked.document,
            context_value=company.context(asked.principal),
            variable_values=asked.variables,
            executor_class=way,
            is_awaitable=is_awaitable,
        )
        outcome.results.append(result if isinstance(result, ExecutionResult) else await result)
    answer = outcome.results[0]
    happened = [*([] if answer.errors else sent), *company.outbox.sent, *company.mailer.sent]
    outcome.story = [told(answer), *map(noted, happened)]
    return outcome


@contextmanager
def by_plan_or_not(way: Any, outcome: Outcome) -> Iterator[None]:
    """See to it that plans are run for every result that fields were executed for, or for none at all."""
    before = execution.statistics()
    yield
    after = execution.statistics()
    executed = [result for result in outcome.results if was_executed(result)]
    assert after["executed"] - before["executed"] == (0 if way is BY_CORE else len(executed))
    assert after["fallen_back"] == before["fallen_back"]


def was_executed(result: ExecutionResult) -> bool:
    """Whether any field was: an error of the request or of a source stream comes before the first."""
    return result.data is not None or any(error.path for error in result.errors or ())


def told(result: ExecutionResult) -> str:
    """A result as text."""
    return encoded(seen(result)).decode()


def noted(value: Any) -> str:
    """Whatever was seen as text."""
    return json.dumps(value, default=lambda other: f"\\x{other.hex()}" if isinstance(other, bytes) else str(other))


def numbering(company: Company, asked: Asked) -> Numbering:
    """Numbers for what neither the company nor the caller knew before."""
    return Numbering(company.before, asked.text, noted(asked.variables))
