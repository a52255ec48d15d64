"""The SQL that reaches the database, for tests of how much of it there is and what work it makes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from core.database.engine import read_side
from runtime import Runtime

ROWS = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck")


@contextmanager
def statements(runtime: Runtime) -> Iterator[list[tuple[str, tuple[Any, ...]]]]:
    """The statements that run meanwhile, with their parameters."""
    seen: list[tuple[str, tuple[Any, ...]]] = []

    def note(_: object, __: object, statement: str, parameters: tuple[Any, ...], *___: object) -> None:
        seen.append((statement, parameters))

    def note_read(statement: str, parameters: Sequence[Any]) -> None:
        seen.append((statement, tuple(parameters)))

    pool = read_side(runtime.engine).pool
    assert pool is not None
    observers = pool.observers
    observers.append(note_read)
    event.listen(runtime.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        observers.remove(note_read)
        event.remove(runtime.engine.sync_engine, "before_cursor_execute", note)


async def rows_touched(runtime: Runtime, statement: str, parameters: tuple[Any, ...]) -> int:
    """How many rows the steps of a statement's plan pass on or drop, all rounds of loops counted."""
    async with runtime.engine.connect() as connection:
        explained = await connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", parameters
        )
        plan: dict[str, Any] = explained.scalar_one()[0]["Plan"]
    return int(touched(plan))


def touched(step: dict[str, Any]) -> float:
    """The rows of a step of a plan and of all steps below it."""
    own: float = step["Actual Loops"] * sum(step.get(name, 0) for name in ROWS)
    return own + sum(touched(inner) for inner in step.get("Plans", ()))
