"""Compiled operations: a GraphQL operation is compiled to Python functions once, and executed by them."""

from execution import rows
from execution.executing import execute, execute_sync, subscribe
from execution.executors import CompiledExecutor, CompiledStrawberryExecutor, CompiledSubscriber
from execution.plans import Fallback, Limits, limits, on_fallback, statistics
from execution.rows import Column
from execution.selections import Selection, once_per_plan, selected_fields

__all__ = [
    "Column",
    "CompiledExecutor",
    "CompiledStrawberryExecutor",
    "CompiledSubscriber",
    "Fallback",
    "Limits",
    "Selection",
    "execute",
    "execute_sync",
    "limits",
    "on_fallback",
    "once_per_plan",
    "rows",
    "selected_fields",
    "statistics",
    "subscribe",
]
