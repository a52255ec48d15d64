"""Structured logs with a request id on every line.

Passwords, headers, bodies, tokens, contacts' addresses and local variables are never logged, by our code or by
libraries, at any level and in any environment: errors are formatted by `core.failures`, libraries are logged from
WARNING on, and each finished line is filtered by `core.redaction`.
"""

import logging
import random
import re
import secrets as randomness
import sys
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING

import structlog

from core.failures import describe_error, headline, traceback_text
from core.redaction import Redaction

if TYPE_CHECKING:
    from types import TracebackType

    from structlog.typing import EventDict, Processor, WrappedLogger

__all__ = ["begin_request", "configure", "describe_error", "logger", "new_request_id", "request_id", "request_path"]

request_id: ContextVar[str] = ContextVar("request_id", default="")
request_path: ContextVar[str] = ContextVar("request_path", default="")
# The first parts of the names of our own loggers.
OWN_LOGGERS = frozenset(
    {
        *("app", "cancellation", "cli", "core", "development", "execution", "integrations", "jobs", "local"),
        *("migrations", "models", "nudge", "resolvers", "routes", "sandbox", "schema", "services", "transport"),
    }
)
# Loggers whose messages contain the repr of futures and callbacks, with arguments and results.
LOGGERS_WITH_REPRS = frozenset({"asyncio", "uvloop"})
# A path segment that may be logged, because it cannot be a token.
SAFE_SEGMENT = re.compile(r"\.?[a-z][a-z.-]{0,19}|")
MAX_VALUE = 2_000


# Request ids only have to be unique: a system call for each would take longer than the rest of a small request.
_random = random.Random(randomness.token_bytes(32))  # noqa: S311 - not a secret


def new_request_id() -> str:
    """Set a new request id for the current task, and return it."""
    value = f"{_random.getrandbits(128):032x}"
    request_id.set(value)
    return value


def begin_request(path: str) -> None:
    """Add a new request id, and the path without segments that may be tokens, to each log line of the task."""
    new_request_id()
    request_path.set(path)


def _add_request(_: "WrappedLogger", __: str, event: "EventDict") -> "EventDict":
    """Add the current request's id and path to a log line."""
    if value := request_id.get():
        event.setdefault("request_id", value)
    if path := request_path.get():
        event.setdefault(
            "path", "/".join(each if SAFE_SEGMENT.fullmatch(each) else "…" for each in path.split("/")[:8])
        )
    return event


def _add_traceback(_: "WrappedLogger", __: str, event: "EventDict") -> "EventDict":
    """Replace the error of a log line by its traceback as text, without locals and messages."""
    error = event.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    elif error is not None and not isinstance(error, BaseException):
        error = sys.exc_info()[1] if error else None
    if isinstance(error, BaseException):
        event["exception"] = traceback_text(error)
    event.pop("stack_info", None)
    return event


def _shorten(_: "WrappedLogger", __: str, event: "EventDict") -> "EventDict":
    """Cut the values of a log line to a maximum length, and asyncio's messages before the first repr."""
    record = event.get("_record")
    if isinstance(record, logging.LogRecord) and record.name.partition(".")[0] in LOGGERS_WITH_REPRS:
        event["event"] = re.split(r"[(<\n]", str(event["event"]), maxsplit=1)[0]
    for key, value in event.items():
        if isinstance(value, str) and key != "exception":
            event[key] = value.strip()[:MAX_VALUE]
    return event


SHARED: "list[Processor]" = [
    structlog.contextvars.merge_contextvars,
    _add_request,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _add_traceback,
    _shorten,
]
# One list for all calls of `configure`: a logger keeps the processors of its first use.
PROCESSORS: "list[Processor]" = [
    structlog.stdlib.filter_by_level,
    *SHARED,
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]


class LibraryFilter(logging.Filter):
    """Drops records of libraries below WARNING: at those levels they log statements, frames, headers and bodies."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write a record."""
        return record.levelno >= logging.WARNING or record.name.partition(".")[0] in OWN_LOGGERS


class Formatter(structlog.stdlib.ProcessorFormatter):
    """structlog's formatter, with redaction of the finished line."""

    redaction = Redaction()

    def format(self, record: logging.LogRecord) -> str:
        """The finished line; of the arguments of a library's message only numbers and types of errors are kept."""
        if not isinstance(record.msg, dict):
            record = logging.makeLogRecord(record.__dict__)
            record.args = _safe_arguments(record.args)
        return self.redaction(super().format(record))


def _safe_arguments(arguments: object) -> tuple[object, ...] | dict[str, object] | None:
    """The arguments of a library's message without text: arq's contain error messages and the values of jobs."""
    if isinstance(arguments, Mapping):
        return {str(name): _safe_argument(value) for name, value in arguments.items()}
    return tuple(map(_safe_argument, arguments)) if isinstance(arguments, tuple) else None


def _safe_argument(value: object) -> object:
    """A number unchanged, an error by its type, anything else replaced by an ellipsis."""
    if isinstance(value, int | float):
        return value
    return headline(value) if isinstance(value, BaseException) else "…"


def configure(level: str, *, json: bool, secrets: Iterable[str] = ()) -> None:
    """Set up logging for this process: JSON lines, or readable lines for a terminal.

    Uncaught errors are logged in the same way. The secrets are redacted in every line, see `Redaction`.
    """
    renderer: Processor = structlog.processors.JSONRenderer()
    if not json:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    formatter = Formatter(
        foreign_pre_chain=SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    formatter.redaction = Redaction(secrets)
    handler.setFormatter(formatter)
    handler.addFilter(LibraryFilter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    for name in OWN_LOGGERS:
        logging.getLogger(name).setLevel(level)
    sys.excepthook = log_uncaught


def log_uncaught(kind: type[BaseException], error: BaseException, trace: "TracebackType | None") -> None:
    """Log an uncaught error; for `sys.excepthook`."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logger("nudge").critical("process ended by an uncaught error", exc_info=error)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module: events in plain words, details as key-value pairs."""
    return structlog.stdlib.get_logger(name)
