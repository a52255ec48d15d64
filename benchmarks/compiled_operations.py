"""Execution of a list of 50 rows with seven fields by graphql-core, the compiler and hand-written code.

    python -m benchmarks.compiled_operations [rounds]

The operation is parsed and validated before, and runs in this process. `objects` returns existing objects, `contacts`
a connection of them, `constructed` creates them from rows, `rows` returns rows. `native` leaves the formatting of
times to orjson. Rounds are interleaved; each result is the median of its rounds, in microseconds per operation.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Any, ClassVar, NamedTuple

import orjson
import strawberry
from graphql import execute as graphql_core
from graphql import parse
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.config import StrawberryConfig

import execution
from execution import rows

ROWS = 50
CALLS = 40
QUERY = """
query Contacts($first: Int) {
  contacts(first: $first) {
    edges { cursor node { id email firstName lastName status score createdAt } }
    pageInfo { hasNextPage endCursor }
  }
  rows(first: $first) { id email firstName lastName status score createdAt }
  objects(first: $first) { id email firstName lastName status score createdAt }
  constructed(first: $first) { id email firstName lastName status score createdAt }
}
"""
NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@strawberry.enum
class Status(Enum):
    SUBSCRIBED = "subscribed"
    BOUNCED = "bounced"


@strawberry.type
class Contact:
    id: strawberry.ID
    email: str
    first_name: str | None
    last_name: str | None
    status: Status
    score: int
    created_at: datetime


class ContactRow(NamedTuple):
    id: int
    email: str
    first_name: str | None
    last_name: str | None
    status: Status
    score: int
    created_at: datetime


rows.register(Contact, ContactRow, id=rows.Column("id", str))


@strawberry.type
class Edge:
    cursor: str
    node: Contact


@strawberry.type
class PageInfo:
    has_next_page: bool
    end_cursor: str | None


@strawberry.type
class Connection:
    edges: list[Edge]
    page_info: PageInfo


def values(index: int) -> tuple[Any, ...]:
    """A contact's columns."""
    status = Status.BOUNCED if index % 7 == 0 else Status.SUBSCRIBED
    return (index, f"contact{index}@example.com", f"First {index}", None, status, index * 3, NOW)


TABLE = [ContactRow._make(values(index)) for index in range(ROWS)]


def contact_of(row: ContactRow) -> Contact:
    """A contact as a resolver would create it."""
    return Contact(
        id=strawberry.ID(str(row.id)),
        email=row.email,
        first_name=row.first_name,
        last_name=row.last_name,
        status=row.status,
        score=row.score,
        created_at=row.created_at,
    )


CONTACTS = [contact_of(row) for row in TABLE]
CONNECTION = Connection(
    edges=[Edge(cursor=f"c{contact.id}", node=contact) for contact in CONTACTS],
    page_info=PageInfo(has_next_page=True, end_cursor="c49"),
)


@strawberry.type
class Query:
    @strawberry.field
    async def contacts(self, first: int | None = None) -> Connection:
        return CONNECTION

    @strawberry.field
    async def rows(self, first: int | None = None) -> list[Contact]:
        return TABLE[:first]  # type: ignore[return-value]  # rows stand for contacts

    @strawberry.field
    async def objects(self, first: int | None = None) -> list[Contact]:
        return CONTACTS[:first]

    @strawberry.field
    async def constructed(self, first: int | None = None) -> list[Contact]:
        return [contact_of(row) for row in TABLE[:first]]


def by_hand(contacts: list[Any]) -> list[dict[str, Any]]:
    """The conversion that a route without GraphQL would do."""
    return [
        {
            "id": contact.id,
            "email": contact.email,
            "firstName": contact.first_name,
            "lastName": contact.last_name,
            "status": contact.status.name,
            "score": contact.score,
            "createdAt": contact.created_at.isoformat(),
        }
        for contact in contacts
    ]


def document(field: str) -> Any:
    """The operation with only one of the root fields."""
    whole = parse(QUERY, no_location=False)
    operation: Any = whole.definitions[0]
    fields = [node for node in operation.selection_set.selections if node.name.value == field]
    start, end = fields[0].loc.start, fields[0].loc.end
    return parse("query Contacts($first: Int) {" + QUERY[start:end] + "}")


class Native(execution.CompiledStrawberryExecutor):
    """Leaves times to orjson, which formats them as the scalar does."""

    encoder_scalars: ClassVar[dict[str, type]] = {"DateTime": datetime}


def runner(
    execute: Callable[..., Any], schema: strawberry.Schema, field: str, executor: type | None = None, rows: int = ROWS
) -> Callable[[], Awaitable[Any]]:
    """A function that executes the operation as an HTTP handler would."""
    core = schema._schema  # noqa: SLF001 - strawberry has no public name for the core schema
    parsed = document(field)

    async def run() -> Any:
        result = await execute(
            core,
            parsed,
            variable_values={"first": rows},
            executor_class=executor or schema.execution_context_class,
            is_awaitable=optimized_is_awaitable,
        )
        assert not result.errors, result.errors
        return result.data

    return run


async def hand() -> Any:
    """The data by hand-written code."""
    return {"objects": by_hand(CONTACTS)}


async def measure(rounds: int) -> None:
    """Run all rounds and print a table."""
    schema = strawberry.Schema(query=Query, config=StrawberryConfig(default_resolver=rows.read))
    kinds: dict[str, Callable[[], Awaitable[Any]]] = {}
    for field in ("objects", "contacts", "constructed", "rows"):
        kinds[f"graphql-core, {field}"] = runner(graphql_core, schema, field)
        kinds[f"compiled, {field}"] = runner(execution.execute, schema, field)
        kinds[f"native, {field}"] = runner(execution.execute, schema, field, Native)
    kinds["native, no row"] = runner(execution.execute, schema, "objects", Native, rows=0)
    kinds["dict comprehension by hand"] = hand
    answers = {name: await run() for name, run in kinds.items()}
    answers = {name: await run() for name, run in kinds.items()}
    for field in ("objects", "contacts", "constructed", "rows"):
        expected = answers[f"graphql-core, {field}"]
        assert answers[f"compiled, {field}"] == expected
        assert orjson.dumps(answers[f"native, {field}"]) == orjson.dumps(expected)
    assert answers["dict comprehension by hand"] == answers["compiled, objects"]
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, run in kinds.items():
            started = time.perf_counter()
            for _ in range(CALLS):
                await run()
            times[name].append((time.perf_counter() - started) / CALLS * 1e6)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    for name, median in medians.items():
        by_core = medians.get(f"graphql-core, {name.rpartition(' ')[2]}", medians["graphql-core, objects"])
        print(f"{name:28} {median:8.1f} µs   {by_core / median:6.1f} times as fast as graphql-core")
    for kind in ("compiled", "native"):
        started = time.perf_counter()
        for _ in range(1000):
            orjson.dumps(answers[f"{kind}, objects"])
        print(f"{f'orjson of {kind}, objects':28} {(time.perf_counter() - started) * 1e3:8.1f} µs")
    counters = execution.statistics()
    each = counters["compiling_seconds"] / counters["compiled"] * 1e3
    print(f"{counters['compiled']} plans compiled, {each:.2f} ms each")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compiled_operations")
    parser.add_argument("rounds", type=int, nargs="?", default=15)
    asyncio.run(measure(parser.parse_args().rounds))
