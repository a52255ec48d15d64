"""How the schema's operations are executed: by compiled plans, written out by orjson."""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import Metric

import execution
from core.telemetry import logger

USUAL = "first sight"
"""Said of every document once; anything else is worth a line."""

log = logger(__name__)


class CompiledOperations(execution.CompiledStrawberryExecutor):
    """Runs plans. Times stay as they are in the data, as orjson writes them in RFC 3339 too; addresses are texts."""

    natives = {"DateTime": datetime, "EmailAddress": str}  # noqa: RUF012 - the name and form that the executor reads


def tell(fall_back: execution.Fallback) -> None:
    """Log a document that graphql-core had to execute, by name and reason: never its text or its variables."""
    if fall_back.reason != USUAL:
        # What follows the type of an error is the error's own message, and may hold a value.
        reason = ": ".join(fall_back.reason.split(": ")[:2])
        log.info("an operation was not compiled", operation=fall_back.operation_name, reason=reason)


def figures() -> Iterator[Metric]:
    """What the compiler has done in this process."""
    found = execution.statistics()
    yield Counter("nudge_graphql_operations_compiled_total", "Plans made.", found["compiled"])
    yield Counter("nudge_graphql_compile_seconds_total", "Time that plans took to make.", found["compiling_seconds"])
    yield Counter(
        "nudge_graphql_operations_executed_total",
        "Operations, and events of subscriptions, that a plan executed.",
        found["executed"],
    )
    fallen_back = Counter(
        "nudge_graphql_operations_fallen_back_total", "Operations left to graphql-core, by reason.", labels=["reason"]
    )
    for reason, times in found["fallen_back"].items():
        fallen_back.add_metric([reason], times)
    yield fallen_back


execution.on_fallback(tell)
