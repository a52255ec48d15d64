"""How the schema's operations are executed: by compiled plans, with responses encoded by orjson."""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import Metric

import execution
from core.telemetry import logger

FIRST_USE = "first use"
"""The reason at the first use of every document, which is not logged."""

log = logger(__name__)


class CompiledOperations(execution.CompiledStrawberryExecutor):
    """Runs plans. Times are left to orjson, which writes RFC 3339 too; e-mail addresses are strings."""

    encoder_scalars = {"DateTime": datetime, "EmailAddress": str}  # noqa: RUF012 - the executor reads it


def _log_fallback(fall_back: execution.Fallback) -> None:
    """Log an operation that graphql-core had to execute, by name and reason: never its text or variables."""
    if fall_back.reason != FIRST_USE:
        # After the type of an error comes its message, which may contain a value.
        reason = ": ".join(fall_back.reason.split(": ")[:2])
        log.info("an operation was not compiled", operation=fall_back.operation_name, reason=reason)


def metrics() -> Iterator[Metric]:
    """Metrics of the compiler in this process."""
    statistics = execution.statistics()
    yield Counter("nudge_graphql_operations_compiled_total", "Operations compiled to plans.", statistics["compiled"])
    yield Counter(
        "nudge_graphql_compile_seconds_total",
        "Seconds spent on compiling operations.",
        statistics["compiling_seconds"],
    )
    yield Counter(
        "nudge_graphql_operations_executed_total",
        "Operations, and events of subscriptions, executed by a plan.",
        statistics["executed"],
    )
    fallen_back = Counter(
        "nudge_graphql_operations_fallen_back_total",
        "Operations executed by graphql-core, by reason.",
        labels=["reason"],
    )
    for reason, times in statistics["fallen_back"].items():
        fallen_back.add_metric([reason], times)
    yield fallen_back


execution.on_fallback(_log_fallback)
