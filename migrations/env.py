"""Alembic's environment: it uses the connection that the caller passes in `config.attributes`."""

from typing import Any

from alembic import context
from sqlalchemy import Connection, text

from models import metadata

_PARTITIONED = ("email_deliveries", "contact_events")


def _include_object(_: Any, name: str | None, kind: str, __: bool, ___: Any) -> bool:  # noqa: ANN401 - Alembic's signature
    """Exclude partitions from comparisons: `system.ensure_partitions` creates them over time."""
    return not (
        kind == "table" and name is not None and name.startswith(tuple(f"{table}_" for table in _PARTITIONED))
    )


def run(connection: Connection) -> None:
    """Run the migrations in one transaction, so that a failure changes nothing."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=_include_object,
        compare_type=True,
    )
    with context.begin_transaction():
        # A concurrent run waits here, and then finds the new revision.
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('nudge migrate', 0))"))
        context.run_migrations()


run(context.config.attributes["connection"])
