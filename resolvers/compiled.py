"""How the schema's operations are executed: by compiled plans, written out by orjson."""

from datetime import datetime

import execution
from core.telemetry import logger

# Said of nearly every document once; anything else is worth a line.
USUAL = frozenset({"first sight", "introspection"})
log = logger(__name__)


class CompiledOperations(execution.CompiledStrawberryExecutor):
    """Runs plans. Times stay as they are in the data, as orjson writes them in RFC 3339 too."""

    natives = {"DateTime": datetime}  # noqa: RUF012 - the name and form that the executor reads


def tell(fall_back: execution.FallBack) -> None:
    """Log a document that graphql-core had to execute, by name and reason: never its text or its variables."""
    if fall_back.reason not in USUAL:
        log.info("an operation was not compiled", operation=fall_back.operation_name, reason=fall_back.reason)


execution.on_fall_back(tell)
