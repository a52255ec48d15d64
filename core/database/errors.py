"""What an error of the database says: not available, not worth a retry, or a connection out of date."""

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# Connection exception, insufficient resources, operator intervention.
UNAVAILABLE_CLASSES = frozenset({"08", "53", "57"})
QUERY_CANCELED = "57014"
# Data exception, integrity constraint violation, syntax error or access rule violation.
PERMANENT_CLASSES = frozenset({"22", "23", "42"})
STALE = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.InternalClientError,
    OSError,
)
"""What an old connection raises: the server was restarted, or the tables have changed under it."""


def is_unavailable(error: BaseException) -> bool:
    """Whether the server did not answer or let us in, as opposed to what it thinks of a statement.

    Before a connection stands, asyncpg's own errors and those of the network come through as they are.
    """
    match error:
        case DBAPIError():
            return error.connection_invalidated or _is_unavailable_state(getattr(error.orig, "sqlstate", None))
        case asyncpg.PostgresError():
            return _is_unavailable_state(error.sqlstate)
        case OSError():
            return error.filename is None  # a connection refused or timed out; with a name it is about a file
    return isinstance(error, PoolTimeout)


def is_permanent(error: BaseException) -> bool:
    """Whether the server would fail the statement again: it refuses its text or its values."""
    state = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    return isinstance(state, str) and state[:2] in PERMANENT_CLASSES


def is_stale(error: Exception) -> bool:
    """Whether the statement may succeed on another connection.

    Not after a timeout, though it is an `OSError`. asyncpg's own errors about arguments are `ValueError`s, too.
    """
    if isinstance(error, TimeoutError):
        return False
    return isinstance(error, STALE) or (
        isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)
    )


def _is_unavailable_state(sqlstate: str | None) -> bool:
    return sqlstate is not None and sqlstate[:2] in UNAVAILABLE_CLASSES and sqlstate != QUERY_CANCELED
