"""Errors of PostgreSQL and Redis as one sentence for the operator: the problem, and what to do."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from asyncpg import InterfaceError, PostgresError
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy.exc import SQLAlchemyError

from cancellation.deadlines import deadline
from core import urls
from core.database.errors import is_unavailable
from core.errors import ServerUnusable
from core.telemetry import logger

ANSWER_SECONDS = 5.0
ROLES = "`nudge roles create` creates it"
# By SQLSTATE. PostgreSQL's own message follows, unless the state is in COMPLETE.
STATES = {
    "28P01": "the password is wrong: put the right one in the URL, or set a new one with `nudge roles create`",
    "28000": "the role may not log in: check the role and pg_hba.conf",
    "3D000": f"the database does not exist: {ROLES}",
    "42704": f"a role does not exist: {ROLES}",
    "42501": "the role lacks a privilege: check the role in the URL, or grant it with `nudge roles create`",
    "42P07": "tables exist that `nudge migrate` did not create: use an empty database",
    "42P06": "tables exist that `nudge migrate` did not create: use an empty database",
    "42P01": "a table does not exist: run `nudge migrate`",
    "25006": "the server is read-only: name the primary, not a standby",
    "40P01": "deadlock with another session: try again",
    "53100": "the server's disk is full: free some space, then try again",
    "53200": "the server is out of memory: try again",
    "53300": "the server has no free connection: close some, or raise max_connections",
    "55P03": "another session holds a required lock: try again when it has finished",
    "57014": "a statement took too long: try again when the server is less busy",
    "57P01": "the server was shut down: start it, then try again",
    "57P03": "the server is starting or stopping: try again in a moment",
}
# Network errors, the narrower class first; `{}` is the system's message.
NETWORK: tuple[tuple[type[Exception], str], ...] = (
    (ssl.SSLCertVerificationError, "its TLS certificate is not trusted ({}): name the authority's file in the URL"),
    (ssl.SSLError, "TLS failed ({}): the server may not use TLS on this port"),
    (socket.gaierror, "the host name cannot be resolved: check the address"),
    (
        TimeoutError,
        "the server does not answer in time: check the address, TLS on both sides, and firewalls",
    ),
    (ConnectionRefusedError, "nothing listens there: start the server, or check the address"),
    (
        FileNotFoundError,
        "a file in the URL (sslrootcert, sslcert, sslkey, or a socket) does not exist: check the URL",
    ),
    (OSError, "the connection failed ({}): check the address"),
    (InterfaceError, "{}"),
)
# The SQLSTATEs whose explanation above is complete without PostgreSQL's own message.
COMPLETE = {"28P01", "3D000", "53300", "57P03"}
log = logger(__name__)


@contextmanager
def operator_errors(variable: str, url: str) -> Iterator[None]:
    """Convert errors of PostgreSQL or Redis in the block to `ServerUnusable`, which names the URL's variable."""
    try:
        yield
    except (SQLAlchemyError, PostgresError, InterfaceError, RedisError, OSError, ValueError) as error:
        reason = explanation(error)
        if reason is None:
            raise
        raise ServerUnusable(f"{variable} ({urls.location(url)}): {reason}.") from error


def explanation(error: BaseException) -> str | None:
    """Why a server cannot be used and what to do, without a full stop; None for errors of another kind."""
    for cause in _causes(error):
        match cause:
            case PostgresError():
                return _postgres_reason(cause)
            case OSError() if cause.filename is not None:
                return f"{cause.filename} cannot be read ({cause.strerror}): check the URL"
            case RedisError() | OSError() | InterfaceError():
                return _network_reason(cause) or _redis_reason(cause)
    return None


def outage_reason(error: BaseException) -> str | None:
    """As `explanation`, but only for an unavailable server: the error of a statement may be our own mistake."""
    return (
        explanation(error)
        if isinstance(error, RedisConnectionError | RedisTimeoutError) or is_unavailable(error)
        else None
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, the innermost first: libraries wrap network errors."""
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None and inner not in chain:
        chain.append(inner)
    return reversed(chain)


def _postgres_reason(error: PostgresError) -> str:
    """The reason for an error of PostgreSQL; its own message for a state that is not listed."""
    state = error.sqlstate or ""
    own = " ".join(str(error.args[0] if error.args else "").split())
    reason = STATES.get(state)
    if reason is None:
        return f"PostgreSQL refused it: {own} (SQLSTATE {state})"
    return reason if state in COMPLETE or not own else f"{reason} (PostgreSQL: {own})"


def _network_reason(error: BaseException) -> str | None:
    """The reason for a network error; None for any other."""
    if isinstance(error, ConnectionError) and "SSL" in str(error):
        return "the server does not use TLS: remove sslmode from the URL, or enable TLS on the server"
    for kind, reason in NETWORK:
        if isinstance(error, kind):
            own = error.strerror if isinstance(error, OSError) else None
            return reason.format(own or " ".join(str(error).split()) or type(error).__name__)
    return None


def _redis_reason(error: BaseException) -> str | None:
    """The reason for an error of Redis; None for any other."""
    match error:
        case AuthenticationError():
            return f"the password or user is wrong ({error}): put the right one in the URL"
        case ResponseError():
            return f"Redis refused it ({error}): check the URL"
        case RedisError():
            return f"the connection failed ({error}): check the address, and whether the server uses TLS (rediss://)"
    return None


async def check_redis(variable: str, url: str) -> None:
    """Raise `ServerUnusable` if Redis refuses the connection; only log a warning if it does not answer.

    A process can serve without Redis and reconnects later, so an outage must not prevent it from starting.
    """
    async with Redis.from_url(url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS) as redis:
        try:
            async with deadline(2 * ANSWER_SECONDS):
                await redis.ping()
        except (RedisError, OSError) as error:
            reason = explanation(error)
            if reason is None:
                raise
            inner = next(_causes(error))
            if isinstance(inner, ssl.SSLError) or isinstance(error, AuthenticationError | ResponseError):
                raise ServerUnusable(f"{variable} ({urls.location(url)}): {reason}.") from error
            log.warning("continuing without Redis until it answers", variable=variable, reason=reason)
