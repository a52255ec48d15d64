"""The SQL statements that reach the database, and the rows that they touch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from core.database.engine import read_side
from runtime import Runtime

ROWS = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck")


@contextmanager
def statements(runtime: Runtime) -> Iterator[list[tuple[str, tuple[Any, ...]]]]:
    """Collect the statements that run during the block, with their parameters."""
    queries: list[tuple[str, tuple[Any, ...]]] = []

    def record(_: object, __: object, statement: str, parameters: tuple[Any, ...], *___: object) -> None:
        queries.append((statement, parameters))

    def record_read(statement: str, parameters: Sequence[Any]) -> None:
        queries.append((statement, tuple(parameters)))

    pool = read_side(runtime.engine).pool
    assert pool is not None
    observers = pool.observers
    observers.append(record_read)
    event.listen(runtime.engine.sync_engine, "before_cursor_execute", record)
    try:
        yield queries
    finally:
        observers.remove(record_read)
        event.remove(runtime.engine.sync_engine, "before_cursor_execute", record)


async def rows_touched(runtime: Runtime, statement: str, parameters: tuple[Any, ...]) -> int:
    """How many rows the nodes of a statement's query plan return or remove, summed over all loops."""
    async with runtime.engine.connect() as connection:
        explained = await connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", parameters
        )
        plan: dict[str, Any] = explained.scalar_one()[0]["Plan"]
    return int(rows_of_node(plan))


def rows_of_node(node: dict[str, Any]) -> float:
    """The rows of a node of a query plan and of all nodes below it."""
    own: float = node["Actual Loops"] * sum(node.get(name, 0) for name in ROWS)
    return own + sum(rows_of_node(child) for child in node.get("Plans", ()))
