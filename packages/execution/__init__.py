"""Compiled operations: a GraphQL document becomes one Python function, made once and executed often."""

from execution import rows
from execution.executing import execute, execute_sync, subscribe
from execution.executors import CompiledExecutor, CompiledStrawberryExecutor, CompiledSubscriber
from execution.plans import FallBack, Limits, limits, on_fall_back, statistics
from execution.rows import Column
from execution.selections import Selection, selected_fields, worked_out

__all__ = [
    "Column",
    "CompiledExecutor",
    "CompiledStrawberryExecutor",
    "CompiledSubscriber",
    "FallBack",
    "Limits",
    "Selection",
    "execute",
    "execute_sync",
    "limits",
    "on_fall_back",
    "rows",
    "selected_fields",
    "statistics",
    "subscribe",
    "worked_out",
]
