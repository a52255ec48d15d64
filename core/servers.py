"""The servers that a command needs, PostgreSQL and Redis: what is wrong with one, in one sentence with what to do."""

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
ROLES = "`nudge roles create` makes it"
# What PostgreSQL says of itself, by SQLSTATE. The server's own words follow where they add something.
STATES = {
    "28P01": "the password is wrong: put the right one in the URL, or set it anew with `nudge roles create`",
    "28000": "the role may not log in: look at the role and at pg_hba.conf",
    "3D000": f"there is no such database: {ROLES}",
    "42704": f"a role is missing: {ROLES}",
    "42501": "the role may not do this: look which role the URL names, or grant more by `nudge roles create`",
    "42P07": "tables are there that `nudge migrate` did not make: give it an empty database",
    "42P06": "tables are there that `nudge migrate` did not make: give it an empty database",
    "42P01": "a table is missing: run `nudge migrate`",
    "25006": "the server is read-only: name the primary, not a standby",
    "40P01": "another session stood in the way: try again",
    "53100": "the server's disk is full: make room, then try again",
    "53200": "the server is out of memory: try again",
    "53300": "the server has no connection left: close some, or raise max_connections",
    "55P03": "another session holds a lock that is needed: try again when it has finished",
    "57014": "a statement took too long: try again when the server has less to do",
    "57P01": "the server was shut down: start it, then try again",
    "57P03": "the server is starting or stopping: try again in a moment",
}
# What is said of errors on the way to a server, the narrower class first; `{}` is the system's own word.
NETWORK: tuple[tuple[type[Exception], str], ...] = (
    (ssl.SSLCertVerificationError, "its TLS certificate is not trusted ({}): name the authority's file in the URL"),
    (ssl.SSLError, "TLS failed ({}): the server may not speak TLS at this port"),
    (socket.gaierror, "the name of the host is not known: look at the address"),
    (
        TimeoutError,
        "the server does not answer in time: look at the address, at TLS on both sides, at firewalls",
    ),
    (ConnectionRefusedError, "nothing listens there: start the server, or look at the address"),
    (
        FileNotFoundError,
        "a file of the URL (sslrootcert, sslcert, sslkey, or a socket) is not there: look at the URL",
    ),
    (OSError, "the connection failed ({}): look at the address"),
    (InterfaceError, "{}"),
)
# What needs no second telling.
SAID = {"28P01", "3D000", "53300", "57P03"}
log = logger(__name__)


@contextmanager
def operator_errors(variable: str, url: str) -> Iterator[None]:
    """Turn what a database or Redis refuses within the block into `ServerUnusable`, naming the setting behind it."""
    try:
        yield
    except (SQLAlchemyError, PostgresError, InterfaceError, RedisError, OSError, ValueError) as error:
        reason = explanation(error)
        if reason is None:
            raise
        raise ServerUnusable(f"{variable} ({urls.location(url)}): {reason}.") from error


def explanation(error: BaseException) -> str | None:
    """Why a server cannot be used and what to do, without a full stop; None for an error of another kind."""
    for cause in causes(error):
        match cause:
            case PostgresError():
                return of_postgres(cause)
            case OSError() if cause.filename is not None:
                return f"{cause.filename} cannot be read ({cause.strerror}): look at the URL"
            case RedisError() | OSError() | InterfaceError():
                return of_network(cause) or of_redis(cause)
    return None


def outage_reason(error: BaseException) -> str | None:
    """As `explanation`, but only of a server that went away: what it thinks of a statement may be a fault of ours."""
    return (
        explanation(error)
        if isinstance(error, RedisConnectionError | RedisTimeoutError) or is_unavailable(error)
        else None
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, the innermost first: libraries wrap those of the network."""
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None and inner not in chain:
        chain.append(inner)
    return reversed(chain)


def of_postgres(error: PostgresError) -> str:
    """The reason in PostgreSQL's answer; its own words for a state that is not listed."""
    state = error.sqlstate or ""
    own = " ".join(str(error.args[0] if error.args else "").split())
    known = STATES.get(state)
    if known is None:
        return f"PostgreSQL refused it: {own} (SQLSTATE {state})"
    return known if state in SAID or not own else f"{known} (PostgreSQL: {own})"


def of_network(error: BaseException) -> str | None:
    """The reason of an error on the way to a server."""
    if isinstance(error, ConnectionError) and "SSL" in str(error):
        return "the server does not speak TLS: take sslmode out of the URL, or turn TLS on there"
    for kind, reason in NETWORK:
        if isinstance(error, kind):
            own = error.strerror if isinstance(error, OSError) else None
            return reason.format(own or " ".join(str(error).split()) or type(error).__name__)
    return None


def of_redis(error: BaseException) -> str | None:
    """The reason in Redis's answer."""
    match error:
        case AuthenticationError():
            return f"the password or user is wrong ({error}): put the right one in the URL"
        case ResponseError():
            return f"Redis refused it ({error}): look at the URL"
        case RedisError():
            return (
                f"the connection failed ({error}): look at the address, and whether the server speaks TLS (rediss://)"
            )
    return None


async def check_redis(variable: str, url: str) -> None:
    """Raise `ServerUnusable` where Redis does not let us in; log one line where it does not answer.

    Without Redis a process can serve, and finds it again: an outage_reason must not keep one from starting.
    """
    async with Redis.from_url(url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS) as redis:
        try:
            async with deadline(2 * ANSWER_SECONDS):
                await redis.ping()
        except (RedisError, OSError) as error:
            reason = explanation(error)
            if reason is None:
                raise
            inner = next(causes(error))
            if isinstance(inner, ssl.SSLError) or isinstance(error, AuthenticationError | ResponseError):
                raise ServerUnusable(f"{variable} ({urls.location(url)}): {reason}.") from error
            log.warning("going on without Redis until it answers", variable=variable, reason=reason)
