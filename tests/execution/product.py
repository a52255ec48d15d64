"""Operations on the product's own schema, executed by graphql-core and compiled, on equal rows."""

import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphql import DocumentNode, ExecutionResult, parse, validate
from hypothesis import given
from hypothesis import strategies as st
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from core.access.actor import Actor
from resolvers import build_schema
from tests.execution.company import Company
from tests.execution.differential import TIMES, Way, by_core, compiled, encode, require_plans, visible, was_copied
from tests.execution.documents import document
from tests.execution.numbering import Numbering
from tests.execution.words import literals
from tests.statements import statements
from transport.executor import is_awaitable

SCHEMA = build_schema()
CORE = SCHEMA._schema
BY_CORE = by_core(StrawberryGraphQLCoreExecutionContext)
COMPILED = compiled(SCHEMA.execution_context_class)
CASES = given(random=st.randoms(use_true_random=True))
MOVING = frozenset({"rateLimit"})  # depends on the time


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedOperation:
    """A valid operation, and its caller."""

    kind: str
    text: str
    document: DocumentNode = field(repr=False)
    variables: dict[str, Any]
    actor: Actor | None


@dataclass(slots=True, kw_only=True)
class Outcome:
    """The outcome of an operation: its results, and a text of everything observable from outside."""

    results: list[ExecutionResult] = field(default_factory=list)
    story: list[str] = field(default_factory=list)


def generate_operation(company: Company, random: Random, kind: str, **options: Any) -> GeneratedOperation:
    """A generated operation of the kind for the company."""
    text, variables = document(CORE, random, kind, literals=literals(company), without=MOVING, **options)
    parsed = parse(text)
    assert validate(CORE, parsed) == [], text
    return GeneratedOperation(
        kind=kind, text=text, document=parsed, variables=variables, actor=random.choice(company.callers)
    )


async def run_and_compare(
    run: Callable[[Company, Way, GeneratedOperation], Awaitable[Outcome]],
    company: Company,
    operation: GeneratedOperation,
) -> Outcome:
    """The outcome by graphql-core, after checking that it is the same compiled."""
    expected = await run(company, BY_CORE, operation)
    for _ in range(TIMES):
        assert (await run(company, COMPILED, operation)).story == expected.story, operation
    # Without data, nothing may have been executed.
    if operation.kind != "subscription" and expected.results[0].data is not None:
        assert was_copied(COMPILED, CORE, operation.document, operation.variables), operation
    return expected


async def start_operation(company: Company, way: Way, operation: GeneratedOperation, **options: Any) -> Any:
    """The result, or a subscription's stream."""
    result = way.call(operation.kind)(
        CORE,
        operation.document,
        context_value=company.context(operation.actor),
        variable_values=operation.variables,
        **options,
    )
    return await result if inspect.isawaitable(result) else result


async def run_operation(company: Company, way: Way, operation: GeneratedOperation) -> Outcome:
    """The outcome of a query or mutation: its response, its statements, and the messages sent after the commit.

    Without the statements if there are errors, as siblings are cancelled at any time. The statements of a
    query have no order: siblings send them concurrently, and their order in the event loop is not specified.
    """
    outcome = Outcome()
    with require_plans(way, outcome.results), statements(company.runtime) as sent:
        outcome.results.append(await start_operation(company, way, operation, is_awaitable=is_awaitable))
    answer = outcome.results[0]
    statement_texts = [recorded_text(statement) for statement in ([] if answer.errors else sent)]
    if operation.kind == "query":
        statement_texts.sort()
    outcome.story = [
        as_text(answer),
        *statement_texts,
        *map(recorded_text, [*company.outbox.sent, *company.mailer.sent]),
    ]
    return outcome


def as_text(result: ExecutionResult) -> str:
    """A result as text."""
    return encode(visible(result)).decode()


def recorded_text(value: Any) -> str:
    """Everything that was recorded, as text."""
    return json.dumps(value, default=lambda other: f"\\x{other.hex()}" if isinstance(other, bytes) else str(other))


def numbering(company: Company, operation: GeneratedOperation) -> Numbering:
    """Numbers for values that are new to the company and the caller."""
    return Numbering(company.before, operation.text, recorded_text(operation.variables))
