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
from tests.execution.differential import TIMES, Way, by_core, compiled, encoded, require_plans, visible, was_copied
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


def drawn(company: Company, random: Random, kind: str, **options: Any) -> GeneratedOperation:
    """A generated operation of the kind for the company."""
    text, variables = document(CORE, random, kind, literals=literals(company), without=MOVING, **options)
    parsed = parse(text)
    assert validate(CORE, parsed) == [], text
    return GeneratedOperation(
        kind=kind, text=text, document=parsed, variables=variables, actor=random.choice(company.callers)
    )


async def compared(
    run: Callable[[Company, Way, GeneratedOperation], Awaitable[Outcome]], company: Company, asked: GeneratedOperation
) -> Outcome:
    """The outcome by graphql-core, after checking that it is the same compiled."""
    expected = await run(company, BY_CORE, asked)
    for _ in range(TIMES):
        assert (await run(company, COMPILED, asked)).story == expected.story, asked
    if asked.kind != "subscription" and expected.results[0].data is not None:  # else nothing may have been executed
        assert was_copied(COMPILED, CORE, asked.document, asked.variables), asked
    return expected


async def started(company: Company, way: Way, asked: GeneratedOperation, **options: Any) -> Any:
    """The result, or a subscription's stream."""
    made = way.call(asked.kind)(
        CORE,
        asked.document,
        context_value=company.context(asked.actor),
        variable_values=asked.variables,
        **options,
    )
    return await made if inspect.isawaitable(made) else made


async def ran(company: Company, way: Way, asked: GeneratedOperation) -> Outcome:
    """The outcome of a query or mutation: its answer, its statements, and what it sent after they were committed.

    Without the statements where there are errors, as those of siblings are cancelled sooner or later. Those of a
    query in no order: siblings send them at the same time, and which is a turn of the loop earlier is not defined.
    """
    outcome = Outcome()
    with require_plans(way, outcome.results), statements(company.runtime) as sent:
        outcome.results.append(await started(company, way, asked, is_awaitable=is_awaitable))
    answer = outcome.results[0]
    done = [recorded_text(statement) for statement in ([] if answer.errors else sent)]
    if asked.kind == "query":
        done.sort()
    outcome.story = [as_text(answer), *done, *map(recorded_text, [*company.outbox.sent, *company.mailer.sent])]
    return outcome


def as_text(result: ExecutionResult) -> str:
    """A result as text."""
    return encoded(visible(result)).decode()


def recorded_text(value: Any) -> str:
    """Everything that was recorded, as text."""
    return json.dumps(value, default=lambda other: f"\\x{other.hex()}" if isinstance(other, bytes) else str(other))


def numbering(company: Company, asked: GeneratedOperation) -> Numbering:
    """Numbers for values that neither the company nor the caller knew before."""
    return Numbering(company.before, asked.text, recorded_text(asked.variables))
