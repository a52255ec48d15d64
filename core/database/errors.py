"""Classification of database errors: server unavailable, permanent, or stale connection."""

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
"""Errors of a stale connection: the server was restarted, or tables have changed since a statement was prepared."""


def is_unavailable(error: BaseException) -> bool:
    """Whether the server did not answer or refused the connection, as opposed to a statement.

    Errors of asyncpg and of the network are not wrapped in a `DBAPIError` while a connection is being opened.
    """
    match error:
        case DBAPIError():
            return error.connection_invalidated or _is_unavailable_state(getattr(error.orig, "sqlstate", None))
        case asyncpg.PostgresError():
            return _is_unavailable_state(error.sqlstate)
        case OSError():
            return error.filename is None  # refused or timed out; with a file name it is not a network error
    return isinstance(error, PoolTimeout)


def is_permanent(error: BaseException) -> bool:
    """Whether the statement would fail again, because of its text or its values."""
    state = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    return isinstance(state, str) and state[:2] in PERMANENT_CLASSES


def is_stale(error: Exception) -> bool:
    """Whether the statement may succeed on another connection.

    Not after a timeout, which is also an `OSError`, and not after asyncpg's errors about arguments, which are also
    `ValueError`s.
    """
    if isinstance(error, TimeoutError):
        return False
    return isinstance(error, STALE) or (
        isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)
    )


def _is_unavailable_state(sqlstate: str | None) -> bool:
    return sqlstate is not None and sqlstate[:2] in UNAVAILABLE_CLASSES and sqlstate != QUERY_CANCELED
