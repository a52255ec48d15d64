"""The process's clock. What must agree between processes (leases, schedules) uses the database's `now()`."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)
